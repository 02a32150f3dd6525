import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { symlink } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, it, onTestFinished, test, vi } from 'vitest';
import { run as dvdcliCommand } from '../../src/cli/dvdcli/dvdcli.ts';
import { DriverError } from '../../src/errors.ts';
import type { VolumeDriver } from '../../src/volumes/types.ts';
import { fakeDriver } from '../dvdi/fake-driver.ts';
import { scratch, serving } from '../dvdi/serving.ts';

const main = join(import.meta.dirname, '../../src/cli/main.ts');

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

/** Gives what it writes to standard output. */
async function dvdcli(...argv: string[]): Promise<string> {
  let output = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    output += chunk;
    return true;
  });
  try {
    await dvdcliCommand(argv);
    return output;
  } finally {
    vi.mocked(process.stdout.write).mockRestore();
  }
}

/** What it says to a person. */
function stderr(): string[] {
  const lines: string[] = [];
  vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => lines.push(String(chunk)) > 0);
  return lines;
}

const of = (volume: string) => ['--volumedriver=ebs', `--volumename=${volume}`];
const none = (volume: string) =>
  new DriverError('NO_SUCH_VOLUME', { volume, tried: 'get it', why: 'there is none', todo: 'Create it' });
const throttled = new DriverError('EC2_THROTTLED', { tried: 'get it', why: 'EC2 is busy', todo: 'Try again' });

describe('with our own daemon', () => {
  const daemon = async (own: Partial<VolumeDriver> = {}) => {
    const driver = fakeDriver(own);
    vi.stubEnv('DVE_SOCKET', (await serving(driver)).socketPath);
    return driver;
  };

  it('mounts a volume that is there, whatever options are given, and prints its directory alone', async () => {
    const { calls } = await daemon();
    const said = stderr();
    expect(await dvdcli('mount', ...of('a'), '--volumeopts=size=5')).toBe('/mnt/a\n');
    expect(calls).toEqual([
      ['get', 'a'],
      ['mount', 'a', undefined],
    ]);
    expect(said).toEqual([]);
  });

  it('creates one that is not there, with its options', async () => {
    const { calls } = await daemon({ get: (name) => Promise.reject(none(name)) });
    const options = '--volumeopts=size=5,kmsKeyId=arn:aws:kms:eu-west-1:1:key/a=b';
    expect(await dvdcli('mount', ...of('a'), options, '--volumeopts=tags="a=b,c=d"')).toBe('/mnt/a\n');
    const given = { size: '5', kmsKeyId: 'arn:aws:kms:eu-west-1:1:key/a=b', tags: 'a=b,c=d' };
    expect(calls).toEqual([
      ['get', 'a'],
      ['create', 'a', given],
      ['mount', 'a', undefined],
    ]);
  });

  it('creates none where it was told not to, or where nobody knows whether there is one', async () => {
    const { calls } = await daemon({ get: (name) => Promise.reject(name === 'a' ? none(name) : throttled) });
    await expect(dvdcli('mount', ...of('a'), '--explicitCreate=true')).rejects.toThrow(/has none .* dvdcli create/);
    await expect(dvdcli('mount', ...of('b'))).rejects.toThrow('volume "b": cannot get it: EC2 is busy. Try again.');
    expect(calls).toEqual([
      ['get', 'a'],
      ['get', 'b'],
    ]);
  });

  it('unmounts without asking first whether there is such a volume', async () => {
    const { calls } = await daemon({ get: () => Promise.reject(throttled) });
    expect(await dvdcli('unmount', ...of('a'))).toBe('');
    expect(calls).toEqual([['unmount', 'a', undefined]]);
  });

  it('tells paths and names, and creates and removes in silence', async () => {
    const volume = (name: string, mountpoint?: string) => ({ name, mountpoint, createdAt: undefined, status: {} });
    const { calls } = await daemon({
      get: async (name) =>
        name === 'c' ? Promise.reject(none(name)) : volume(name, name === 'a' ? '/mnt/a' : undefined),
      list: async () => [volume('a'), volume('b')],
    });
    expect(await dvdcli('path', ...of('a'))).toBe('/mnt/a\n');
    expect(await dvdcli('path', ...of('b'))).toBe('');
    await expect(dvdcli('path', ...of('c'))).rejects.toThrow('volume "c"');
    expect(await dvdcli('get', ...of('a'))).toBe('a\n');
    await expect(dvdcli('get', ...of('c'))).rejects.toThrow('has none of this name');
    expect(await dvdcli('list', '--volumedriver=ebs')).toBe('a\nb\n');
    calls.length = 0;
    expect(await dvdcli('create', ...of('d'), '--volumeopts=size=5')).toBe('');
    expect(await dvdcli('remove', ...of('d'))).toBe('');
    expect(calls).toEqual([
      ['create', 'd', { size: '5' }],
      ['remove', 'd'],
    ]);
  });

  it('fails with the daemon’s own words', async () => {
    await daemon({ mount: () => Promise.reject(throttled) });
    await expect(dvdcli('mount', ...of('a'))).rejects.toThrow(/^volume "a": cannot get it: EC2 is busy\. Try again\.$/);
  });
});

