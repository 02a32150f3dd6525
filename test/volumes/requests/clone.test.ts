import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { ec2Error, FakeEc2 } from '../../support/fake-ec2.ts';
import { type FakeNodeParts, fakeNode, verbs } from '../../support/fake-node.ts';
import { failure, pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** A node with a volume "db" that has been used, with options of its own. */
async function bench(parts: FakeNodeParts = {}) {
  const ec2 = new FakeEc2();
  const node = await fakeNode(ec2, parts);
  const does = verbs(node);
  await does.create('db', {
    size: '20',
    type: 'io2',
    iops: '4000',
    mountOptions: 'noatime',
    uid: '999',
    onRemove: 'retain',
  });
  await does.mount('db', 'one');
  await does.unmount('db', 'one');
  await pass(10_000);
  ec2.calls.length = 0;
  const made = () => ec2.calls.filter(({ method }) => method === 'createVolume').at(-1)?.args[0];
  return { ec2, node, made, ...does };
}

describe('a create from a volume', () => {
  it('has EC2 copy it, with its options where none are given, and again it is the same', async () => {
    const { create, made, ec2 } = await bench();
    await create('copy', { from: 'db', size: '30', mountOptions: 'discard' });
    expect(made()).toMatchObject({ sourceVolumeId: 'vol-1', sizeGib: 30, type: 'io2', iops: 4000 });
    const { tags } = ec2.volumes.get('vol-2')!;
    expect(tags).toMatchObject({
      [tagKeys.from]: 'db -',
      [tagKeys.formatted]: 'ext4',
      [tagKeys.mountOptions]: 'discard',
      [tagKeys.uid]: '999',
      [tagKeys.onRemove]: 'retain',
    });
    await create('copy', { from: 'db', size: '30' });
    expect(await failure(create('copy', { from: 'other' }))).toMatchObject({ code: 'EXISTS_DIFFERENT' });
    expect(ec2.volumes.size).toBe(2);
  });

  it('takes a snapshot where EC2 does not copy, and the next try goes on with it', async () => {
    const { create, made, ec2 } = await bench();
    ec2.snapshotState = 'pending';
    ec2.failNext('createVolume', 'EC2_LIMIT');
    ec2.failNext('createVolume', 'EC2_LIMIT');
    expect(await failure(create('copy', { from: 'db' }))).toMatchObject({ code: 'STILL_WORKING' });
    for (const snapshot of ec2.snapshots) snapshot.state = 'completed';
    await create('copy', { from: 'db' });
    expect(made()).toMatchObject({ snapshotId: ec2.snapshots[0]?.id });
    expect([ec2.snapshots.length, ec2.volumes.size]).toEqual([1, 2]);
  });

  it('has what the first holds now, also where one of its name was made so a moment ago, and removed', async () => {
    const { ec2 } = await bench();
    const other = await fakeNode(ec2, { instanceId: 'i-2', zone: 'eu-west-1b' });
    const does = verbs(other);
    await does.create('there', { from: 'db' });
    await does.remove('there');
    await pass(60_000);
    await does.create('there', { from: 'db' });
    const [first, second, ...more] = ec2.snapshots;
    expect(more).toEqual([]);
    const made = [...ec2.volumes.values()].filter(({ zone }) => zone === 'eu-west-1b');
    // The first was kept, as its source is.
    expect(made).toMatchObject([{ snapshotId: first?.id }, { snapshotId: second?.id }]);
    expect(first?.tags[tagKeys.snapshotName]).toBe('for there');
  });

  it('takes one in another zone, and where another key is asked for', async () => {
    const { ec2, create, made } = await bench();
    const other = await fakeNode(ec2, { instanceId: 'i-2', zone: 'eu-west-1b' });
    await verbs(other).create('there', { from: 'db' });
    expect(made()).toMatchObject({ zone: 'eu-west-1b', snapshotId: expect.any(String) });
    await create('keyed', { from: 'db', kmsKeyId: 'alias/mine' });
    expect(made()).toMatchObject({ kmsKeyId: 'alias/mine', snapshotId: expect.any(String) });
  });

  it('is refused where there is nothing to copy, or it would be smaller', async () => {
    const { create, ec2 } = await bench();
    await create('blank');
    expect(await failure(create('copy', { from: 'blank' }))).toMatchObject({ code: 'INVALID_OPTION' });
    expect(await failure(create('copy', { from: 'none' }))).toMatchObject({ code: 'NO_SUCH_VOLUME' });
    expect(await failure(create('copy', { from: 'db', size: '10' }))).toMatchObject({ code: 'INVALID_OPTION' });
    expect(ec2.volumes.size).toBe(2);
  });

  it('is never formatted, whatever its disk shows, and gets no empty directory', async () => {
    const { create, mount, ec2 } = await bench();
    await create('copy', { from: 'db' });
    ec2.contents.set('vol-2', { kind: 'blank' });
    expect(await failure(mount('copy', 'one'))).toMatchObject({ code: 'NOT_BLANK' });
  });
});

describe('a create from a snapshot', () => {
  const taken = async (ec2: FakeEc2, name: string) => {
    const { tags } = ec2.volumes.get('vol-1')!;
    await ec2.createSnapshot('vol-1', name, {
      ...tags,
      [tagKeys.snapshotName]: name,
      [tagKeys.snapshotOf]: 'db',
      [tagKeys.snapshotRequest]: name,
      [tagKeys.performance]: 'gp3 3500 200',
    });
  };

  it('takes it by its name, by latest, by a time, or by an id', async () => {
    const { create, ec2, made } = await bench();
    for (const name of ['first', 'second']) {
      await taken(ec2, name);
      await pass(3_600_000);
    }
    const [first, second] = ec2.snapshots;
    const between = new Date(Date.parse(first!.startedAt) + 60_000).toISOString();
    const wanted = { first: first?.id, latest: second?.id, second: second?.id, [between]: first?.id };
    for (const [which, id] of Object.entries(wanted)) {
      await create(`from-${which.slice(0, 6)}`, { from: 'db', fromSnapshot: which });
      expect(made()).toMatchObject({ snapshotId: id, type: 'gp3', iops: 3500, throughput: 200 });
    }
    expect(await failure(create('x', { from: 'db', fromSnapshot: 'third' }))).toMatchObject({
      parts: { todo: expect.stringContaining('second') },
    });
    expect(await failure(create('x', { fromSnapshot: 'first' }))).toMatchObject({ code: 'INVALID_OPTION' });
  });

  it('waits for one that is not complete by saying so', async () => {
    const { create, ec2 } = await bench();
    ec2.snapshotState = 'pending';
    await taken(ec2, 'now');
    expect(await failure(create('x', { from: 'db', fromSnapshot: 'now' }))).toMatchObject({ code: 'STILL_WORKING' });
  });
});

it('an error that a snapshot does not help with is told', async () => {
  const { create, ec2 } = await bench();
  ec2.createVolume = async () => {
    throw ec2Error('EC2_CREDENTIALS');
  };
  expect(await failure(create('copy', { from: 'db' }))).toMatchObject({ code: 'EC2_CREDENTIALS' });
  expect(ec2.snapshots).toEqual([]);
});

describe('a volume with a ttl', () => {
  const hour = 3_600_000;

  it('is removed when its time is over, and only once nothing has it mounted', async () => {
    const { create, mount, unmount, ec2, node } = await bench();
    await create('short', { from: 'db', ttl: '2h', onRemove: 'delete' });
    await mount('short', 'one');
    node.host.mountedElsewhere.add('vol-2');
    await pass(3 * hour);
    expect(ec2.volumes.size).toBe(2);
    node.host.mountedElsewhere.clear();
    await unmount('short', 'one');
    await pass(hour);
    expect([...ec2.volumes.keys()]).toEqual(['vol-1']);
  });

  it('is removed by another node, hours later, where its maker is gone; one made anew of its name stays', async () => {
    const { create, ec2, node } = await bench();
    await create('short', { ttl: '2h' });
    await create('anew', { ttl: '2h' });
    node.kill();
    const other = await fakeNode(ec2, { instanceId: 'i-2' });
    await verbs(other).remove('anew');
    await verbs(other).create('anew');
    await pass(5 * hour);
    expect([...ec2.volumes.values()].map(({ tags }) => tags['Name'])).toEqual(['db', 'anew']);
  });
});
