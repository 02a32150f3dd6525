import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import type { FakeEc2 } from '../../support/fake-ec2.ts';
import { type FakeNode, fakeNode, nodeWithVolume } from '../../support/fake-node.ts';
import { pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** A mounted volume "a" of 16 GiB that grows at 80 %, and is so full. */
async function bed(percent: number) {
  const { node, ec2, mount, volume } = await nodeWithVolume();
  Object.assign(volume.tags, { [tagKeys.autoGrow]: '80%', [tagKeys.autoGrowMax]: '100' });
  node.host.processes.add(1);
  await mount('a', 'id', undefined, 1);
  node.host.used = percent;
  ec2.calls.length = 0;
  return { node, ec2, volume };
}
const changing = (ec2: FakeEc2) =>
  ec2.calls.map(({ method }) => method).filter((method) => ['modifyVolume', 'createTags'].includes(method));
const filesystem = (node: FakeNode) => (node.held.get('a')?.filesystemBytes ?? 0) / 2 ** 30;

describe('a volume that grows by itself', () => {
  it('costs no call until it is due', async () => {
    const { ec2 } = await bed(50);
    await pass(120_000);
    expect(ec2.calls).toEqual([]);
  });

  it('is one call once it is due, written down before, and its filesystem follows', async () => {
    const { node, ec2, volume } = await bed(81);
    await pass(45_000);
    expect(changing(ec2)).toEqual(['createTags', 'modifyVolume']);
    expect(volume).toMatchObject({
      sizeGib: 20,
      tags: { [tagKeys.growth]: expect.stringMatching(/^\d+:16:20:12\.96$/) },
    });
    expect(filesystem(node)).toBe(20);
    node.host.used = 65;
    await pass(600_000);
    expect(ec2.count('modifyVolume')).toBe(1);
    expect(node.growths.get('a')).toMatchObject({ left: 3, warning: undefined });
  });

  it('is not grown twice for one need where the daemon is killed after EC2 was asked, or before', async () => {
    for (const when of ['after', 'instead'] as const) {
      const { node, ec2, volume } = await bed(85);
      const killed = ec2.modifyVolume.bind(ec2);
      ec2.modifyVolume = async (...given) => {
        const answer = when === 'after' ? killed(...given) : undefined;
        node.kill();
        return (await answer) ?? new Promise(() => undefined);
      };
      await pass(45_000);
      ec2.modifyVolume = killed;
      const again = await fakeNode(ec2, node.machine);
      await pass(120_000);
      expect(ec2.count('modifyVolume')).toBe(1);
      expect(volume.sizeGib).toBe(20);
      expect(filesystem(again)).toBe(20);
    }
  });

  it('waits while EC2 works on what somebody else has changed, and takes that for its own', async () => {
    const { node, ec2, volume } = await bed(85);
    await ec2.modifyVolume('vol-1', { sizeGib: 30 });
    ec2.calls.length = 0;
    node.host.used = 85;
    await pass(3000);
    node.host.used = 45;
    await pass(120_000);
    expect(ec2.count('modifyVolume')).toBe(0);
    expect(volume.sizeGib).toBe(30);
    expect(filesystem(node)).toBe(30);
  });

  it('says why it does not, and is not asked for again at once, where the role may not', async () => {
    const { node, ec2 } = await bed(85);
    for (let n = 0; n < 9; n += 1) ec2.failNext('modifyVolume', 'EC2_DENIED');
    await pass(300_000);
    expect(ec2.count('modifyVolume')).toBe(1);
    expect(node.growths.get('a')?.warning).toBeDefined();
  });

  it('stops while its filesystem cannot follow, and at its maximum warns', async () => {
    const { node, ec2, volume } = await bed(85);
    node.host.refusesGrowth = true;
    await pass(120_000);
    expect(ec2.count('modifyVolume')).toBe(1);
    expect(volume.sizeGib).toBe(20);
    volume.tags[tagKeys.autoGrowMax] = '20';
    const held = node.held.get('a');
    if (held !== undefined) node.held.set('a', { ...held, volume: { ...held.volume, tags: { ...volume.tags } } });
    node.host.refusesGrowth = false;
    await pass(150_000);
    expect(node.growths.get('a')?.warning).toMatch(/may not have more than 20/);
    expect(ec2.count('modifyVolume')).toBe(1);
  });
});