describe('with any driver', () => {
  type Respond = (endpoint: string, response: ServerResponse) => void;
  const driver = async (respond: Respond) => {
    const path = join(await scratch(), 'ebs.sock');
    const requests: string[] = [];
    const server = createServer(async (request, response) => {
      requests.push(`${request.url} ${await text(request)}`);
      respond(request.url?.split('.')[1] ?? '', response);
    });
    onTestFinished(async () => {
      server.closeAllConnections();
      server.close();
    });
    vi.stubEnv('DVE_SOCKET', path);
    return { path, requests, server, listen: () => once(server.listen(path), 'listening') };
  };
  const usual: Readonly<Record<string, string>> = {
    Activate: '{"Implements":["VolumeDriver"]}',
    Get: '{"Volume":{"Name":"a"}}',
    Mount: '{"Mountpoint":"/mnt/a"}',
  };

  it('sends what the original sends, but for Create after a failure', async () => {
    const { requests, listen } = await driver((endpoint, response) => response.end(usual[endpoint]));
    await listen();
    await dvdcli('mount', ...of('a'));
    expect(requests).toEqual([
      '/Plugin.Activate ',
      '/VolumeDriver.Get {"Name":"a"}',
      '/VolumeDriver.Mount {"Name":"a"}',
    ]);
  });

  it('says it again to one that ends in the middle of it', async () => {
    let times = 0;
    const { requests, listen } = await driver((endpoint, response) => {
      if (endpoint !== 'Mount' || ++times > 2) response.end(usual[endpoint]);
      else if (times === 1) response.destroy();
      else response.writeHead(200, { 'content-length': 100 }).write('{"Mount', () => response.destroy());
    });
    await listen();
    const said = stderr();
    expect(await dvdcli('mount', ...of('a'))).toBe('/mnt/a\n');
    expect(requests.filter((request) => request.includes('Mount'))).toEqual(
      Array(3).fill('/VolumeDriver.Mount {"Name":"a"}'),
    );
    expect(said).toEqual([expect.stringMatching(/^waiting for the volume driver ebs: nobody answers at .*\n$/)]);
  });

  it('waits for one that is not there yet', async () => {
    const { listen } = await driver((endpoint, response) => response.end(usual[endpoint]));
    vi.spyOn(process.stderr, 'write').mockImplementationOnce(() => {
      void listen();
      return true;
    });
    expect(await dvdcli('mount', ...of('a'))).toBe('/mnt/a\n');
  });

  it('does not wait for ever, and says where it looked', async () => {
    const { path } = await driver(() => {});
    await expect(dvdcli('unmount', ...of('a'), '--wait=0')).rejects.toThrow(
      `cannot ask the volume driver "ebs": nobody answers at ${path} (`,
    );
    await expect(dvdcli('unmount', '--volumedriver=nobody', '--volumename=a', '--wait=0')).rejects.toThrow(
      'there is no socket /run/docker/plugins/nobody.sock, and no nobody.spec or nobody.json in /etc/docker/plugins',
    );
  });

  it('does not wait the minutes of an unmount for a driver that nothing on this host tells of', async () => {
    await expect(dvdcli('unmount', '--volumedriver=nobody', '--volumename=a')).rejects.toThrow(
      'there is no socket /run/docker/plugins/nobody.sock',
    );
  });

  test.each([
    ['Activate', 200, '{"Implements":["NetworkDriver"]}', 'is no volume driver: it implements NetworkDriver'],
    ['Get', 500, '{"Err":"out of order"}', /^out of order$/],
    ['Get', 200, '{"Err":"out of order"}', /^out of order$/],
    ['Get', 500, 'out of order', 'status 500: "out of order"'],
    ['Mount', 204, '', 'status 204'],
    ['Mount', 200, '<html>', 'status 200: "<html>"'],
    ['Mount', 200, '{"Mountpoint":""}', 'gave no directory'],
    ['Mount', 200, 'null', 'gave no directory'],
  ])('a %s that answers %i %s is a failure, with nothing printed', async (endpoint, status, body, why) => {
    const { requests, listen } = await driver((asked, response) =>
      response.writeHead(asked === endpoint ? status : 200).end(asked === endpoint ? body : usual[asked]),
    );
    await listen();
    await expect(dvdcli('mount', ...of('a'))).rejects.toThrow(why);
    expect(requests.filter((request) => request.includes('Create'))).toEqual([]);
  });

  it('takes an answer without a volume for none', async () => {
    const answers = { ...usual, Get: '{"Volume":null,"Err":""}', Create: '{}' };
    const { requests, listen } = await driver((endpoint, response) => response.end(Object(answers)[endpoint]));
    await listen();
    expect(await dvdcli('mount', ...of('a'))).toBe('/mnt/a\n');
    expect(requests[2]).toBe('/VolumeDriver.Create {"Name":"a","Opts":{}}');
  });
});

