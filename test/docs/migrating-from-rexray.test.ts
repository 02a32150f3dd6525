import { readFileSync } from 'node:fs';
import { readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readGiven } from '../../src/cli/install/env-file.ts';
import { type Dockerd, startDockerd } from '../support/dockerd.ts';
import { dvdi } from '../support/dvdi-client.ts';
import { requires } from '../support/requirements.ts';
import { laidOut, type RexRay, startRexRay } from '../support/rexray.ts';
import { run } from '../support/run.ts';
import { type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';
import { nodeShell } from './node-shell.ts';
import { openPage, projectRoot } from './page.ts';

const { skip } = requires('root', 'loop', 'dockerd', 'mkfs.xfs', 'aws');

describe.skipIf(skip)('a host that comes from REX-Ray, by its page', () => {
  const page = openPage('docs/migrating-from-rexray.md');
  let box: TestSandbox;
  let engine: Dockerd;
  let rexray: RexRay;
  let shell: Record<string, string>;
  let socket: string;
  const ids: Record<string, string> = {};

  beforeAll(async () => {
    box = await testSandbox({ nodes: 1, zones: 2, nodeEnv: { DVE_CLUSTER: 'production', DVE_LINGER: '0' } });
    socket = join(box.dir, 'plugins/rexray.sock');
    rexray = await startRexRay(box, socket);
    engine = await startDockerd(undefined);
    const spec = `echo unix://${socket} > /etc/docker/plugins/rexray.spec`;
    await run('nsenter', [`--mount=/proc/${engine.pid}/ns/mnt`, 'sh', '-c', spec]);
    shell = { ...(await nodeShell(box, 0)), DOCKER_HOST: engine.host };
    const other = `${box.sandbox.region}b`;
    const made = [
      ['data', laidOut('ext4')],
      ['search', laidOut('xfs')],
      ['logs', laidOut('ext4')],
      ['logs', 'true', other],
      [
        'partitioned',
        `${bytesAt(450, '\\203')}; ${bytesAt(454, '\\0\\010\\0\\0\\0\\0\\020')}; ${bytesAt(510, '\\125\\252')}`,
      ],
      ['secret', bytesAt(0, 'LUKS\\272\\276\\0\\001')],
      ['unknown', bytesAt(700 * 2 ** 20, 'somebody')],
      ['web', laidOut('ext4')],
    ] as const;
    for (const [name, layout, zone] of made) {
      ids[zone === undefined ? name : `${name} elsewhere`] = await rexray.make(name, layout, zone);
    }
    await rexray.attach(ids['web'] ?? '', '/dev/xvdg');
    const goesWithIt = [{ DeviceName: '/dev/xvdg', Ebs: { DeleteOnTermination: true } }];
    await box.aws(
      'modify-instance-attribute',
      '--instance-id',
      box.node(0).instanceId,
      '--block-device-mappings',
      JSON.stringify(goesWithIt),
    );
    const waits = 'trap exit TERM; sleep 1000 & wait';
    const mount = 'type=volume,source=data,target=/v,volume-driver=rexray';
    await engine.ok('run', '-d', '--network', 'none', '--name', 'app', '--mount', mount, 'busybox', 'sh', '-c', waits);
    await engine.ok('exec', 'app', 'sh', '-c', 'echo by REX-Ray > /v/written; sync -f /v/written');
  });
  afterAll(async () => {
    await engine?.stop();
    await rexray?.stop();
    await box?.close();
  });

  const adopt = async (...args: string[]) => {
    const env = Object.entries(shell).map(([name, value]) => `${name}=${value}`);
    const { code, stdout, stderr } = await run('env', [...env, 'docker-volume-ebs', 'adopt', ...args]);
    return { code, said: stdout + stderr };
  };
  const adoptNow = async (...words: string[]) => {
    const outcome = await adopt('--cluster', 'production', '--apply', ...words);
    if (outcome.code !== 0) throw new Error(outcome.said);
  };
  const tagsNow = async (name: string) => {
    const volume = (await box.volumes()).find(({ VolumeId }) => VolumeId === ids[name]);
    return tagsOf(volume);
  };

  it('shows what may be adopted, and writes nothing', async () => {
    const { stdout } = await page.run('docker-volume-ebs adopt', { env: shell });
    const line = (name: string) => stdout.split('\n').find((each) => each.startsWith(ids[name] ?? '?'));
    expect(line('data')).toMatch(/ data .* in-use .* i-\w+ \/dev\/xvdf +yes$/);
    expect(line('search')).toMatch(/ available +- +yes$/);
    expect(line('logs')).toMatch(/by its id$/);
    expect(line('logs elsewhere')).toMatch(/us-east-1b .*by its id$/);
    expect(line('web')).toMatch(/no$/);
    expect(stdout).toMatch(/5 of 8 may be adopted into the cluster "default"/);
    const rehearsed = await page.run('docker-volume-ebs adopt --cluster production data\n', { env: shell });
    expect(rehearsed.stdout).toMatch(/data: would adopt .*docker-volume-ebs:name=data.*Nothing was written/s);
    for (const volume of await box.volumes()) expect(Object.keys(tagsOf(volume))).toEqual(['Name']);
    expect((await box.call(0, 'List')).body.Volumes).toEqual([]);
  });

  it('leaves a volume that REX-Ray has with it, also once it is adopted', async () => {
    const mounted = await dvdi(socket).call('VolumeDriver.Mount', { Name: 'search' });
    await adoptNow('search');
    expect(await box.refused(0, 'Mount', { Name: 'search', ID: 'early' })).toMatch(/still has .* mounted/);
    expect(await readFile(join(mounted.body.Mountpoint, 'file'), 'utf8')).toBe('precious\n');
    await writeFile(join(mounted.body.Mountpoint, 'last'), 'by REX-Ray\n');
    await dvdi(socket).call('VolumeDriver.Unmount', { Name: 'search' });
  });

  it('moves a volume with its container, as they are', async () => {
    await page.run('docker ps --quiet --filter', { env: shell });
    await page.run('docker-volume-ebs adopt --cluster production --apply', { env: shell });
    expect(await tagsNow('data')).toMatchObject({ Name: 'data', 'docker-volume-ebs:cluster': 'production' });
    await rexray.stop();
    await symlink(box.node(0).socket, socket);
    await page.run('docker ps --all --quiet', { env: shell });
    expect(await engine.ok('exec', 'app', 'cat', '/v/written', '/v/file')).toBe('by REX-Ray\nprecious');
    expect(await engine.ok('exec', 'app', 'stat', '-c', '%a %u:%g', '/v', '/v/file')).toBe('700 999:998\n640 999:998');
    expect((await engine.volume('data')).Status).toMatchObject({ volumeId: ids['data'] });
  });

  it('mounts an xfs with all that is on it', async () => {
    const { Mountpoint } = await box.ok(0, 'Mount', { Name: 'search', ID: 'one' });
    const of = async (path: string) => {
      const { mode, uid, gid } = await stat(path);
      return [mode & 0o7777, uid, gid];
    };
    expect(await of(Mountpoint)).toEqual([0o700, 999, 998]);
    expect(await of(join(Mountpoint, 'file'))).toEqual([0o640, 999, 998]);
    expect(await readFile(join(Mountpoint, 'last'), 'utf8')).toBe('by REX-Ray\n');
    await box.ok(0, 'Unmount', { Name: 'search', ID: 'one' });
  });

  it('has one of two duplicates, by its id, and leaves the other and the root disk alone', async () => {
    expect(await adopt('--cluster', 'production', '--apply', 'logs', 'web')).toMatchObject({
      code: 1,
      said: expect.stringMatching(/logs: left as it is: several.*web: left as it is: .*DeleteOnTermination/s),
    });
    await adoptNow(ids['logs'] ?? '');
    expect((await box.ok(0, 'Get', { Name: 'logs' })).Volume.Status).toMatchObject({ volumeId: ids['logs'] });
    for (const other of ['logs elsewhere', 'web']) expect(Object.keys(await tagsNow(other))).toEqual(['Name']);
  });

  it('never formats what it does not know', async () => {
    const strange = ['partitioned', 'secret', 'unknown'];
    await adoptNow(...strange);
    const written = async (name: string) => {
      const { mtimeMs, blocks } = await stat(box.sandbox.volumeFile(ids[name] ?? '') ?? '');
      return { mtimeMs, blocks };
    };
    for (const name of strange) {
      const before = await written(name);
      expect(await box.refused(0, 'Mount', { Name: name, ID: 'one' })).toMatch(/nothing was written to it/);
      await box.detached(name);
      expect(await written(name)).toEqual(before);
    }
  });

  it('gives a volume back that nobody uses', async () => {
    const words = ['--cluster', 'production', '--undo', '--apply', 'data'];
    expect(await adopt(...words)).toMatchObject({ code: 1, said: expect.stringMatching(/i-\w+ has vol-\w+ attached/) });
    await engine.ok('rm', '-f', 'app');
    await box.detached('data');
    await page.run('docker-volume-ebs adopt --cluster production --undo', { env: shell });
    expect(await tagsNow('data')).toEqual({ Name: 'data' });
    for (const verb of ['Create', 'Mount']) {
      expect(await box.refused(0, verb, { Name: 'data', ID: 'late' })).toMatch(/given it back with .* adopt --undo/);
    }
    const named = (await box.volumes()).filter((volume) => tagsOf(volume)['Name'] === 'data');
    expect(named.map(({ VolumeId }) => VolumeId)).toEqual([ids['data']]);
  });

  it('installs under the name that REX-Ray had, with settings that exist', async () => {
    const service = page.take('systemctl disable').split('\n')[1] ?? '';
    const [, , ...given] = service.split(' ');
    expect(readGiven(given).get('DVE_SOCKET')).toBe('/run/docker/plugins/rexray.sock');
    const calls = join(box.dir, 'bin/calls');
    await writeFile(join(box.dir, 'bin/docker'), `#!/bin/sh\necho "$@" >> ${calls}\n`, { mode: 0o755 });
    await page.run('docker plugin disable', { env: shell, replace: { REGISTRY: 'localhost', VERSION: '0.1.0' } });
    const install = (await readFile(calls, 'utf8')).split('\n')[2]?.split(' ') ?? [];
    expect(install.slice(0, 4)).toEqual(['plugin', 'install', '--alias', 'rexray/ebs']);
    const settings = new Set(JSON.parse(readFileSync(join(projectRoot, 'plugin-config.json'), 'utf8')).env.map(nameOf));
    for (const word of install.slice(6)) expect(settings).toContain(word.split('=')[0]);
  });
});

const nameOf = ({ name }: { readonly name: string }) => name;

/** Writes bytes, as printf's octal, at an offset of the disk. */
function bytesAt(offset: number, octal: string): string {
  return `printf '${octal}' | dd of="$disk" bs=1 seek=${offset} conv=notrunc status=none`;
}
