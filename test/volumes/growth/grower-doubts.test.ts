import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { fakeNode, nodeWithVolume, verbs } from '../../support/fake-node.ts';
import { pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const growing = { [tagKeys.autoGrow]: '80%', [tagKeys.autoGrowMax]: '100' };
const minutes = 60_000;
const hours = 60 * minutes;

/** Mounted volumes of 16 GiB that grow at 80 %, "a" and as many more, and are so full. */
async function bed(percent: number, parts: Parameters<typeof nodeWithVolume>[0] = {}, others: readonly string[] = []) {
  const made = await nodeWithVolume(parts);
  const { node, ec2, create, mount, volume } = made;
  node.host.processes.add(1);
  for (const name of others) await create(name);
  for (const each of ec2.volumes.values()) Object.assign(each.tags, growing);
  for (const name of ['a', ...others]) await mount(name, `id-${name}`, undefined, 1);
  node.host.used = percent;
  ec2.calls.length = 0;
  return { ...made, node, ec2, volume };
}
const warning = ({ growths }: { growths: ReadonlyMap<string, { warning: string | undefined }> }) =>
  growths.get('a')?.warning;

describe('a volume that grows by itself', () => {
  it('never makes two of its node exceed what that may add a day, due at the same moment', async () => {
    const { ec2, node } = await bed(85, { settings: { growPerDay: 6 } }, ['b', 'c']);
    await pass(2 * minutes);
    const added = [...ec2.volumes.values()].reduce((sum, { sizeGib }) => sum + sizeGib - 16, 0);
    expect(added).toBe(6);
    expect([...node.growths.values()].map(({ warning: each }) => each)).toContainEqual(
      expect.stringContaining('DVE_GROW_PER_DAY'),
    );
  });

  it('counts for its node also when it has left it', async () => {
    const { ec2, node, unmount } = await bed(85, { settings: { growPerDay: 6 } });
    await pass(2 * minutes);
    expect(ec2.volumes.get('vol-1')?.sizeGib).toBe(20);
    node.host.used = 40;
    await unmount('a', 'id-a');
    await pass(minutes);
    expect(node.held.has('a')).toBe(false);
    await verbs(node).create('b', { autoGrow: '80%', autoGrowMax: '100' });
    await verbs(node).mount('b', 'id-b', undefined, 1);
    node.host.used = 85;
    await pass(2 * minutes);
    expect(ec2.volumes.get('vol-2')?.sizeGib).toBe(18);
  });

  it('that fills so slowly that no date can tell when it is full fails nothing', async () => {
    const { node, ec2 } = await bed(50);
    node.host.sizes.set('vol-1', 16_000 * 2 ** 30);
    await pass(minutes);
    node.host.used = 50 + 1e-11;
    await pass(minutes);
    expect(node.growths.get('a')).toEqual({ left: 4, fullAt: undefined, warning: undefined });
    expect(ec2.calls).toEqual([]);
  });

  it('takes its usual step where btrfs has taken room for metadata, which nobody wrote', async () => {
    const { node, volume } = await bed(50);
    let available = 40;
    node.host.filesystemUsage = async () => ({
      bytes: { total: 100, used: 60, available },
      inodes: { total: 0, used: 0 },
    });
    await pass(minutes);
    available = 14;
    await pass(minutes);
    expect(volume.sizeGib).toBe(20);
  });

  it('is left alone where it is mounted only to be read', async () => {
    const { ec2, volume, mount, unmount, node } = await bed(40);
    await unmount('a', 'id-a');
    await pass(minutes);
    volume.tags[tagKeys.mountOptions] = 'ro';
    await mount('a', 'id-a', undefined, 1);
    node.host.used = 85;
    ec2.calls.length = 0;
    await pass(2 * minutes);
    expect(node.held.get('a')?.phase).toBe('mounted');
    expect(ec2.calls).toEqual([]);
  });

  it('says what is wrong with its tags, and with a filesystem that does not follow', async () => {
    const { node, ec2 } = await bed(85);
    const held = node.held.get('a');
    if (held === undefined) throw new Error('not held');
    const { [tagKeys.autoGrowMax]: _, ...tags } = held.volume.tags;
    node.held.set('a', { ...held, volume: { ...held.volume, tags } });
    await pass(minutes);
    expect(warning(node)).toBe(`vol-1 lacks the tag ${tagKeys.autoGrowMax}, without which it does not grow`);
    node.held.set('a', held);
    node.host.refusesGrowth = true;
    node.host.sizes.set('vol-1', 20 * 2 ** 30);
    await pass(minutes);
    expect(warning(node)).toMatch(/^its filesystem does not follow its disk \(.*HOST_FAILED\)$/);
    expect(ec2.count('modifyVolume')).toBe(0);
  });

  it('asks ever more seldom while EC2 optimizes for hours what another has changed, and warns in time', async () => {
    const { node, ec2, volume } = await bed(70);
    ec2.optimizeMs = 8 * hours;
    await ec2.modifyVolume('vol-1', { iops: 4000 });
    await pass(minutes);
    ec2.calls.length = 0;
    for (let percent = 70; percent < 88; percent += 1) {
      node.host.used = percent;
      await pass(minutes);
    }
    expect(warning(node)).toMatch(/it will be full at .* at this rate, and EC2 may work on another change until/);
    await pass(2 * hours);
    expect(ec2.count('describeModification')).toBeLessThan(40);
    expect(ec2.count('modifyVolume')).toBe(0);
    const before = ec2.count('describeModification');
    await pass(4 * hours);
    expect(ec2.count('describeModification') - before).toBeLessThan(30);
    await pass(2 * hours);
    expect(ec2.count('modifyVolume')).toBe(1);
    expect(volume.sizeGib).toBeGreaterThan(16);
    node.host.used = 50;
    await pass(minutes);
    expect(warning(node)).toBeUndefined();
  });

  it('plans anew what EC2 has refused: a step for then, not for when it was refused', async () => {
    const { node, ec2, volume } = await bed(85);
    ec2.failNext('modifyVolume', 'EC2_MODIFIED_TOO_OFTEN');
    await pass(minutes);
    expect(ec2.count('modifyVolume')).toBe(1);
    expect(volume.tags[tagKeys.growth]).toBe('');
    expect(node.growths.get('a')?.left).toBe(4);
    expect(warning(node)).toBeDefined();
    for (let percent = 85; percent < 98; percent += 1) {
      node.host.used = percent;
      await pass(30 * minutes);
    }
    expect(ec2.count('modifyVolume')).toBe(2);
    expect(volume.sizeGib).toBeGreaterThan(20);
    node.host.used = 50;
    await pass(minutes);
    expect(warning(node)).toBeUndefined();
  });

  it('grows though the clock was hours ahead when EC2 was asked before', async () => {
    const { node, ec2, volume } = await bed(85);
    ec2.failNext('modifyVolume', 'EC2_UNAVAILABLE');
    await pass(45_000);
    vi.setSystemTime(Date.now() - 5 * hours);
    await pass(minutes);
    expect(volume.sizeGib).toBe(20);
    node.host.used = 65;
    await pass(minutes);
    expect(warning(node)).toBeUndefined();
  });

  it('grows as another node was told to, and goes on with what began there', async () => {
    const { node, ec2, volume } = await bed(70);
    const at = Math.floor(Date.now() / 1000);
    Object.assign(volume.tags, { [tagKeys.autoGrowMax]: '30', [tagKeys.growth]: `${at}:16:25:11.00` });
    node.host.used = 85;
    await pass(3 * minutes);
    expect(ec2.calls.filter(({ method }) => method === 'modifyVolume').map(({ args }) => args[1])).toEqual([
      { sizeGib: 25 },
    ]);
    const { [tagKeys.autoGrow]: _, [tagKeys.autoGrowMax]: __, ...off } = volume.tags;
    volume.tags = off;
    await pass(24 * hours);
    expect(ec2.count('modifyVolume')).toBe(1);
    expect(node.held.get('a')?.volume.tags).not.toHaveProperty([tagKeys.autoGrow]);
  });

  it('is not grown twice for one need where it moves while EC2 modifies it', async () => {
    const { node, ec2, volume, unmount } = await bed(85);
    ec2.modifyMs = 5 * minutes;
    await pass(45_000);
    expect(ec2.count('modifyVolume')).toBe(1);
    await unmount('a', 'id-a');
    await pass(minutes);
    expect(node.held.has('a')).toBe(false);
    const other = await fakeNode(ec2, { instanceId: 'i-2' });
    other.host.processes.add(1);
    other.host.used = 85;
    await verbs(other).mount('a', 'id-b', undefined, 1);
    await pass(10 * minutes);
    expect(ec2.count('modifyVolume')).toBe(1);
    expect(volume.sizeGib).toBe(20);
    expect((other.held.get('a')?.filesystemBytes ?? 0) / 2 ** 30).toBe(20);
  });
});
