import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../support/requirements.ts';
import { type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';

const { skip } = requires('root', 'loop');

describe.skipIf(skip)('nodes without a linger, with room for two disks each', () => {
  let box: TestSandbox;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 3, nodeEnv: { DVE_LINGER: '0' }, attachmentLimits: { 'm5.large': 2 } });
  });
  afterAll(() => box?.close());

  const create = (name: string) => box.ok(0, 'Create', { Name: name, Opts: { size: '1' } });
  const mount = (name: string, which = 0) => box.ok(which, 'Mount', { Name: name, ID: 'one' });
  const unmount = (name: string, which = 0) => box.ok(which, 'Unmount', { Name: name, ID: 'one' });
  const owner = async (name: string) => (await box.volumes(name))[0]?.Attachments?.[0]?.InstanceId;

  it('say that there is no room for a third disk, and take it once there is', async () => {
    await Promise.all(['one', 'two', 'three'].map(create));
    await mount('one');
    await mount('two');
    const message = await box.refused(0, 'Mount', { Name: 'three', ID: 'one' });
    expect(message).toMatch(/has reached its limit of 2 volumes/);
    expect(message).toMatch(/Unmount other volumes of this instance/);
    expect(await box.volumes('three')).toMatchObject([{ State: 'available', Attachments: [] }]);
    await unmount('one');
    await box.detached('one');
    expect((await mount('three')).Mountpoint).toBe(join(box.node(0).root, 'volumes/three/data'));
    await Promise.all([unmount('two'), unmount('three')]);
  });

  it('never take a volume on the word of an earlier owner, however fast it went from hand to hand', async () => {
    await create('hot');
    for (let round = 0; round < 3; round += 1) {
      await mount('hot', 0);
      await unmount('hot', 0);
      await box.detached('hot');
      await mount('hot', 1);
      const [volume] = await box.volumes('hot');
      expect(tagsOf(volume)['docker-volume-ebs:clean']).toBeDefined();
      if (round < 2) {
        await unmount('hot', 1);
        await box.detached('hot');
      }
    }
    expect(await box.refused(2, 'Mount', { Name: 'hot', ID: 'one' })).toContain(box.node(1).instanceId);
    expect(await owner('hot')).toBe(box.node(1).instanceId);
    await unmount('hot', 1);
    await box.detached('hot');
  });
});
