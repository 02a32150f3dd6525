import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, testSandbox } from '../support/sandbox.ts';

const { skip } = requires('root', 'loop');

describe.skipIf(skip)('nodes without a linger, with room for two disks each', () => {
  let box: TestSandbox;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 3, nodeEnv: { DVE_LINGER: '0' }, attachmentLimits: { 'm5.large': 3 } });
  });
  afterAll(() => box?.close());

  const create = (name: string) => box.ok(0, 'Create', { Name: name, Opts: { size: '1' } });
  const mount = (name: string, which = 0) => box.ok(which, 'Mount', { Name: name, ID: 'one' });
  const unmount = (name: string, which = 0) => box.ok(which, 'Unmount', { Name: name, ID: 'one' });

  it('say that there is no room for a third disk, and take it once there is', async () => {
    await Promise.all(['one', 'two', 'three'].map(create));
    await mount('one');
    await mount('two');
    const message = await box.refused(0, 'Mount', { Name: 'three', ID: 'one' });
    expect(message).toMatch(
      /this node is full: m5.large takes 3 volumes.* and 3 are attached: "one", "two", 1 that this driver does not hold, its root disk among them/,
    );
    expect(message).toMatch(/Run the container on another node/);
    expect(await box.volumes('three')).toMatchObject([{ State: 'available', Attachments: [] }]);
    await unmount('one');
    await box.detached('one');
    // EC2 shows the detach a moment before the node has given its place free.
    await eventually(async () => (await box.call(0, 'Mount', { Name: 'three', ID: 'one' })).status === 200);
    expect((await mount('three')).Mountpoint).toBe(join(box.node(0).root, 'volumes/three/data'));
    await Promise.all([unmount('two'), unmount('three')]);
  });

  it('never take a volume on the word of an earlier owner, however fast it went from hand to hand', async () => {
    await create('hot');
    const attachTime = async (which: number): Promise<string> =>
      (await box.ok(which, 'Get', { Name: 'hot' })).Volume.Status.attachTime.slice(0, 19);
    // EC2 tells attach times in whole seconds: the next owner's may be the one that the last owner declared finished.
    for (;;) {
      await sleep(1000 - (Date.now() % 1000));
      await mount('hot', 0);
      const earlier = await attachTime(0);
      await unmount('hot', 0);
      await box.detached('hot');
      await mount('hot', 1);
      if ((await attachTime(1)) === earlier) break;
      await unmount('hot', 1);
      await box.detached('hot');
    }
    expect(await box.refused(2, 'Mount', { Name: 'hot', ID: 'one' })).toContain(box.node(1).instanceId);
    expect((await box.volumes('hot'))[0]?.Attachments).toMatchObject([
      { InstanceId: box.node(1).instanceId, State: expect.stringMatching(/^attach/) },
    ]);
    await unmount('hot', 1);
    await box.detached('hot');
  });
});
