import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { createSnapshotOperator } from '../../../src/volumes/operator/snapshots.ts';
import { createTrashOperator } from '../../../src/volumes/operator/trash.ts';
import { replacementIn } from '../../../src/volumes/state/succession.ts';
import { ec2Error, FakeEc2 } from '../../support/fake-ec2.ts';
import { type FakeNode, type FakeNodeParts, verbs } from '../../support/fake-node.ts';
import { failure, pass, played, useVirtualTime } from '../../support/virtual-time.ts';
import { trashNode } from './trash-bench.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const hour = 3_600_000;
const rollbackOn = (node: FakeNode, which = 'first', dryRun = false) =>
  createSnapshotOperator(node).rollback('db', which, { dryRun });

/** A node, and a volume "db" that has been used and has two snapshots, "first" and "second". */
async function bench(parts: FakeNodeParts = {}) {
  const ec2 = new FakeEc2();
  const node = await trashNode(ec2, parts);
  const does = verbs(node);
  await does.create('db', {
    size: '20',
    type: 'io2',
    iops: '4000',
    mountOptions: 'noatime',
    autoGrow: '80%',
    autoGrowMax: '100',
  });
  await does.mount('db', 'one');
  await does.unmount('db', 'one');
  await pass(10_000);
  const snapshots = createSnapshotOperator(node);
  for (const each of ['first', 'second']) {
    await played(snapshots.take('db', each, { crash: false }));
    await pass(20_000);
  }
  ec2.calls.length = 0;
  const rollback = (which?: string, dryRun?: boolean) => played(rollbackOn(node, which, dryRun));
  return { ec2, node, rollback, ...does };
}

/** The volumes that bear the name, as EC2 has them. */
const named = (ec2: FakeEc2) => [...ec2.volumes.values()].filter(({ tags }) => tags[tagKeys.name] === 'db');

