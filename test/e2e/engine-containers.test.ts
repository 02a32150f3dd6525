import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Dockerd, startDockerd, withVolume } from '../support/dockerd.ts';
import { requires } from '../support/requirements.ts';
import { mountedAt, type TestSandbox, testSandbox } from '../support/sandbox.ts';

const { skip } = requires('root', 'loop', 'dockerd');

describe.skipIf(skip)('containers of a real dockerd', () => {
  let box: TestSandbox;
  let engine: Dockerd;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 1, nodeEnv: { DVE_LINGER: '0.5' } });
    engine = await startDockerd(box.node(0).socket);
  });
  afterAll(async () => {
    await engine?.stop();
    await box?.close();
  });

  const create = (name: string) => engine.ok('volume', 'create', '-d', 'ebs', '-o', 'size=1', name);
  const run = (...args: string[]) => engine.ok('run', '--rm', '--network', 'none', ...args);
  /** Starts a container of this name that lives until it is stopped. */
  const runOn = (name: string, ...mounts: string[]) =>
    engine.ok('run', '-d', '--network', 'none', '--name', name, ...mounts, 'busybox', 'sleep', '1000');
  const sh = (name: string, script: string) => engine.ok('exec', name, 'sh', '-c', script);
  const stop = (...names: string[]) => engine.ok('stop', '-t', '0', ...names);
  const holders = async (name: string): Promise<{ id: string }[]> => (await engine.volume(name)).Status.holders;
  const target = (name: string) => `${box.node(0).root}/volumes/${name}`;

  it('keep their volume through docker cp, however often, and lose it when they stop', async () => {
    await create('copied');
    box.sandbox.resetCalls();
    await runOn('copied', ...withVolume('copied'));
    for (const round of [1, 2, 3]) {
      await sh('copied', `echo ${round} > /v/${round}; sync -f /v`);
      expect(await engine.ok('cp', `copied:/v/${round}`, '-')).toContain(`${round}\n`);
      expect(await engine.ok('cp', 'copied:/seeded', '-')).toContain('seed');
      expect(await sh('copied', `echo more >> /v/${round}; cat /v/*`)).toMatch(/more$/);
      expect(await mountedAt(target('copied'))).toBeDefined();
    }
    expect((await engine.volume('copied')).Status).toMatchObject({ state: 'mounted' });
    await stop('copied');
    await box.detached('copied');
    expect(box.sandbox.calls()).toMatchObject({ AttachVolume: 1, DetachVolume: 1 });
    expect(await run(...withVolume('copied'), 'busybox', 'cat', '/v/1', '/v/2', '/v/3')).toBe(
      '1\nmore\n2\nmore\n3\nmore',
    );
    await box.detached('copied');
  });

  it('that are stopped can be copied from and to', async () => {
    await create('still');
    await runOn('still', ...withVolume('still'));
    await sh('still', 'echo inside > /v/file');
    await stop('still');
    await box.detached('still');
    expect(await engine.ok('cp', 'still:/v/file', '-')).toContain('inside');
    await engine.ok('cp', 'still:/seeded/from-image', `${box.dir}/from-image`);
    await engine.ok('cp', `${box.dir}/from-image`, 'still:/v/copied');
    await box.detached('still');
    await engine.ok('start', 'still');
    expect(await sh('still', 'cat /v/file /v/copied')).toBe('inside\nseed');
    await stop('still');
    await box.detached('still');
  });

  it('may have one volume at two places', async () => {
    await create('double');
    await runOn('double', ...withVolume('double', '/a'), ...withVolume('double', '/b'));
    await sh('double', 'echo one > /a/file');
    expect(await sh('double', 'cat /b/file')).toBe('one');
    expect(new Set((await holders('double')).map(({ id }) => id)).size).toBe(2);
    await stop('double');
    await box.detached('double');
  });

  it('share a volume, and the last to stop gives it back', async () => {
    await create('shared');
    box.sandbox.resetCalls();
    for (const name of ['first', 'second']) await runOn(name, ...withVolume('shared'));
    expect(await holders('shared')).toHaveLength(2);
    await stop('first');
    expect(await holders('shared')).toHaveLength(1);
    expect(await sh('second', 'echo still > /v/file; cat /v/file')).toBe('still');
    expect(box.sandbox.calls()).not.toHaveProperty('DetachVolume');
    await stop('second');
    await box.detached('shared');
    expect(box.sandbox.calls()).toMatchObject({ AttachVolume: 1, DetachVolume: 1 });
  });

  it('that start at once on one volume attach it once', async () => {
    await create('crowd');
    box.sandbox.resetCalls();
    const names = ['crowd-1', 'crowd-2', 'crowd-3'];
    await Promise.all(names.map((name) => runOn(name, ...withVolume('crowd'))));
    expect(box.sandbox.calls()).toMatchObject({ AttachVolume: 1 });
    expect(await holders('crowd')).toHaveLength(3);
    await Promise.all(names.map((name) => sh(name, `echo ${name} > /v/${name}`)));
    expect(await sh('crowd-2', 'cat /v/*')).toBe(names.join('\n'));
    await Promise.all(names.map((name) => engine.ok('rm', '-f', name)));
    await box.detached('crowd');
    expect(box.sandbox.calls()).toMatchObject({ AttachVolume: 1, DetachVolume: 1 });
  });

  it('find after each of many restarts what they wrote before', async () => {
    await create('often');
    await runOn('often', ...withVolume('often'));
    for (const round of [1, 2, 3, 4]) {
      await sh('often', `echo ${round} >> /v/rounds`);
      await engine.ok('restart', '-t', '0', 'often');
      expect(await holders('often')).toHaveLength(1);
    }
    expect(await sh('often', 'cat /v/rounds')).toBe('1\n2\n3\n4');
    await stop('often');
    await box.detached('often');
  });

  it('that cannot start leave the volume detached', async () => {
    await create('unstartable');
    const { code, stderr } = await engine.docker(
      ...['run', '--network', 'none', '--name', 'unstartable', '--entrypoint', '/nowhere'],
      ...[...withVolume('unstartable'), 'busybox'],
    );
    expect(code).toBe(127);
    expect(stderr).toContain('/nowhere');
    await box.detached('unstartable');
    await engine.ok('rm', 'unstartable');
    await engine.ok('volume', 'rm', 'unstartable');
    expect(await box.volumes('unstartable')).toEqual([]);
  });

  it('with a volume of no driver get a local one, quickly', async () => {
    const before = Date.now();
    await run('-v', 'plain:/x', 'busybox', 'true');
    expect(Date.now() - before).toBeLessThan(10_000);
    expect(await engine.volume('plain')).toMatchObject({ Driver: 'local' });
    expect(await box.volumes('plain')).toEqual([]);
  });

  it('with a driver’s volume named plainly get that one', async () => {
    await create('named');
    await run('-v', 'named:/seeded', 'busybox', 'sh', '-c', 'echo ours > /seeded/file');
    expect(await run('-v', 'named:/seeded', 'busybox', 'cat', '/seeded/from-image', '/seeded/file')).toBe('seed\nours');
    await box.detached('named');
  });
});
