import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTimeOf } from '../../src/sandbox/processes.ts';
import { openPage } from '../docs/page.ts';
import { type Dockerd, startDockerd, withVolume } from '../support/dockerd.ts';
import { importPluginImages } from '../support/plugin-images.ts';
import { type Registry, startRegistry } from '../support/registry.ts';
import { requires } from '../support/requirements.ts';
import { run } from '../support/run.ts';
import { eventually, type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';
import { becomeNode, sandboxedConfig } from '../support/sandboxed-plugin.ts';

const { skip } = requires('root', 'loop', 'dockerd', 'dpkg-query', 'mkfs.xfs', 'mkfs.btrfs');

describe.skipIf(skip)('the managed plugin in a real dockerd', () => {
  const page = openPage('docs/plugin.md');
  let box: TestSandbox;
  let engine: Dockerd;
  let registry: Registry;
  let reference: string;
  let settings: string[];
  beforeAll(async () => {
    box = await testSandbox({ nodes: 1 });
    [registry, engine] = await Promise.all([startRegistry(), startDockerd(undefined)]);
    settings = [...(await becomeNode(box, 0)), `run.source=${directory()}`];
    await importPluginImages(engine, box.dir);
    const config = join(box.dir, 'plugin-config.json');
    await writeFile(config, JSON.stringify(await sandboxedConfig(dirname(box.node(0).socket))));
    const images = `--config ${config} --build-arg BASE=plugin-base --build-arg NODE=plugin-node --network none`;
    const built = await docs('npm ci', {
      'npm ci && ': '',
      '--name REGISTRY/ebs': `--name ${registry.host}/ebs --output ${join(box.dir, 'release')} ${images}`,
      REGISTRY: registry.host,
    });
    reference = /^\S+\/ebs:\S+$/m.exec(built.stdout)?.[0] ?? '';
  });
  afterAll(async () => {
    await engine?.stop();
    await registry?.close();
    await box?.close();
  });

  /** Runs commands of the page on this engine. */
  const docs = (start: string, replace?: Record<string, string>) =>
    page.run(start, { env: { DOCKER_HOST: engine.host }, ...(replace && { replace }) });
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
  const create = (name: string, ...options: string[]) =>
    engine.ok('volume', 'create', '-d', 'ebs', '-o', 'size=1', ...options.flatMap((each) => ['-o', each]), name);
  const runOn = (name: string, ...args: string[]) =>
    engine.ok('run', '-d', '--network', 'none', '--name', name, ...args, 'busybox', 'sleep', '1000');
  const sh = (name: string, script: string) => engine.ok('exec', name, 'sh', '-c', script);
  const beside = (volume: string, script: string) =>
    engine.docker('run', '--rm', '--network', 'none', ...withVolume(volume), 'busybox', 'sh', '-c', script);
  const keepsAFileWith = async (fsType: string) => {
    const name = `with-${fsType}`;
    await create(name, `fsType=${fsType}`);
    expect(await beside(name, 'echo kept > /v/file')).toMatchObject({ code: 0 });
    await box.detached(name);
    expect(await beside(name, 'cat /v/file')).toMatchObject({ code: 0, stdout: 'kept\n' });
    await engine.ok('volume', 'rm', name);
  };
  /** What the plugin has written, as the engine's log has it. */
  const daemonLog = () =>
    engine
      .log()
      .split('\n')
      .flatMap((line) => / msg="(\{.*\})" plugin=/.exec(line)?.[1] ?? [])
      .map((text) => JSON.parse(JSON.parse(`"${text}"`)));
  const acceptedAfterMs = async (process: number): Promise<number> => {
    const ticks = Number(await startTimeOf(process));
    const [, uptime = ''] = /^btime (\d+)$/m.exec(await readFile('/proc/stat', 'utf8')) ?? [];
    const listening = daemonLog().findLast(({ msg }) => msg === 'listening');
    return Date.parse(listening.time) - (Number(uptime) * 1000 + ticks * 10);
  };
  /** Installs it without a registry, after the same file with another byte in it was refused. */
  const installFromFile = async () => {
    const release = join(box.dir, 'release');
    const [name = ''] = (await readdir(release)).filter((each) => each.endsWith('.tar.gz'));
    const file = join(release, name);
    const env = { DOCKER_HOST: engine.host };
    const replace = {
      'docker-volume-ebs-plugin-0.1.0-amd64.tar.gz': name,
      'DVE_CLUSTER=production': ['DVE_CLUSTER=production', ...settings].join(' '),
    };
    const install = () => page.run('sh install-plugin', { env, replace, cwd: release });
    const sum = await readFile(`${file}.sha256`, 'utf8');
    await writeFile(
      `${file}.sha256`,
      sum.replace(/^./, (digit) => (digit === '0' ? '1' : '0')),
    );
    await expect(install()).rejects.toThrow('is not what');
    await writeFile(`${file}.sha256`, sum);
    expect((await install()).stdout).toContain('The plugin ebs is installed and enabled');
    await expect(install()).rejects.toThrow('docker has a plugin ebs already');
  };
  /** What one writes the other reads, in both directions: there is one filesystem, not two. */
  const shareOneDisk = async (container: string, word: string) => {
    await sh(container, `echo ${word} > /v/${word}; sync -f /v`);
    const other = await beside('data', `cat /v/first /v/${word}; echo back > /v/back-${word}`);
    expect(other, other.stderr).toMatchObject({ code: 0, stdout: `first\n${word}\n` });
    expect(await sh(container, `cat /v/first /v/back-${word}`)).toBe('first\nback');
  };

  it('is built and pushed, with a tag for this architecture, and installed from a registry', async () => {
    expect(reference).toMatch(/\/ebs:\d+\.\d+\.\d+-(amd64|arm64)$/);
    await engine.ok('plugin', 'rm', reference);
    await docs('docker plugin install', {
      'REGISTRY/ebs:0.1.0-amd64': reference,
      'DVE_CLUSTER=production': ['DVE_CLUSTER=production', ...settings].join(' '),
      IMAGE: 'busybox sh -c "echo first > /var/lib/data/first; sync -f /var/lib/data"',
    });
    expect(await beside('data', 'cat /v/first')).toMatchObject({ code: 0, stdout: 'first\n' });
    expect(await box.volumes('data')).toMatchObject([{ Size: 20 }]);
  });

  it('holds what it needs and no package manager of Node', async () => {
    const root = `/proc/${await pid()}/root`;
    expect((await readdir(`${root}/usr/local/bin`)).sort()).toEqual(['docker-volume-ebs', 'node']);
    expect(await readdir(`${root}/usr/local/lib`)).toEqual(['docker-volume-ebs.mjs']);
  });

  it('ends in good order when it is told to, as process 1 of a container too', async () => {
    const image = await engine.ok('images', '-q', '-f', 'dangling=true');
    const identity = ['DVE_INSTANCE_ID=i-0', 'DVE_AVAILABILITY_ZONE=us-east-1a', 'AWS_REGION=us-east-1'];
    const env = identity.flatMap((each) => ['-e', each]);
    await engine.ok('run', '-d', '--network', 'none', '--name', 'daemon', ...env, image);
    await eventually(async () => (await engine.ok('logs', 'daemon')).includes('listening'));
    await engine.ok('stop', 'daemon');
    expect(await engine.ok('inspect', '-f', '{{.State.ExitCode}}', 'daemon')).toBe('0');
    await engine.ok('rm', 'daemon');
  });

  it('is set while it is disabled, and keeps its settings', async () => {
    await docs('docker plugin disable -f ebs\ndocker plugin set');
    const wanted = [...settings.filter((each) => /^[A-Z]/.test(each)), 'DVE_ON_REMOVE=snapshot', 'DVE_TAGS=team=data'];
    expect((await inspect()).Settings.Env).toEqual(expect.arrayContaining(wanted));
    await create('tagged');
    expect(tagsOf((await box.volumes('tagged'))[0])).toMatchObject({ team: 'data' });
    await engine.ok('plugin', 'disable', '-f', 'ebs');
    expect(await engine.docker('plugin', 'set', 'ebs', 'DVE_SOCKET=/tmp/x')).not.toMatchObject({ code: 0 });
    await engine.ok('plugin', 'set', 'ebs', 'DVE_ON_REMOVE=', 'DVE_TAGS=');
    await engine.ok('plugin', 'enable', 'ebs');
    await engine.ok('volume', 'rm', 'tagged');
  });

  it('enabled plainly, outlasts the 30 seconds that Docker waits for a mount, and serves others meanwhile', async () => {
    await create('slow');
    const [{ VolumeId } = {}] = await box.volumes('slow');
    await box.fault({ kind: 'stuck-attaching', volume: VolumeId });
    const asked = performance.now();
    const [slow] = await Promise.all([beside('slow', 'true'), ...['ext4', 'xfs', 'btrfs'].map(keepsAFileWith)]);
    expect(slow).toMatchObject({ code: 125 });
    expect(slow.stderr).toMatch(/VolumeDriver\.Mount": .*(deadline|Timeout) exceeded/);
    process.stdout.write(`docker run gave up after ${((performance.now() - asked) / 1000).toFixed(1)} s\n`);
    await box.clearFaults();
    expect(await beside('slow', 'true')).toMatchObject({ code: 0 });
    await engine.ok('volume', 'rm', 'slow');
  });

  it('lets an operator ask the daemon, and the daemon the engine', async () => {
    const asked = await docs('ebs=$(docker plugin inspect', {
      '/run/docker/runtime-runc': `${directory()}/exec/runtime-runc`,
    });
    expect(asked.stdout).toContain(box.node(0).instanceId);
    const connects = "require('net').connect('/host/run/docker.sock', () => process.exit(7))";
    expect(await inside('-e', connects)).toMatchObject({ code: 7 });
  });

  it('is asked by docker ebs, which says what to do where it cannot', async () => {
    const config = join(box.dir, 'docker-config');
    const env = { DOCKER_HOST: engine.host, DOCKER_CONFIG: config, DOCKER_EBS_EXEC_ROOT: `${directory()}/exec` };
    const replace = { '/usr/local/lib/docker': config };
    const asked = await page.run('install -D -m 755 docker-ebs', { env, replace, cwd: 'scripts' });
    expect(asked.stdout).toContain(box.node(0).instanceId);
    const ebs = (args: string, execRoot = env.DOCKER_EBS_EXEC_ROOT) => {
      const variables = Object.entries({ ...env, DOCKER_EBS_EXEC_ROOT: execRoot }).map((each) => each.join('='));
      return run('env', [...variables, 'docker', ...args.split(' ')]);
    };
    const says = (text: string) => ({ code: 1, stderr: expect.stringContaining(text) });
    expect(await ebs('ebs --plugin ebs fence explain nowhere')).toMatchObject(says('nowhere'));
    expect(await ebs(`-H ${engine.host} ebs --plugin=ebs:latest version`)).toMatchObject({ code: 0 });
    expect(await ebs('ebs --plugin other status')).toMatchObject(says('there is no plugin other'));
    expect(await ebs('ebs status', box.dir)).toMatchObject(says('DOCKER_EBS_EXEC_ROOT'));
    expect((await ebs('--help')).stdout).toMatch(/ebs\* +Look after EBS volumes/);
  });

  it('says what it is made of', async () => {
    const names =
      'for (const { name } of require("/usr/local/share/docker-volume-ebs/docker-volume-ebs.cdx.json").components)';
    const { stdout } = await inside('-e', `${names} console.log(name)`);
    expect(stdout.split('\n')).toEqual(
      expect.arrayContaining(['fastify', 'pino', 'prom-client', '@aws-sdk/client-ec2']),
    );
  });

  it('sees which container keeps a disk in use whose last holder has left, though another user runs in it', async () => {
    const id = await runOn('first', '-u', '1000', ...withVolume('data'));
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
    const tag = reference.split(':').at(-1) ?? '';
    registry.retag('ebs', tag, '0.2.0-amd64', (config) => Object.assign(config, next));
    await docs('docker plugin disable -f ebs\ndocker plugin upgrade', { REGISTRY: registry.host });
    const after = await inspect();
    expect(after.Config.Description).toBe(next.description);
    expect({ id: after.Id, env: after.Settings.Env }).toEqual({ id: before.Id, env: before.Settings.Env });
    expect((await stat(`/proc/${await pid()}/root/host/run`)).ino).toBe((await stat('/run')).ino);
    await shareOneDisk('second', 'upgraded');
  });

  it('removed by force and installed anew, its journal lost, refuses a disk in use, and gives it when it is free', async () => {
    await engine.ok('plugin', 'rm', '-f', 'ebs');
    expect(await sh('second', 'echo without > /v/without; cat /v/first')).toBe('first');
    await installFromFile();
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
    process.stdout.write(`the plugin accepts ${await acceptedAfterMs(started)} ms after its process began\n`);
    await engine.ok('rm', '-f', 'third');
  });

  it('goes, and what was not removed stays in EC2', async () => {
    await box.detached('data');
    const last = await pid();
    await docs('docker plugin disable -f ebs\ndocker plugin rm');
    expect(await engine.ok('plugin', 'ls', '-q')).toBe('');
    await expect(readFile(`/proc/${last}/cmdline`)).rejects.toThrow('ENOENT');
    // It was not killed after ten seconds, but ended by itself.
    expect(daemonLog().at(-1)).toMatchObject({ msg: 'stopped' });
    const named = (await box.volumes()).filter((volume) => tagsOf(volume)['docker-volume-ebs:name'] !== undefined);
    expect(named).toMatchObject([{ State: 'available' }]);
  });
});
