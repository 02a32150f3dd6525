import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Dockerd, startDockerd } from '../support/dockerd.ts';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, testSandbox } from '../support/sandbox.ts';

const { skip } = requires('root', 'loop', 'dockerd');

describe.skipIf(skip)('a real dockerd with the driver as its plugin', () => {
  let box: TestSandbox;
  let engine: Dockerd;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 1 });
    engine = await startDockerd(box.node(0).socket);
  });
  afterAll(async () => {
    await engine?.stop();
    await box?.close();
  });

  const run = (...args: string[]) => engine.ok('run', '--rm', '--network', 'none', ...args);
  const volume = (name: string) => `type=volume,source=${name},target=/v,volume-driver=ebs`;
  const state = async (name: string) => {
    const { Volumes } = (await box.aws('describe-volumes', '--filters', `Name=tag:Name,Values=${name}`)) as {
      Volumes: { State: string; VolumeId: string; Size: number; Attachments: { State: string }[] }[];
    };
    return Volumes;
  };
  const detached = (name: string) =>
    eventually(async () => (await state(name)).every(({ Attachments }) => Attachments.length === 0));

  it('creates a volume with options, shows it, and EC2 has it', async () => {
    await engine.ok('volume', 'create', '-d', 'ebs', '-o', 'size=2', '-o', 'fsType=ext4', 'made');
    expect(await state('made')).toMatchObject([{ State: 'available', Size: 2 }]);
    const [shown] = JSON.parse(await engine.ok('volume', 'inspect', 'made'));
    expect(shown).toMatchObject({
      Name: 'made',
      Driver: 'ebs',
      Scope: 'global',
      Options: { size: '2', fsType: 'ext4' },
    });
    expect(shown.Status).toMatchObject({ volumeId: expect.stringMatching(/^vol-/), sizeGiB: 2, state: 'available' });
    expect(Date.parse(shown.CreatedAt)).toBeGreaterThan(Date.now() - 600_000);
    expect(await engine.ok('volume', 'ls', '--format', '{{.Driver}} {{.Name}}')).toContain('ebs made');
  });

  it('is not asked to create a name that the engine knows: other options are ignored without a word', async () => {
    await engine.ok('volume', 'create', '-d', 'ebs', '-o', 'size=1', 'known');
    expect(await engine.ok('volume', 'create', '-d', 'ebs', '-o', 'size=3', '-o', 'nonsense=1', 'known')).toBe('known');
    expect(await state('known')).toMatchObject([{ Size: 1 }]);
  });

  it('says through docker what is wrong with an option', async () => {
    const { code, stderr } = await engine.docker('volume', 'create', '-d', 'ebs', '-o', 'sise=2', 'misspelt');
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/volume "misspelt".*no option "sise".*Did you mean size\?/);
    expect(await state('misspelt')).toEqual([]);
  });

  it('keeps what a container wrote for the next one, and detaches in between', async () => {
    await run('--mount', volume('kept'), 'busybox', 'sh', '-c', 'echo hello > /v/greeting; sync -f /v');
    await detached('kept');
    expect(await run('--mount', volume('kept'), 'busybox', 'cat', '/v/greeting')).toBe('hello');
    expect(await run('--mount', volume('kept'), 'busybox', 'ls', '-A', '/v')).toBe('greeting');
    await detached('kept');
  });

  it('mounts twice within one docker run with one attachment', async () => {
    box.sandbox.resetCalls();
    await run('-v', 'seeded:/seeded', '--volume-driver', 'ebs', 'busybox', 'true');
    expect(box.sandbox.calls()).toMatchObject({ CreateVolume: 1, AttachVolume: 1 });
    await detached('seeded');
    expect(box.sandbox.calls()).toMatchObject({ AttachVolume: 1, DetachVolume: 1 });
  });

  it('copies the content of the image into a new volume, once', async () => {
    const args = ['-v', 'seeds:/seeded', '--volume-driver', 'ebs', 'busybox'];
    expect(await run(...args, 'ls', '-A', '/seeded')).toBe('from-image');
    await run(...args, 'sh', '-c', 'echo mine > /seeded/from-image');
    expect(await run(...args, 'cat', '/seeded/from-image')).toBe('mine');
  });

  it('keeps a volume mounted for a running container through docker cp, restart and a second container', async () => {
    const args = ['-d', '--network', 'none', '--name', 'long', '--mount', volume('busy'), 'busybox'];
    await engine.ok('run', ...args, 'sh', '-c', 'echo one > /v/one; sleep 1000');
    expect(await engine.ok('cp', 'long:/v/one', '-')).toContain('one');
    expect(await engine.ok('exec', 'long', 'cat', '/v/one')).toBe('one');
    expect(await run('--mount', volume('busy'), 'busybox', 'cat', '/v/one')).toBe('one');
    await engine.ok('exec', 'long', 'sh', '-c', 'echo two > /v/two');
    await engine.ok('restart', '-t', '0', 'long');
    expect(await engine.ok('exec', 'long', 'cat', '/v/two')).toBe('two');
    expect((await state('busy'))[0]?.Attachments).toMatchObject([{ State: expect.stringMatching(/^attach/) }]);
    const { stderr } = await engine.docker('volume', 'rm', 'busy');
    expect(stderr).toContain('in use');
    await engine.ok('rm', '-f', 'long');
    await detached('busy');
  });

  it('shows a mounted volume with its holders and mountpoint', async () => {
    await engine.ok(
      'run',
      '-d',
      '--network',
      'none',
      '--name',
      'shown',
      '--mount',
      volume('shown'),
      'busybox',
      'sleep',
      '1000',
    );
    const [{ Mountpoint, Status }] = JSON.parse(await engine.ok('volume', 'inspect', 'shown'));
    expect(Mountpoint).toBe(`${box.node(0).root}/volumes/shown/data`);
    expect(Status).toMatchObject({ state: 'mounted', owner: box.node(0).instanceId, filesystem: 'ext4' });
    expect(Status.holders).toMatchObject([{ id: expect.stringMatching(/^[0-9a-f]{64}$/) }]);
    await engine.ok('rm', '-f', 'shown');
  });

  it('removes a volume within its linger, and EC2 has it no more', async () => {
    await run('--mount', volume('gone'), 'busybox', 'true');
    await engine.ok('volume', 'rm', 'gone');
    expect((await state('gone')).filter(({ State }) => State !== 'deleting')).toEqual([]);
    expect((await engine.docker('volume', 'inspect', 'gone')).code).not.toBe(0);
  });

  it('makes a volume of a removed name anew, empty', async () => {
    await run('--mount', volume('again'), 'busybox', 'sh', '-c', 'echo old > /v/old; sync -f /v');
    const [before] = await state('again');
    await engine.ok('volume', 'rm', 'again');
    expect(await run('--mount', volume('again'), 'busybox', 'ls', '-A', '/v')).toBe('');
    const now = (await state('again')).filter(({ State }) => State !== 'deleting');
    expect(now).toHaveLength(1);
    expect(now[0]?.VolumeId).not.toBe(before?.VolumeId);
  });
});