describe('as a program', () => {
  const run = async (program: string, ...argv: string[]) => {
    const child = spawn(process.execPath, [program, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
    const [stdout, complaint, [status]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close'),
    ]);
    return { status, stdout, stderr: complaint };
  };

  it('is called dvdcli, or is a command', async () => {
    vi.stubEnv('DVE_SOCKET', (await serving(fakeDriver())).socketPath);
    const link = join(await scratch(), 'dvdcli');
    await symlink(main, link);
    const done = { status: 0, stdout: '/mnt/a\n', stderr: '' };
    const outcomes = await Promise.all([
      run(link, 'mount', ...of('a')),
      run(main, 'dvdcli', ...of('a'), 'mount'),
      run(link, 'mount', ...of('a'), '--preempt=true'),
      run(link, 'mount', '--volumedriver=a/b', '--volumename=a'),
      run(link, 'get', '--volumedriver=nobody', '--volumename=a', '--wait=0'),
      run(link, 'version'),
      run(link, '--help'),
    ]);
    expect(outcomes).toEqual([
      done,
      done,
      { status: 2, stdout: '', stderr: 'dvdcli: there is no flag --preempt. See dvdcli help.\n' },
      {
        status: 2,
        stdout: '',
        stderr: expect.stringMatching(/^dvdcli: --volumedriver=a\/b names a managed [^\n]*\n$/),
      },
      {
        status: 1,
        stdout: '',
        stderr: expect.stringMatching(/^dvdcli: cannot ask the volume driver "nobody": [^\n]*\n$/),
      },
      { status: 0, stdout: expect.stringMatching(/^dvdcli of docker-volume-ebs \d+\.\d+\.\d+\n$/), stderr: '' },
      { status: 0, stdout: expect.stringMatching(/^Usage: dvdcli COMMAND .*\n$/s), stderr: '' },
    ]);
  });
});
