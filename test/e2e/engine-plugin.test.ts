import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Dockerd, startDockerd, withVolume } from '../support/dockerd.ts';
import { requires } from '../support/requirements.ts';
import { eventually, mountedAt, type TestSandbox, testSandbox } from '../support/sandbox.ts';

const { skip } = requires('root', 'loop', 'dockerd', 'aws');

describe.skipIf(skip)('a real dockerd whose driver, or EC2, is in trouble', () => {
  let box: TestSandbox;
  let engine: Dockerd;
  let id: string;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 1, nodeEnv: { DVE_LINGER: '0.5' } });
    id = box.node(0).instanceId;
    engine = await startDockerd(box.node(id).socket);
  });
  afterAll(async () => {
    await engine?.stop();
    await box?.close();
  });
  afterEach(() => box.clearFaults());

  const options = { size: '2', fsType: 'xfs' };
  const create = (name: string) => engine.ok('volume', 'create', '-d', 'ebs', '-o', 'size=2', '-o', 'fsType=xfs', name);
  const runOn = (name: string, volume = name) =>
    engine.ok('run', '-d', '--network', 'none', '--name', name, ...withVolume(volume), 'busybox', 'sleep', '1000');
  const sh = (name: string, script: string) => engine.ok('exec', name, 'sh', '-c', script);
  const stop = (name: string) => engine.ok('stop', '-t', '0', name);
  const target = (name: string) => `${box.node(id).root}/volumes/${name}`;
  const unmounted = (name: string) => eventually(async () => (await mountedAt(target(name))) === undefined);
  const killDaemon = async () => {
    process.kill(box.node(id).pid, 'SIGKILL');
    await eventually(async () => box.node(id).pid === 0);
  };
  /** Waits until the driver's log has a line about this volume that holds these words. */
  const logged = (volume: string, words: string) =>
    eventually(async () =>
      (await readFile(box.node(id).log, 'utf8'))
        .split('\n')
        .some((line) => line.includes(`"volume":"${volume}"`) && line.includes(words)),
    );

  it('does not notice that the driver was killed and started again under a container', async () => {
    await create('restarted');
    await runOn('restarted');
    const { Status: before } = await engine.volume('restarted');
    await killDaemon();
    expect(await sh('restarted', 'echo meanwhile > /v/file; cat /v/file')).toBe('meanwhile');
    await box.sandbox.startDaemon(id);
    expect(await engine.volume('restarted')).toMatchObject({ Options: options, Status: before });
    expect(await sh('restarted', 'echo after >> /v/file; cat /v/file')).toBe('meanwhile\nafter');
    await stop('restarted');
    await box.detached('restarted');
    await engine.ok('start', 'restarted');
    expect(await sh('restarted', 'cat /v/file')).toBe('meanwhile\nafter');
    await engine.ok('rm', '-f', 'restarted');
    await box.detached('restarted');
  });

  it('waits for a driver that comes back while it is asked, and forgets nothing', async () => {
    await create('awaited');
    await killDaemon();
    const asked = Promise.all([
      engine.ok('volume', 'ls', '--format', '{{.Name}}'),
      engine.volume('awaited'),
      engine.docker('run', '--rm', '--network', 'none', ...withVolume('awaited'), 'busybox', 'true'),
    ]);
    await sleep(500);
    await box.sandbox.startDaemon(id);
    const [listed, inspected, ran] = await asked;
    expect(listed).toContain('awaited');
    expect(inspected).toMatchObject({ Options: options });
    expect(ran).toMatchObject({ code: 0 });
    await box.detached('awaited');
  });

  it('that starts again while the driver is away knows its volumes and their options', async () => {
    await create('kept');
    await engine.terminate();
    await killDaemon();
    const starting = engine.start();
    await sleep(500);
    await box.sandbox.startDaemon(id);
    await starting;
    expect(await engine.volume('kept')).toMatchObject({ Driver: 'ebs', Options: options });
    await runOn('kept');
    await engine.ok('rm', '-f', 'kept');
    await box.detached('kept');
  });

  it.each([
    ['fails', { kind: 'error', status: 500, code: 'InternalError' }],
    ['throttles', { kind: 'throttle' }],
  ])('unmounts at stop although EC2 %s, and keeps the volume’s options', async (how, fault) => {
    const name = `ec2-${how}`;
    await create(name);
    await runOn(name);
    await sh(name, 'echo kept > /v/file');
    await box.fault({ ...fault, action: 'Describe*' });
    expect(await engine.volume(name)).toMatchObject({ Options: options, Status: { state: 'mounted' } });
    await stop(name);
    await unmounted(name);
    expect(await engine.volume(name)).toMatchObject({ Options: options });
    expect(await engine.ok('volume', 'ls', '--format', '{{.Name}}')).toContain(name);
    await box.clearFaults();
    await box.detached(name);
    expect(await engine.volume(name)).toMatchObject({ Options: options });
    await engine.ok('start', name);
    expect(await sh(name, 'cat /v/file')).toBe('kept');
    await engine.ok('rm', '-f', name);
    await box.detached(name);
  });

  // An answer with any error makes dockerd forget the volume with its options.
  it('keeps the options of a volume though the driver has just started and EC2 cannot be asked', async () => {
    await create('unsure');
    await killDaemon();
    await box.sandbox.startDaemon(id);
    await box.fault({ kind: 'error', status: 500, code: 'InternalError', action: 'Describe*' });
    expect(await engine.volume('unsure')).toMatchObject({ Options: options, Status: { stale: expect.any(String) } });
    await box.clearFaults();
    expect(await engine.volume('unsure')).toMatchObject({ Options: options });
  });

  it('loses a volume that is deleted in EC2 under a container, and can create it anew', async () => {
    await create('deleted');
    await runOn('deleted');
    await sh('deleted', 'echo lost > /v/file; sync -f /v');
    const [{ VolumeId = '' } = {}] = await box.volumes('deleted');
    await box.aws('detach-volume', '--volume-id', VolumeId, '--force');
    await box.detached('deleted');
    await box.aws('delete-volume', '--volume-id', VolumeId);
    const { code, stderr } = await engine.docker('exec', 'deleted', 'sh', '-c', 'cat /v/file; echo more >> /v/file');
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/input\/output error/i);
    await logged('deleted', 'its disk is gone from this machine: taking its mount away');
    await unmounted('deleted');
    await engine.ok('rm', '-f', 'deleted');
    await engine.docker('volume', 'rm', '-f', 'deleted');
    await engine.ok('volume', 'create', '-d', 'ebs', '-o', 'size=3', '-o', 'fsType=ext4', 'deleted');
    expect(await box.volumes('deleted')).toMatchObject([{ Size: 3, State: 'available' }]);
    expect(await engine.volume('deleted')).toMatchObject({ Options: { size: '3', fsType: 'ext4' } });
    await runOn('anew', 'deleted');
    expect(await sh('anew', 'ls -A /v')).toBe('');
    await engine.ok('rm', '-f', 'anew');
    await box.detached('deleted');
  });
});
