import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Dockerd, startDockerd, withVolume } from '../support/dockerd.ts';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, testSandbox } from '../support/sandbox.ts';

const { skip } = requires('root', 'loop', 'dockerd');

/** Counts up in /v/log, each line on the disk before the next. */
const writer = 'i=0; while echo $i >> /v/log && sync; do i=$((i+1)); sleep 0.05; done; echo failed >> /v/log';

describe.skipIf(skip)('a dockerd with live-restore', () => {
  let box: TestSandbox;
  let engine: Dockerd;
  let id: string;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 1, nodeEnv: { DVE_LINGER: '0.5' } });
    id = box.node(0).instanceId;
    engine = await startDockerd(box.node(id).socket, ['--live-restore']);
  });
  afterAll(async () => {
    await engine?.stop();
    await box?.close();
  });

  const runWriter = (name: string) =>
    engine.ok('run', '-d', '--network', 'none', '--name', name, ...withVolume(name), 'busybox', 'sh', '-c', writer);
  const killDaemon = async () => {
    const { pid } = box.node(id);
    process.kill(pid, 'SIGKILL');
    await eventually(async () => box.node(id).pid === 0);
  };
  const linesOf = async (name: string): Promise<string[]> =>
    (await readFile(`${box.node(id).root}/volumes/${name}/data/log`, 'utf8')).trimEnd().split('\n');
  /** Waits until the container has written more than it has by now. */
  const writesOn = async (name: string): Promise<number> => {
    const before = (await linesOf(name)).length;
    return eventually(async () => {
      const { length } = await linesOf(name);
      return length > before + 2 && length;
    });
  };
  /** What the stopped container wrote, read by another one. */
  const written = async (name: string): Promise<string[]> => {
    const args = ['run', '--rm', '--network', 'none', ...withVolume(name), 'busybox', 'cat', '/v/log'];
    return (await engine.ok(...args)).split('\n');
  };
  const counted = (count: number) => Array.from({ length: count }, (_, index) => String(index));

  it('dies together with the driver: its container writes on, and nothing is lost or left', async () => {
    await runWriter('killed');
    box.sandbox.resetCalls();
    await engine.kill();
    await writesOn('killed');
    await killDaemon();
    await writesOn('killed');
    await box.sandbox.startDaemon(id);
    await writesOn('killed');
    await engine.start();
    expect((await engine.volume('killed')).Status).toMatchObject({ state: 'mounted', holders: [{}] });
    expect(await engine.ok('exec', 'killed', 'cat', '/v/log')).toContain('1');
    expect(await engine.ok('cp', 'killed:/v/log', '-')).toContain('log');
    expect(box.sandbox.calls()).not.toHaveProperty('DetachVolume');
    const seen = await writesOn('killed');
    await engine.ok('stop', '-t', '0', 'killed');
    await box.detached('killed');
    const lines = await written('killed');
    expect(lines.length).toBeGreaterThanOrEqual(seen);
    expect(lines).toEqual(counted(lines.length));
    expect(box.sandbox.calls()).toMatchObject({ AttachVolume: 1 });
  });

  it('is ended in good order, and the driver killed while it is away: the same', async () => {
    await runWriter('ended');
    box.sandbox.resetCalls();
    await engine.terminate();
    await killDaemon();
    await writesOn('ended');
    await Promise.all([engine.start(), box.sandbox.startDaemon(id)]);
    await writesOn('ended');
    expect((await engine.volume('ended')).Status).toMatchObject({ state: 'mounted' });
    const seen = await writesOn('ended');
    await engine.ok('stop', '-t', '0', 'ended');
    await box.detached('ended');
    const lines = await written('ended');
    expect(lines.length).toBeGreaterThanOrEqual(seen);
    expect(lines).toEqual(counted(lines.length));
    await box.detached('ended');
  });
});
