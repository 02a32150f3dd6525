import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../src/host/run.ts';
import { dvdi } from '../support/dvdi-client.ts';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, testSandbox } from '../support/sandbox.ts';

const { skip } = requires('root', 'loop');

describe.skipIf(skip)('a node whose DVE_ROOT is full', () => {
  let box: TestSandbox;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 2 });
  });
  afterAll(() => box?.close());

  /** Runs a script where the daemon's mounts are. */
  const inside = async (script: string): Promise<void> => {
    const { code, stderr } = await run('nsenter', ['-t', String(box.node(0).pid), '-m', 'sh', '-c', script]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  };

  it('gives its volumes back, says so, and takes new ones once there is room', async () => {
    const state = join(box.node(0).root, 'state');
    for (const name of ['a', 'b']) {
      await box.ok(0, 'Create', { Name: name, Opts: { size: '1' } });
      await box.ok(0, 'Mount', { Name: name, ID: 'x' });
    }
    await inside(
      `cp -a ${state} ${state}.kept; mount -t tmpfs -o size=1m none ${state}; cp -a ${state}.kept/. ${state}`,
    );
    await inside(`cat /dev/zero 2>/dev/null > ${state}/filler; cat /dev/zero 2>/dev/null >> ${state}/filler; true`);
    expect(await box.refused(0, 'Mount', { Name: 'b', ID: 'y' })).toContain('ENOSPC');
    await box.ok(0, 'Unmount', { Name: 'a', ID: 'x' });
    await box.detached('a');
    await box.ok(1, 'Mount', { Name: 'a', ID: 'x' });
    const status = async () => (await dvdi(box.node(0).socket).call('Ebs.Status', {})).body as Record<string, unknown>;
    expect((await status())['reserveUsedSince']).toMatch(/^20/);
    await inside(`rm ${state}/filler`);
    await box.ok(0, 'Mount', { Name: 'b', ID: 'y' });
    await box.ok(0, 'Unmount', { Name: 'b', ID: 'y' });
    await eventually(async () => (await status())['reserveUsedSince'] === undefined);
  });
});
