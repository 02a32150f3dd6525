import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import { readCommandLine } from '../../src/cli/dvdcli/command-line.ts';
import { findPlugin, notFound } from '../../src/cli/dvdcli/discovery.ts';
import { readOptions } from '../../src/cli/dvdcli/options.ts';
import { scratch } from '../dvdi/serving.ts';

describe('options', () => {
  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
  /** The ways to write one that docs/mesos.md has. */
  const spellings = [
    ([key, value]: readonly [string, string]) => quoted(`${key}=${value}`),
    ([key, value]: readonly [string, string]) =>
      /[",]/.test(key) ? quoted(`${key}=${value}`) : `${key}=${quoted(value)}`,
    ([key, value]: readonly [string, string]) =>
      /[",]/.test(key + value) ? quoted(`${key}=${value}`) : `${key}=${value}`,
  ];
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom('"', ',', '=', ':', '/', 'a', ' ') }),
  );
  const key = text.map((each) => each.replaceAll('=', '')).filter((each) => each !== '');
  const withoutNul = (each: string) => !each.includes('\0');

  it('any of them come through, however they are quoted and spread over flags', () => {
    const options = fc.uniqueArray(fc.tuple(key.filter(withoutNul), text.filter(withoutNul)), {
      selector: ([name]) => name,
    });
    const ways = fc.infiniteStream(fc.tuple(fc.constantFrom(...spellings), fc.boolean()));
    fc.assert(
      fc.property(options, ways, (entries, way) => {
        const flags: string[] = [];
        for (const entry of entries) {
          const [spell, anew] = way.next().value ?? [];
          const last = flags.at(-1);
          const part = spell?.(entry) ?? '';
          if (last === undefined || anew) flags.push(part);
          else flags[flags.length - 1] = `${last},${part}`;
        }
        expect(Object.entries(readOptions(flags)).sort()).toEqual([...entries].sort());
      }),
    );
  });

  test.each([
    [['size=5,type=gp3'], { size: '5', type: 'gp3' }],
    [['size=5', 'type=gp3'], { size: '5', type: 'gp3' }],
    [['kmsKeyId=arn:aws:kms:eu-west-1:1:key/a=b'], { kmsKeyId: 'arn:aws:kms:eu-west-1:1:key/a=b' }],
    [['tags="a=b,c=d",size=5'], { tags: 'a=b,c=d', size: '5' }],
    [['"tags=a=b,c=d",size=5'], { tags: 'a=b,c=d', size: '5' }],
    [['tags="a=""b"""'], { tags: 'a="b"' }],
    [['size=5,'], { size: '5' }],
    [[''], {}],
    [['mkfsOptions='], { mkfsOptions: '' }],
    [['size=5', 'size=5'], { size: '5' }],
  ])('%j', (flags, options) => {
    expect(readOptions(flags)).toEqual(options);
  });

  test.each([
    [['encrypted'], 'takes KEY=VALUE, not "encrypted"'],
    [['size=5,mountOptions=noatime,nodiratime'], 'not "nodiratime". A value with commas goes in double quotes'],
    [['=5'], 'not "=5"'],
    [['tags="a=b'], 'has a double quote that is not closed'],
    [['size=5', 'size=6'], 'size=5 and size=6'],
  ])('%j is wrong', (flags, why) => {
    expect(() => readOptions(flags)).toThrow(why);
  });
});

describe('the command line', () => {
  const about = { command: 'mount', driver: 'ebs', volume: 'a', options: {}, explicitCreate: false, waitMs: 100_000 };

  test.each([
    [['mount', '--volumedriver=ebs', '--volumename=a'], about],
    [['mount', '--volumedriver', 'ebs', '--volumename', 'a'], about],
    [['--volumedriver=ebs', 'mount', '--volumename=a'], about],
    [['--volumedriver', 'ebs', '--volumename', 'a', 'mount'], about],
    [['mount', '--volumeDriver=ebs', '--VolumeName=a'], about],
    [['mount', '--volumename=b', '--volumedriver=ebs', '--volumename=a'], about],
    [['mount', '--volumedriver=ebs', '--volumename=a=b'], { ...about, volume: 'a=b' }],
    [
      ['mount', '--volumedriver=ebs', '--volumename=a', '--volumeopts=size=5', '--volumeopts', 'iops=3'],
      { ...about, options: { size: '5', iops: '3' } },
    ],
    [['mount', '--volumedriver=ebs', '--volumename=a', '--explicitCreate=true'], { ...about, explicitCreate: true }],
    [['mount', '--explicitcreate', '--volumedriver=ebs', '--volumename=a'], { ...about, explicitCreate: true }],
    [['mount', '--volumedriver=ebs', '--volumename=a', '--explicitcreate=0', '--wait=1.5'], { ...about, waitMs: 1500 }],
    [['unmount', '--volumedriver=ebs', '--volumename=a'], { ...about, command: 'unmount', waitMs: 540_000 }],
    [['get', '--volumedriver=ebs', '--volumename=a'], { ...about, command: 'get', waitMs: 30_000 }],
    [['list', '--volumedriver=ebs'], { ...about, command: 'list', waitMs: 30_000, volume: '' }],
    [['mount', '--help'], { ...about, command: 'help', waitMs: 30_000, driver: '', volume: '' }],
    [['-h'], { ...about, command: 'help', waitMs: 30_000, driver: '', volume: '' }],
    [['version'], { ...about, command: 'version', waitMs: 30_000, driver: '', volume: '' }],
  ])('%j', (argv, line) => {
    expect(readCommandLine(argv)).toEqual(line);
  });

  test.each([
    [[], 'no command given'],
    [['attach'], 'unknown command "attach"'],
    [['constructor'], 'unknown command "constructor"'],
    [['mount', '--constructor=1'], 'there is no flag --constructor'],
    [['mount', '--volumedriver=ebs', '--volumename=a', '--preempt'], 'there is no flag --preempt'],
    [['mount', '--volumedriver=ebs', '--volumename=my', 'volume'], 'mount takes no argument "volume"'],
    [['mount', '--volumename=a'], '--volumedriver=NAME is missing'],
    [['unmount', '--volumedriver=ebs'], '--volumename=NAME is missing'],
    [['unmount', '--volumedriver=ebs', '--volumename='], '--volumename=NAME is missing'],
    [['mount', '--volumename', '--volumedriver=ebs'], '--volumename has no value'],
    [['mount', '--volumedriver'], '--volumedriver has no value'],
    [['unmount', '--volumedriver=ebs', '--volumename=a', '--volumeopts=size=5'], 'unmount takes no --volumeopts'],
    [['create', '--volumedriver=ebs', '--volumename=a', '--explicitcreate'], 'create takes no --explicitcreate'],
    [['mount', '--volumedriver=ebs', '--volumename=a', '--explicitcreate=maybe'], 'takes true or false, not "maybe"'],
    [['mount', '--volumedriver=ebs', '--volumename=a', '--wait=soon'], '--wait takes seconds'],
  ])('%j is wrong', (argv, why) => {
    expect(() => readCommandLine(argv)).toThrow(why);
  });
});

