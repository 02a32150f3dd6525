import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import type { CallOptions } from '../../../src/ebs/types.ts';
import { scheduleStatus } from '../../../src/volumes/copies/dues.ts';
import { ec2Error, type FakeEc2 } from '../../support/fake-ec2.ts';
import { fakeNode, nodeWithVolume, verbs } from '../../support/fake-node.ts';
import { pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(() => {
  useVirtualTime();
  vi.setSystemTime(new Date('2026-11-30T12:10:00Z'));
});

/** A volume "a" with a schedule, in use since ten past twelve. */
async function bed(schedule = 'hourly:3,daily:2') {
  const all = await nodeWithVolume();
  all.volume.tags[tagKeys.snapshots] = schedule;
  all.node.host.processes.add(1);
  const mount = () => all.mount('a', 'id', undefined, 1);
  await mount();
  all.ec2.calls.length = 0;
  const until = (time: string) => pass(Date.parse(`2026-${time}Z`) - Date.now());
  return { ...all, mount, until };
}
const slotsOf = (ec2: FakeEc2) => ec2.snapshots.map(({ tags }) => tags[tagKeys.slots]);
const called = (ec2: FakeEc2) => ec2.calls.map(({ method }) => method);

describe('a volume with a schedule that is in use', () => {
  it('has one snapshot for each slot, of all classes that are due, and costs no call between', async () => {
    const { ec2, node, volume, until } = await bed();
    await until('11-30T12:59:59');
    expect(ec2.calls).toEqual([]);
    await until('11-30T13:06');
    expect(slotsOf(ec2)).toEqual(['hourly/2026-11-30T13 daily/2026-11-30']);
    expect(ec2.snapshots[0]?.tags).toMatchObject({
      [tagKeys.snapshotName]: 'daily-2026-11-30',
      [tagKeys.consistency]: 'frozen',
      [tagKeys.snapshotOf]: 'a',
    });
    expect(volume.tags[tagKeys.slotsDone]).toMatch(
      /^hourly\/2026-11-30T13 daily\/2026-11-30 2026-11-30T13:0\d:\d\d\.\d{3}Z$/,
    );
    expect(node.held.get('a')?.volume.tags[tagKeys.slotsDone]).toBe(volume.tags[tagKeys.slotsDone]);
    expect(called(ec2)).toEqual([
      'describeVolume',
      'snapshotsOf',
      'createTags',
      'createSnapshot',
      'createTags',
      'snapshotsOf',
    ]);
    ec2.calls.length = 0;
    await until('11-30T13:59');
    expect(ec2.calls).toEqual([]);
    await until('12-01T00:06');
    expect(slotsOf(ec2).at(-1)).toBe('hourly/2026-12-01T00 daily/2026-12-01');
  });

  it('keeps of each class what its schedule says, and none that is not its own', async () => {
    const { ec2, until } = await bed('hourly:2');
    ec2.addSnapshot('vol-1', { tags: { [tagKeys.snapshotRequest]: 'x', [tagKeys.snapshotName]: 'mine' } });
    ec2.addSnapshot('vol-1', { tags: { [tagKeys.slots]: 'hourly/2026-11-30T01' } });
    await until('11-30T18:06');
    expect(slotsOf(ec2)).toEqual(
      [
        undefined,
        'hourly/2026-11-30T01',
        'hourly/2026-11-30T16',
        'hourly/2026-11-30T17',
        'hourly/2026-11-30T18',
      ].filter((_, n) => n !== 2),
    );
  });

  it('goes by a schedule that another node has changed from the next slot on', async () => {
    const { ec2, volume, until } = await bed('hourly:3');
    volume.tags[tagKeys.snapshots] = 'daily:7';
    await until('11-30T15:06');
    expect(slotsOf(ec2)).toEqual([]);
    await until('12-01T00:06');
    expect(slotsOf(ec2)).toEqual(['daily/2026-12-01']);
    delete volume.tags[tagKeys.snapshots];
    await until('12-03T00:06');
    expect(slotsOf(ec2)).toEqual(['daily/2026-12-01']);
  });

  it('is passed over where its tag is no schedule', async () => {
    const { ec2, until } = await bed('sometimes');
    await until('12-01T00:06');
    expect(ec2.calls).toEqual([]);
  });

  it('is tried again while its slot lasts, and says why it has none', async () => {
    const { ec2, node, until } = await bed('hourly:3');
    const create = ec2.createSnapshot.bind(ec2);
    ec2.createSnapshot = () => Promise.reject(ec2Error('EC2_LIMIT', 'five are pending'));
    await until('11-30T13:06');
    const held = node.held.get('a');
    const told = (now = Date.now()) => scheduleStatus(held?.volume.tags ?? {}, held, node.scheduleFaults.get('a'), now);
    expect(told()).toEqual({
      schedule: 'hourly:3',
      lastAt: expect.stringMatching(/^2026-11-30T13:0/),
      nextAt: undefined,
      dueSince: expect.stringMatching(/^2026-11-30T13:0/),
      warning: 'five are pending',
    });
    ec2.createSnapshot = create;
    await until('11-30T13:12');
    expect(slotsOf(ec2)).toEqual(['hourly/2026-11-30T13']);
    expect(node.scheduleFaults.size).toBe(0);
    expect(told()).toMatchObject({ nextAt: expect.stringMatching(/^2026-11-30T14:0/), dueSince: undefined });
  });

  it('runs on where the role may delete none, and says so', async () => {
    const { ec2, node, until } = await bed('hourly:1');
    ec2.deleteSnapshot = () => Promise.reject(ec2Error('EC2_DENIED'));
    await until('11-30T16:06');
    expect(slotsOf(ec2)).toHaveLength(4);
    expect(node.scheduleFaults.get('a')?.why).toMatch(/^its old snapshots are not deleted: /);
  });
});

describe('a volume with a schedule that is given back', () => {
  it('gets its snapshot at its release where it was used between two slots', async () => {
    const { ec2, node, volume, unmount, mount, until } = await bed();
    await unmount('a', 'id');
    expect(ec2.snapshots).toEqual([]);
    await until('11-30T12:20');
    expect(slotsOf(ec2)).toEqual(['hourly/2026-11-30T12 daily/2026-11-30']);
    expect(ec2.snapshots[0]?.tags[tagKeys.consistency]).toBe('unmounted');
    expect([node.held.size, volume.attachments]).toEqual([0, []]);
    // At rest it needs none, and in the same slot no other.
    await mount();
    await unmount('a', 'id');
    await until('12-02T12:20');
    expect(ec2.snapshots).toHaveLength(1);
    await mount();
    await unmount('a', 'id');
    await until('12-02T12:30');
    expect(slotsOf(ec2).at(-1)).toBe('hourly/2026-12-02T12 daily/2026-12-02');
  });

  it('is not kept longer than 5 s by an EC2 that does not answer', async () => {
    const { ec2, node, unmount, until } = await bed();
    ec2.createSnapshot = (_id, _text, _tags, { signal }: CallOptions = {}) =>
      new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
    await unmount('a', 'id');
    await until('11-30T12:10:15');
    expect(node.held.size).toBe(0);
  });

  it('gets none when it is removed, nor where it was never mounted', async () => {
    const { ec2, unmount, remove, until } = await bed();
    await unmount('a', 'id');
    await remove('a');
    await until('11-30T12:20');
    expect([ec2.snapshots, ec2.volumes.size]).toEqual([[], 0]);
  });
});

describe('a slot', () => {
  it('is served once where the daemon ends between its tag and the snapshot, or after the snapshot', async () => {
    for (const when of ['before', 'after'] as const) {
      vi.setSystemTime(new Date('2026-11-30T12:10:00Z'));
      const { ec2, node, until } = await bed('hourly:9');
      const create = ec2.createSnapshot.bind(ec2);
      ec2.createSnapshot = async (...given) => {
        if (when === 'after') await create(...given);
        node.kill();
        return new Promise(() => undefined);
      };
      await until('11-30T13:06');
      expect(ec2.snapshots).toHaveLength(when === 'after' ? 1 : 0);
      ec2.createSnapshot = create;
      await fakeNode(ec2, node.machine);
      await until('11-30T13:10');
      expect(slotsOf(ec2)).toEqual(['hourly/2026-11-30T13']);
      await until('11-30T13:59');
      expect(ec2.snapshots).toHaveLength(1);
    }
  });

  it('is served by the node that takes the volume over, where its owner dies before its turn, or in the middle', async () => {
    for (const when of ['before', 'claimed'] as const) {
      vi.setSystemTime(new Date('2026-11-30T12:10:00Z'));
      const { ec2, node, until, volume } = await bed('hourly:9');
      const create = ec2.createSnapshot.bind(ec2);
      ec2.createSnapshot = () => new Promise(() => node.kill());
      await until(when === 'before' ? '11-30T12:59:59' : '11-30T13:06');
      expect(volume.tags[tagKeys.slotsDone]?.slice(0, 20)).toBe(when === 'before' ? undefined : 'hourly/2026-11-30T13');
      node.kill();
      ec2.createSnapshot = create;
      ec2.setInstance('i-1', { state: 'terminated' });
      await until('11-30T13:07');
      const other = await fakeNode(ec2, { instanceId: 'i-2' });
      other.host.processes.add(1);
      await verbs(other).mount('a', 'id', undefined, 1);
      await until('11-30T13:20');
      expect(slotsOf(ec2)).toEqual(['hourly/2026-11-30T13']);
      await until('11-30T13:59');
      expect(ec2.snapshots).toHaveLength(1);
    }
  });

  it('is taken with the other classes that are due, and a lost answer is looked for', async () => {
    const { ec2, until } = await bed();
    ec2.failNext('createSnapshot', 'EC2_UNAVAILABLE', 'after');
    await until('11-30T13:30');
    expect(slotsOf(ec2)).toEqual(['hourly/2026-11-30T13 daily/2026-11-30']);
    ec2.failNext('createSnapshot', 'EC2_UNAVAILABLE', 'instead');
    await until('11-30T14:30');
    expect(slotsOf(ec2).slice(1)).toEqual(['hourly/2026-11-30T14']);
  });
});