describe('a rollback', () => {
  it('makes the name mean a volume made from the snapshot, with its options; what was there is in the trash', async () => {
    const { ec2, node, rollback, mount } = await bench();
    ec2.volumes.get('vol-1')!.tags['team'] = 'billing';
    const told = await rollback('first');
    expect(told).toMatchObject({ volumeId: 'vol-2', former: 'vol-1', snapshotId: 'snap-1-of-vol-1', sizeGiB: 20 });
    const { snapshotId, type, iops, tags } = ec2.volumes.get('vol-2')!;
    expect({ snapshotId, type, iops }).toEqual({ snapshotId: 'snap-1-of-vol-1', type: 'io2', iops: 4000 });
    expect(tags).toMatchObject({
      Name: 'db',
      team: 'billing',
      [tagKeys.mountOptions]: 'noatime',
      [tagKeys.autoGrow]: '80%',
      [tagKeys.formatted]: 'ext4',
      [tagKeys.generation]: '0',
    });
    expect(tags).not.toHaveProperty([tagKeys.replaces]);
    expect(replacementIn(ec2.volumes.get('vol-1')!)).toBeUndefined();
    expect(await createTrashOperator(node).list()).toMatchObject([{ id: 'vol-1', name: 'db', expires: told.expires }]);
    await mount('db', 'one');
    expect(node.held.get('db')).toMatchObject({ volume: { id: 'vol-2' }, phase: 'mounted' });
    expect(ec2.volumes.get('vol-1')!.attachments).toEqual([]);
    await played(createTrashOperator(node).undelete('vol-1', 'before'));
    expect(ec2.volumes.get('vol-1')!.tags).toMatchObject({ [tagKeys.name]: 'before' });
    await pass(30 * hour);
    expect([...ec2.volumes.keys()]).toEqual(['vol-1', 'vol-2']);
  });

  it('again goes to another snapshot, and the trash is emptied when its time is over', async () => {
    const { ec2, rollback, create } = await bench();
    await rollback('latest');
    await pass(10_000);
    expect(await rollback('first')).toMatchObject({ former: 'vol-2', volumeId: 'vol-3' });
    await create('db', {
      size: '20',
      type: 'io2',
      iops: '4000',
      mountOptions: 'noatime',
      autoGrow: '80%',
      autoGrowMax: '100',
    });
    await pass(30 * hour);
    expect([...ec2.volumes.keys()]).toEqual(['vol-3']);
  });

  it('only tells what it would do', async () => {
    const { ec2, rollback } = await bench();
    expect(await rollback('latest', true)).toMatchObject({
      volumeId: undefined,
      snapshotId: 'snap-2-of-vol-1',
      former: 'vol-1',
    });
    expect(ec2.calls.map(({ method }) => method).filter((method) => /create|delete|attach/.test(method))).toEqual([]);
  });

  it('is refused while a container has it, here or on another node, and for what is no snapshot of it', async () => {
    const { ec2, rollback, mount, unmount, create } = await bench();
    await mount('db', 'one');
    expect(await failure(rollback())).toMatchObject({ code: 'IN_USE_HERE', parts: { why: /mount one/ } });
    await unmount('db', 'one');
    await pass(10_000);
    const other = await trashNode(ec2, { instanceId: 'i-2' });
    await verbs(other).mount('db', 'two');
    expect(await failure(rollback())).toMatchObject({ code: 'ATTACHED_ELSEWHERE', message: /i-2/ });
    await verbs(other).unmount('db', 'two');
    await pass(10_000);
    const far = await trashNode(ec2, { instanceId: 'i-3', zone: 'eu-west-1b' });
    expect(await failure(rollbackOn(far))).toMatchObject({ code: 'WRONG_ZONE', parts: { todo: /eu-west-1a/ } });
    expect(await failure(rollback('nightly'))).toMatchObject({
      code: 'INVALID_REQUEST',
      parts: { todo: /first .*second|second .*first/ },
    });
    await create('web');
    const of = { [tagKeys.snapshotOf]: 'web', [tagKeys.snapshotRequest]: 'x', [tagKeys.cluster]: 'default' };
    ec2.snapshots.push({ ...ec2.snapshots[0]!, id: 'snap-9', volumeId: 'vol-2', tags: of });
    expect(await failure(rollback('snap-9'))).toMatchObject({ parts: { why: 'snap-9 is a snapshot of web' } });
    expect(named(ec2)).toMatchObject([{ id: 'vol-1', attachments: [] }]);
  });

  it('leaves all as it was where EC2 makes no volume, or one that never comes', async () => {
    const { ec2, rollback, mount } = await bench();
    ec2.failNext('createVolume', 'EC2_LIMIT');
    expect(await failure(rollback())).toMatchObject({ code: 'EC2_LIMIT' });
    const create = ec2.createVolume.bind(ec2);
    vi.spyOn(ec2, 'createVolume').mockImplementationOnce(async (spec) => {
      const answer = await create(spec);
      ec2.volumes.get(answer.id)!.state = 'error';
      return answer;
    });
    expect(await failure(rollback())).toMatchObject({ code: 'CREATE_VANISHED' });
    await pass(10_000);
    expect(named(ec2)).toMatchObject([{ id: 'vol-1', attachments: [] }]);
    expect(ec2.volumes.size).toBe(1);
    expect(replacementIn(ec2.volumes.get('vol-1')!)).toBeUndefined();
    await mount('db', 'one');
  });

  it('goes on where an answer was lost', async () => {
    const { ec2, rollback, node } = await bench();
    const createTags = ec2.createTags.bind(ec2);
    vi.spyOn(ec2, 'createTags').mockImplementation(async (ids, tags) => {
      await createTags(ids, tags);
      if (tagKeys.trash in tags) throw ec2Error('EC2_UNAVAILABLE');
    });
    expect(await rollback()).toMatchObject({ volumeId: 'vol-2' });
    expect(named(ec2)).toMatchObject([{ id: 'vol-2' }]);
    expect(node.held.get('db')?.replacing).toBeUndefined();
  });

  it('keeps a ttl that is not over, and drops one that is', async () => {
    const { ec2, rollback } = await bench();
    const later = new Date(Date.now() + hour).toISOString();
    ec2.volumes.get('vol-1')!.tags[tagKeys.ttl] = later;
    await rollback();
    expect(ec2.volumes.get('vol-2')!.tags[tagKeys.ttl]).toBe(later);
    ec2.volumes.get('vol-2')!.tags[tagKeys.ttl] = new Date(Date.now() - hour).toISOString();
    await rollback();
    expect(ec2.volumes.get('vol-3')!.tags).not.toHaveProperty([tagKeys.ttl]);
  });
});

describe('while a rollback is under way', () => {
  it('others find one volume of the name at every moment, and make no other', async () => {
    const { ec2, node } = await bench();
    const other = await trashNode(ec2, { instanceId: 'i-2' });
    const done = rollbackOn(node);
    let over = false;
    void done.then(() => {
      over = true;
    });
    const found = new Set<string>();
    while (!over) {
      found.add((await played(other.lookup.find('db')))?.id ?? 'none');
      expect(await played(other.lookup.named('db'))).toHaveLength(1);
      await verbs(other).create('db');
      await pass(500);
    }
    expect([...found]).toEqual(['vol-1']);
    expect((await other.lookup.find('db'))?.id).toBe('vol-2');
    expect((await other.lookup.list()).value.filter(({ tags }) => tags[tagKeys.name] === 'db')).toHaveLength(1);
    await pass(10_000);
    await verbs(other).mount('db', 'two');
    expect(other.held.get('db')).toMatchObject({ volume: { id: 'vol-2' }, phase: 'mounted' });
    expect(ec2.volumes.size).toBe(2);
  });
});