describe('the driver', () => {
  const places = async () => {
    const dir = await scratch();
    const [sockets, etc, usr] = ['run', 'etc', 'usr'].map((name) => join(dir, name)) as [string, string, string];
    for (const place of [sockets, etc, usr]) await mkdir(place);
    return { dir, sockets, addresses: [etc, usr], etc, usr };
  };
  const socketAt = async (path: string) => {
    await mkdir(join(path, '..'), { recursive: true });
    const server = createServer().listen(path);
    await new Promise((resolve) => server.once('listening', resolve));
    onTestFinished(() => void server.close());
  };

  it('is looked for where Docker looks, in the same order', async () => {
    const where = await places();
    const write = async (path: string, text: string) => {
      await mkdir(join(path, '..'), { recursive: true });
      await writeFile(path, text);
      return path;
    };
    const steps: [() => Promise<unknown>, object][] = [
      [() => write(join(where.usr, 'ebs/ebs.json'), '{"Addr":"tcp://[::1]:9000"}'), { host: '::1', port: 9000 }],
      [() => write(join(where.usr, 'ebs.spec'), 'unix:///usr.sock\n'), { socketPath: '/usr.sock' }],
      [() => write(join(where.etc, 'ebs.json'), '{"Addr":"http://driver:80"}'), { host: 'driver', port: 80 }],
      [() => write(join(where.etc, 'ebs/ebs.spec'), 'tcp://127.0.0.1:9001'), { host: '127.0.0.1', port: 9001 }],
      [() => write(join(where.sockets, 'ebs/ebs.sock'), 'no socket'), { host: '127.0.0.1', port: 9001 }],
      [() => socketAt(join(where.sockets, 'ebs.sock')), { socketPath: join(where.sockets, 'ebs.sock') }],
    ];
    expect(findPlugin('ebs', where)).toBeUndefined();
    for (const [announce, address] of steps) {
      await announce();
      expect(findPlugin('ebs', where)).toEqual(address);
    }
    expect(findPlugin('rexray', where)).toBeUndefined();
    await socketAt(join(where.sockets, 'other/other.sock'));
    expect(findPlugin('other', where)).toEqual({ socketPath: join(where.sockets, 'other/other.sock') });
  });

  it('is at DVE_SOCKET, there or not, if that has its name', async () => {
    const where = { ...(await places()), own: '/somewhere/rexray.sock' };
    await socketAt(join(where.sockets, 'rexray.sock'));
    await socketAt(join(where.sockets, 'ebs.sock'));
    expect(findPlugin('rexray', where)).toEqual({ socketPath: '/somewhere/rexray.sock' });
    expect(findPlugin('ebs', where)).toEqual({ socketPath: join(where.sockets, 'ebs.sock') });
  });

  test.each([
    ['ebs.spec', 'https://driver:443', 'cannot use the address "https://driver:443"'],
    ['ebs.spec', 'driver:80', 'cannot use the address'],
    [
      'ebs.json',
      '{"Addr":"tcp://driver:80","TLSConfig":{"InsecureSkipVerify":true}}',
      'wants TLS, which dvdcli does not speak',
    ],
    ['ebs.json', '{"Addr":', 'it is not JSON'],
    ['ebs.json', 'null', 'cannot use the address ""'],
  ])('with %s %j cannot be used', async (file, text, why) => {
    const where = await places();
    await writeFile(join(where.etc, file), text);
    expect(() => findPlugin('ebs', where)).toThrow(why);
  });

  it('as a managed plugin is refused, with what to do', async () => {
    const where = await places();
    expect(() => findPlugin('rexray/ebs:latest', where)).toThrow(
      'valid only inside it: install the driver on the host',
    );
    expect(notFound('ebs', where)).toMatch(/no socket .*ebs\.sock.* Start the driver/);
    const id = '0123456789abcdef'.repeat(4);
    await socketAt(join(where.sockets, id, 'ebs.sock'));
    expect(findPlugin('ebs', where)).toBeUndefined();
    expect(notFound('ebs', where)).toMatch(/but a managed Docker plugin, 0123456789ab\. .*valid only inside it/);
  });
});
