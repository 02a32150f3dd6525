import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import type { DriverError } from '../../../src/errors.ts';
import { type Care, takeSnapshot } from '../../../src/volumes/copies/take.ts';
import { type FakeNode, fakeNode, nodeWithVolume } from '../../support/fake-node.ts';
import { failure, played, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const target = '/ebs/volumes/a';
const take = (node: FakeNode, name = 'first', care: Care = 'consistent') =>
  played(takeSnapshot(node, 'a', { request: `request of ${name}`, name }, care));

async function mounted() {
  const all = await nodeWithVolume();
  await all.mount('a', 'task');
  all.ec2.calls.length = 0;
  const during: string[] = [];
  const createSnapshot = all.ec2.createSnapshot.bind(all.ec2);
  all.ec2.createSnapshot = (volumeId, description, tags, { once } = {}) => {
    const send = () => {
      during.push(`${all.node.host.frozen.has(target)} ${all.node.machine.journal.records.get('a')?.freezing}`);
      return createSnapshot(volumeId, description, tags);
    };
    return once === undefined ? send() : once(send);
  };
  return { ...all, during };
}

describe('a snapshot of a volume that is mounted here', () => {
  it('is taken while its filesystem stands still, which is journalled before, and says so', async () => {
    const { node, ec2, during } = await mounted();
    const taken = await take(node);
    expect(taken).toMatchObject({ volumeId: 'vol-1', name: 'first', consistency: 'frozen' });
    expect(during).toEqual(['true true']);
    expect([node.host.frozen.size, node.held.get('a')?.freezing]).toEqual([0, undefined]);
    expect(ec2.snapshots[0]?.tags).toMatchObject({
      [tagKeys.cluster]: 'default',
      [tagKeys.snapshotOf]: 'a',
      [tagKeys.snapshotName]: 'first',
      [tagKeys.snapshotVolume]: 'vol-1',
      [tagKeys.consistency]: 'frozen',
      [tagKeys.formatted]: 'ext4',
      [tagKeys.performance]: 'gp3 3000 125',
    });
  });

  it('promises no more than a crash until it is known better', async () => {
    const { node, ec2 } = await mounted();
    ec2.failNext('createTags', 'EC2_DENIED');
    expect(await take(node)).toMatchObject({ consistency: 'frozen' });
    expect(ec2.snapshots[0]?.tags[tagKeys.consistency]).toBe('crash');
  });

  it('is the same again for the same request; another of its name is refused', async () => {
    const { node, ec2 } = await mounted();
    const { snapshotId } = await take(node);
    expect(await take(node)).toMatchObject({ snapshotId, consistency: 'frozen' });
    const again = takeSnapshot(node, 'a', { request: 'another', name: 'first' }, 'consistent');
    expect(((await failure(again)) as DriverError).code).toBe('INVALID_REQUEST');
    expect(ec2.count('createSnapshot')).toBe(1);
  });

  it('whose answer is lost is found by its request, is one of a crash, and is asked for once', async () => {
    const { node, ec2 } = await mounted();
    ec2.failNext('createSnapshot', 'EC2_UNAVAILABLE', 'after');
    expect(await take(node)).toMatchObject({ snapshotId: 'snap-1-of-vol-1', consistency: 'crash' });
    ec2.failNext('createSnapshot', 'EC2_UNAVAILABLE');
    expect(((await failure(take(node, 'second'))) as DriverError).code).toBe('EC2_UNAVAILABLE');
    expect([ec2.count('createSnapshot'), ec2.snapshots.length, node.host.frozen.size]).toEqual([2, 1, 0]);
  });

  it('waits until EC2 takes another, with nothing frozen, and is refused while EC2 copies too many', async () => {
    const { node, ec2, during } = await mounted();
    await take(node);
    const before = Date.now();
    await take(node, 'second');
    expect(Date.now() - before).toBeGreaterThanOrEqual(14_000);
    expect(during).toEqual(['true true', 'true true']);
    for (let number = 0; number < 5; number += 1) ec2.addSnapshot('vol-1', { state: 'pending' });
    expect(((await failure(take(node, 'third'))) as DriverError).code).toBe('EC2_LIMIT');
  });

  it('does not thaw what somebody else has frozen, and is one of a crash then', async () => {
    const { node } = await mounted();
    node.host.frozen.add(target);
    expect(await take(node)).toMatchObject({ consistency: 'crash', frozenSeconds: undefined });
    expect(node.host.frozen.size).toBe(1);
  });

  it('holds nobody where that is not wanted', async () => {
    const { node } = await mounted();
    expect(await take(node, 'first', 'crash')).toMatchObject({ consistency: 'crash' });
    expect(node.host.count('openFreezer')).toBe(0);
  });

  it('leaves nothing frozen when the daemon ends in it', async () => {
    const { node, ec2 } = await mounted();
    await node.machine.journal.save({ ...node.held.get('a')!, freezing: true });
    node.kill();
    node.host.frozen.add(target);
    const next = await fakeNode(ec2, node.machine);
    expect(next.host.frozen.size).toBe(0);
    await played(takeSnapshot(next, 'a', { request: 'r', name: 'n' }, 'consistent'));
    expect(next.held.get('a')?.freezing).toBeUndefined();
  });
});

describe('a snapshot of a volume that is not mounted here', () => {
  it('is at rest where nobody has it, and nobody has had it meanwhile', async () => {
    const { node, ec2, volume } = await nodeWithVolume();
    expect(await take(node)).toMatchObject({ consistency: 'unmounted', frozenSeconds: undefined });
    expect(ec2.snapshots[0]?.tags[tagKeys.consistency]).toBe('unmounted');
    const { describeVolume } = ec2;
    ec2.describeVolume = async function (id) {
      const seen = await describeVolume.call(this, id);
      return seen && { ...seen, tags: { ...seen.tags, [tagKeys.epoch]: '9' } };
    };
    expect(await take(node, 'second')).toMatchObject({ consistency: 'crash' });
    expect(volume.attachments).toEqual([]);
  });

  it('is refused where another node has it, unless it may be as after a crash', async () => {
    const { node, ec2, volume } = await nodeWithVolume();
    ec2.addInstance('i-2');
    ec2.addAttachment(volume, 'i-2');
    const { code, message } = (await failure(take(node))) as DriverError;
    expect([code, message]).toEqual(['ATTACHED_ELSEWHERE', expect.stringContaining('i-2')]);
    expect(await take(node, 'second', 'crash')).toMatchObject({ consistency: 'crash' });
  });
});
