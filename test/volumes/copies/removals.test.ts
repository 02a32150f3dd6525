import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { fakeNode, verbs } from '../../support/fake-node.ts';
import { failure, pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const settings = { onRemove: 'snapshot' } as const;
const hourMs = 3_600_000;

/** A node whose volume "a" was removed; its snapshot stays in the state. */
async function removed(state: 'pending' | 'completed' | 'error') {
  const ec2 = new FakeEc2();
  const node = await fakeNode(ec2, { settings });
  const does = verbs(node);
  await does.create('a');
  ec2.snapshotState = state;
  const told = vi.spyOn(node.log, 'error');
  await does.remove('a');
  return { ec2, node, told, ...does };
}

describe('a removed volume whose snapshot is pending', () => {
  it('is kept without its name for as long as that takes, and deleted then', async () => {
    const { ec2, node } = await removed('pending');
    await pass(5 * hourMs);
    expect(await node.lookup.find('a')).toBeUndefined();
    expect([ec2.volumes.size, ec2.count('deleteVolume'), ec2.snapshots.length]).toEqual([1, 0, 1]);
    ec2.snapshots[0]!.state = 'completed';
    await pass(61_000);
    expect(ec2.volumes.size).toBe(0);
  });

  it('is not snapshotted again by another Remove, and its name can be made anew', async () => {
    const { ec2, remove, create } = await removed('pending');
    await remove('a');
    await create('a');
    await pass(60_000);
    expect([ec2.volumes.size, ec2.snapshots.length]).toEqual([2, 1]);
    ec2.snapshots[0]!.state = 'completed';
    await pass(61_000);
    expect([...ec2.volumes.values()].map(({ tags }) => tags[tagKeys.name])).toEqual(['a']);
  });

  it('is taken up by the daemon that starts after a crash', async () => {
    const { ec2, node } = await removed('pending');
    node.kill();
    await fakeNode(ec2, { ...node.machine, settings });
    await pass(60_000);
    expect(ec2.volumes.size).toBe(1);
    ec2.snapshots[0]!.state = 'completed';
    await pass(61_000);
    expect([ec2.volumes.size, ec2.snapshots.length]).toEqual([0, 1]);
  });

  it('is taken up by another node an hour later, when that removes something', async () => {
    const { ec2, node } = await removed('pending');
    await pass(60_000);
    node.kill();
    const other = await fakeNode(ec2, { instanceId: 'i-2', settings });
    ec2.snapshots[0]!.state = 'completed';
    await pass(hourMs + 1000);
    expect(ec2.volumes.size).toBe(1);
    await verbs(other).create('b');
    await verbs(other).remove('b');
    await pass(10_000);
    expect([...ec2.volumes.keys()]).toEqual(['vol-2']);
  });

  it('is kept once it has a name again', async () => {
    const { ec2 } = await removed('pending');
    ec2.volumes.get('vol-1')!.tags[tagKeys.name] = 'b';
    ec2.snapshots[0]!.state = 'completed';
    await pass(hourMs);
    expect(ec2.volumes.size).toBe(1);
  });

  it('is kept also when it gets that while its snapshots are looked for', async () => {
    const { ec2 } = await removed('pending');
    ec2.snapshots[0]!.state = 'completed';
    const find = ec2.findSnapshots.bind(ec2);
    vi.spyOn(ec2, 'findSnapshots').mockImplementation(async (...args) => {
      ec2.volumes.get('vol-1')!.tags[tagKeys.name] = 'b';
      return find(...args);
    });
    await pass(hourMs);
    expect(ec2.volumes.size).toBe(1);
  });

  it('is kept while something has it attached', async () => {
    const { ec2 } = await removed('pending');
    const volume = ec2.volumes.get('vol-1')!;
    const attachment = ec2.addAttachment(volume, 'i-1');
    ec2.snapshots[0]!.state = 'completed';
    await pass(hourMs);
    expect(ec2.count('deleteVolume')).toBe(0);
    ec2.endAttachment(volume, attachment);
    await pass(61_000);
    expect(ec2.volumes.size).toBe(0);
  });
});

describe('a removal that was cut off', () => {
  it('before its snapshot: another daemon takes it, once', async () => {
    const { ec2, node } = await removed('pending');
    node.kill();
    ec2.snapshots.length = 0;
    ec2.snapshotState = 'completed';
    await fakeNode(ec2, { ...node.machine, settings });
    await pass(120_000);
    expect([ec2.volumes.size, ec2.snapshots.length]).toEqual([0, 1]);
  });

  it('before its name was taken off: the volume goes on, and a second Remove finishes', async () => {
    const ec2 = new FakeEc2();
    const node = await fakeNode(ec2, { settings });
    const { create, remove, mount, unmount } = verbs(node);
    await create('a');
    ec2.failNext('deleteTags', 'EC2_UNAVAILABLE');
    expect(await failure(remove('a'))).toMatchObject({ code: 'EC2_UNAVAILABLE' });
    expect(ec2.snapshots).toEqual([]);
    expect(await mount('a', 'id')).toBe('/ebs/volumes/a/data');
    await unmount('a', 'id');
    await remove('a');
    await pass(60_000);
    expect([ec2.volumes.size, ec2.snapshots.length]).toEqual([0, 1]);
  });
});

it('a removed volume whose snapshot fails is kept, and not snapshotted again and again', async () => {
  const { ec2, told } = await removed('error');
  await pass(hourMs);
  expect([ec2.volumes.size, ec2.count('deleteVolume'), ec2.snapshots.length]).toEqual([1, 0, 1]);
  expect(told).toHaveBeenCalledTimes(1);
  expect(String(told.mock.calls[0]?.[1])).toMatch(/snap-1-of-vol-1 has failed.*vol-1 is kept/);
});

it('a deletion that fails is tried again, without another snapshot', async () => {
  const { ec2 } = await removed('completed');
  ec2.failNext('deleteVolume', 'EC2_UNAVAILABLE');
  await pass(180_000);
  expect([ec2.volumes.size, ec2.snapshots.length]).toEqual([0, 1]);
});

it('a volume that EC2 has given up has nothing to snapshot, and is removed', async () => {
  const ec2 = new FakeEc2();
  const { create, remove } = verbs(await fakeNode(ec2, { settings }));
  await create('a');
  ec2.volumes.get('vol-1')!.state = 'error';
  await remove('a');
  expect([ec2.volumes.size, ec2.snapshots.length]).toEqual([0, 0]);
});
