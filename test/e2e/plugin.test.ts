import { readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../src/host/run.ts';
import { type Dockerd, startDockerd, withVolume } from '../support/dockerd.ts';
import { importPluginImages } from '../support/plugin-images.ts';
import { type Registry, startRegistry } from '../support/registry.ts';
import { mayGrowExt4, requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, testSandbox } from '../support/sandbox.ts';

const { skip } = requires('root', 'loop', 'dockerd', 'dpkg-query', 'mkfs.xfs', 'mkfs.btrfs');

/** The instance that a sandbox's first node is, as the plugin's settings; the node's own daemon is ended for it. */
async function instanceFor(box: TestSandbox): Promise<{ home: string; settings: string[] }> {
  const { pid, socket, instanceId } = box.node(0);
  const home = dirname(socket);
  const wanted = /^(AWS_(REGION|ENDPOINT_URL_EC2|EC2_METADATA_SERVICE_ENDPOINT)|DVE_(DEVICE|SYSFS)_ROOT)=/;
  const environment = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0');
  process.kill(pid, 'SIGTERM');
  await eventually(async () => box.node(instanceId).pid === 0);
  return { home, settings: ['DVE_LINGER=0.5', ...environment.filter((each) => wanted.test(each))] };
}

/** The plugin's configuration, with the sandbox's disks in it, and without a capability that this machine cannot give. */
async function configFor(home: string): Promise<string> {
  const config = JSON.parse(await readFile('plugin-config.json', 'utf8'));
  const machine = { name: 'machine', source: home, destination: home, type: 'bind', options: ['bind'] };
  config.mounts.push({ ...machine, description: '', settable: null });
  const has = (capability: string) => mayGrowExt4 || capability !== 'CAP_SYS_RESOURCE';
  config.linux.capabilities = config.linux.capabilities.filter(has);
  return JSON.stringify(config);
}

describe.skipIf(skip)('the managed plugin in a real dockerd', () => {
  let box: TestSandbox;
  let engine: Dockerd;
  let registry: Registry;
  let reference: string;
  let settings: string[];
  beforeAll(async () => {
    box = await testSandbox({ nodes: 1 });
    [registry, engine] = await Promise.all([startRegistry(), startDockerd(undefined)]);
    const instance = await instanceFor(box);
    settings = [...instance.settings, `run.source=${directory()}`];
    await importPluginImages(engine, box.dir);
    const config = join(box.dir, 'plugin-config.json');
    await writeFile(config, await configFor(instance.home));
    const images = ['--build-arg', 'BASE=plugin-base', '--build-arg', 'NODE=plugin-node', '--network', 'none'];
    const command = [
      'npm',
      'run',
      '-s',
      'plugin',
      '--',
      '--name',
      `${registry.host}/ebs`,
      '--config',
      config,
      ...images,
    ];
    const { code, stdout, stderr } = await run('env', [`DOCKER_HOST=${engine.host}`, ...command]);
    if (code !== 0) throw new Error(`npm run plugin ended with ${code}: ${stderr}`);
    reference = stdout.trim();
  });
  afterAll(async () => {
    await engine?.stop();
    await registry?.close();
    await box?.close();
  });

  const inspect = async () => JSON.parse(await engine.ok('plugin', 'inspect', 'ebs'))[0];
  const directory = () => dirname(engine.host.slice('unix://'.length));
  const tasks = () => `${directory()}/exec/containerd/daemon/io.containerd.runtime.v2.task/plugins.moby`;
  const pid = async () =>
    Number(await readFile(`${tasks()}/${(await inspect()).Id}/init.pid`, 'utf8').catch(() => '0'));
  /** Runs Node inside the plugin, with the plugin's rights. */
  const inside = async (...args: string[]) => {
    const runc = ['--root', `${directory()}/exec/runtime-runc/plugins.moby`, 'exec', (await inspect()).Id];
    return run('runc', [...runc, 'node', ...args]);
  };
  const install = () =>
    engine.ok('plugin', 'install', '--grant-all-permissions', '--disable', '--alias', 'ebs', reference, ...settings);
  const create = (name: string, ...options: string[]) =>
    engine.ok('volume', 'create', '-d', 'ebs', '-o', 'size=1', ...options.flatMap((each) => ['-o', each]), name);
  const runOn = (name: string, ...args: string[]) =>
    engine.ok('run', '-d', '--network', 'none', '--name', name, ...args, 'busybox', 'sleep', '1000');
  const sh = (name: string, script: string) => engine.ok('exec', name, 'sh', '-c', script);
  const beside = (volume: string, script: string) =>
    engine.docker('run', '--rm', '--network', 'none', ...withVolume(volume), 'busybox', 'sh', '-c', script);
  /** What one writes the other reads, in both directions: there is one filesystem, not two. */
  const shareOneDisk = async (container: string, word: string) => {
    await sh(container, `echo ${word} > /v/${word}; sync -f /v`);
    const other = await beside('data', `cat /v/first /v/${word}; echo back > /v/back-${word}`);
    expect(other).toMatchObject({ code: 0, stdout: `first\n${word}\n` });
    expect(await sh(container, `cat /v/first /v/back-${word}`)).toBe('first\nback');
  };

  it('is built, pushed, and installed from a registry with its settings', async () => {
    expect(reference).toMatch(/\/ebs:\d+\.\d+\.\d+-(amd64|arm64)$/);
    await engine.ok('plugin', 'push', reference);
    await engine.ok('plugin', 'rm', reference);
    await install();
    const { Settings, Enabled } = await inspect();
    expect(Settings.Env).toEqual(expect.arrayContaining(settings.filter((each) => !each.startsWith('run.'))));
    expect(Enabled).toBe(false);
    expect(await engine.docker('plugin', 'set', 'ebs', 'DVE_SOCKET=/tmp/x')).not.toMatchObject({ code: 0 });
    for (const policy of ['nonsense', '']) await engine.ok('plugin', 'set', 'ebs', `DVE_ON_REMOVE=${policy}`);
  });

  it('starts with docker plugin enable, and holds what it needs and no package manager of Node', async () => {
    await engine.ok('plugin', 'enable', 'ebs');
    const root = `/proc/${await pid()}/root`;
    expect(await readdir(`${root}/usr/local/bin`)).toEqual(['node']);
    expect(await readdir(`${root}/usr/local/lib`)).toEqual(['docker-volume-ebs.mjs']);
  });

  it('lets an operator ask the daemon, and the daemon the engine', async () => {
    const asked = await inside('/usr/local/lib/docker-volume-ebs.mjs', 'fence', 'history', '--json');
    expect(asked).toMatchObject({ code: 0 });
    const connects = "require('net').connect('/host/run/docker.sock', () => process.exit(7))";
    expect(await inside('-e', connects)).toMatchObject({ code: 7 });
  });

  it.each(['ext4', 'xfs', 'btrfs'])('gives a container a volume with %s', async (fsType) => {
    const name = `with-${fsType}`;
    await create(name, `fsType=${fsType}`);
    expect(await beside(name, 'echo kept > /v/file')).toMatchObject({ code: 0 });
    await box.detached(name);
    expect(await beside(name, 'cat /v/file')).toMatchObject({ code: 0, stdout: 'kept\n' });
    await engine.ok('volume', 'rm', name);
  });

  it('sees which container keeps a disk in use whose last holder has left, though another user runs in it', async () => {
    await create('data', 'mode=0777');
    const id = await runOn('first', '-u', '1000', ...withVolume('data'));
    await sh('first', 'echo first > /v/first');
    await engine.ok('cp', 'first:/v/first', '-');
    const waits = await eventually(async () => (await engine.volume('data')).Status.waitingFor);
    expect(waits).toContain(`container ${id.slice(0, 12)}`);
    expect(await sh('first', 'cat /v/first')).toBe('first');
    await engine.ok('rm', '-f', 'first');
    await box.detached('data');
  });

  it('disabled by force and enabled again under a container gives others the same disk', async () => {
    await runOn('second', ...withVolume('data'));
    expect(await engine.docker('plugin', 'disable', 'ebs')).not.toMatchObject({ code: 0 });
    await engine.ok('plugin', 'disable', '-f', 'ebs');
    expect(await sh('second', 'echo away > /v/away; cat /v/first /v/away')).toBe('first\naway');
    await engine.ok('plugin', 'enable', 'ebs');
    await shareOneDisk('second', 'enabled');
  });

  it('is upgraded under a container: same volumes, same settings, same disk', async () => {
    const before = await inspect();
    const next = { description: 'the next version' };
    registry.retag('ebs', reference.split(':').at(-1) ?? '', 'next', (config) => Object.assign(config, next));
    await engine.ok('plugin', 'disable', '-f', 'ebs');
    const words = ['--grant-all-permissions', '--skip-remote-check'];
    await engine.ok('plugin', 'upgrade', ...words, 'ebs', `${registry.host}/ebs:next`);
    await engine.ok('plugin', 'enable', '--timeout', '0', 'ebs');
    const after = await inspect();
    expect(after.Config.Description).toBe(next.description);
    expect({ id: after.Id, env: after.Settings.Env }).toEqual({ id: before.Id, env: before.Settings.Env });
    await shareOneDisk('second', 'upgraded');
  });

  it('removed by force and installed anew, its journal lost, refuses a disk in use, and gives it when it is free', async () => {
    await engine.ok('plugin', 'rm', '-f', 'ebs');
    expect(await sh('second', 'echo without > /v/without; cat /v/first')).toBe('first');
    await install();
    await engine.ok('plugin', 'enable', 'ebs');
    const refused = await beside('data', 'true');
    expect(refused).toMatchObject({ code: 125 });
    expect(refused.stderr).toMatch(/still has .* mounted/);
    expect(await sh('second', 'cat /v/first /v/without')).toBe('first\nwithout');
    await engine.ok('rm', '-f', 'second');
    await box.detached('data');
    expect(await beside('data', 'cat /v/first /v/without')).toMatchObject({ code: 0, stdout: 'first\nwithout\n' });
  });

  it('killed under a container is started again by dockerd, and its mounts are there', async () => {
    await runOn('third', ...withVolume('data'));
    const killed = await pid();
    process.kill(killed, 'SIGKILL');
    expect(await sh('third', 'cat /v/first')).toBe('first');
    const started = await eventually(async () => [await pid()].find((each) => each !== 0 && each !== killed));
    await shareOneDisk('third', 'restarted');
    expect(await pid()).toBe(started);
    await engine.ok('rm', '-f', 'third');
  });

  it('goes, and what was not removed stays in EC2', async () => {
    await box.detached('data');
    const last = await pid();
    await engine.ok('plugin', 'disable', '-f', 'ebs');
    await engine.ok('plugin', 'rm', 'ebs');
    expect(await engine.ok('plugin', 'ls', '-q')).toBe('');
    await expect(readFile(`/proc/${last}/cmdline`)).rejects.toThrow('ENOENT');
    expect(await box.volumes()).toMatchObject([{ State: 'available' }]);
  });
});
