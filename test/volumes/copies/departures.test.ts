import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { removeVolume } from '../../../src/volumes/requests/remove.ts';
import { verbs } from '../../support/fake-node.ts';
import { failure, pass, useVirtualTime } from '../../support/virtual-time.ts';
import { bench, hour, operators, trashNode } from '../requests/trash-bench.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** A used volume "a" in zone a with its node, and a node of zone b. */
async function twoZones(options: Record<string, string> = {}) {
  const all = await bench();
  if (Object.keys(options).length > 0) Object.assign(all.ec2.volumes.get('vol-1')!.tags, options);
  const far = await trashNode(all.ec2, { instanceId: 'i-2', zone: 'eu-west-1b' });
  const removal = () => far.queue.run('a', () => removeVolume(far, 'a'));
  return { ...all, far, removal, does: { ...verbs(far), ...operators(far) } };
}

const volumeOf = ({ ec2 }: Pick<Awaited<ReturnType<typeof twoZones>>, 'ec2'>) => ec2.volumes.get('vol-1');

describe('a removal from another zone', () => {
  it('takes a snapshot into the trash and deletes the volume, once no mount of before can be unseen', async () => {
    const box = await twoZones({ [tagKeys.autoGrow]: '80%', [tagKeys.autoGrowMax]: '64' });
    const { ec2, does, list, removal } = box;
    const removed = removal();
    await pass(39_000);
    expect([volumeOf(box)?.tags[tagKeys.leaving]?.slice(0, 3), ec2.snapshots.length]).toEqual(['i-2', 0]);
    await pass(4000);
    await removed;
    expect([ec2.volumes.size, ec2.snapshots.length]).toEqual([0, 1]);
    ec2.snapshots[0]!.id = 'snap-1a';
    expect(ec2.snapshots[0]?.tags).toMatchObject({ [tagKeys.trashOf]: 'vol-1', [tagKeys.consistency]: 'unmounted' });
    expect(await list()).toMatchObject([
      {
        id: ec2.snapshots[0]?.id,
        name: 'a',
        type: 'snapshot',
        zone: undefined,
        sizeGiB: 16,
        by: 'i-2',
        monthlyCost: 0.8,
      },
    ]);
    // The undelete makes a volume of it, on any node.
    expect(await does.undelete('a')).toMatchObject({ name: 'a', snapshotId: 'snap-1a' });
    const [volume] = [...ec2.volumes.values()];
    expect(volume).toMatchObject({ zone: 'eu-west-1b', tags: { [tagKeys.name]: 'a', [tagKeys.autoGrowMax]: '64' } });
    expect([await list(), ec2.snapshots]).toEqual([[], []]);
  });

  it('of one that nobody has ever used leaves nothing', async () => {
    const { create, ec2, does } = await twoZones();
    await create('blank');
    await does.remove('blank');
    expect([[...ec2.volumes.keys()], ec2.snapshots]).toEqual([['vol-1'], []]);
  });

  it('is refused where somebody has it, also where no read has shown that at first', async () => {
    const box = await twoZones();
    const { ec2, does, mount } = box;
    const free = structuredClone(volumeOf(box)!);
    await mount('a');
    expect(await failure(does.remove('a'))).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    const stale = vi.spyOn(ec2, 'describeVolume').mockImplementationOnce(async () => free);
    expect(await failure(does.remove('a'))).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    stale.mockRestore();
    expect(volumeOf(box)?.tags).not.toHaveProperty([tagKeys.leaving]);
    expect(ec2.snapshots).toEqual([]);
  });

  it('lets nobody mount it meanwhile, and says so', async () => {
    const box = await twoZones();
    const { mount, ec2, removal } = box;
    const removed = removal();
    await pass(1000);
    expect(await failure(mount('a', 'one'))).toMatchObject({
      code: 'STILL_WORKING',
      parts: { why: expect.stringContaining('i-2 is removing vol-1 from another zone') },
    });
    await pass(45_000);
    await removed;
    expect(ec2.volumes.size).toBe(0);
  });

  it('takes no snapshot and deletes nothing of what was mounted by an older version under its mark', async () => {
    const box = await twoZones();
    const { ec2, does } = box;
    ec2.snapshotState = 'pending';
    const removed = failure(does.remove('a'));
    await pass(46_000);
    expect(await removed).toMatchObject({ code: 'STILL_WORKING' });
    const volume = volumeOf(box)!;
    volume.tags[tagKeys.owner] = volume.tags[tagKeys.owner]!.replace(/\d{4}-\d\d-\d\dT/, '2031-01-01T');
    ec2.snapshots[0]!.state = 'completed';
    await pass(60_000);
    expect([ec2.volumes.size, ec2.snapshots.length]).toEqual([1, 0]);
    expect(volume.tags).not.toHaveProperty([tagKeys.leaving]);
  });

  it('answers in time where the snapshot takes long, goes on, and is joined by the next call', async () => {
    const box = await twoZones();
    const { ec2, does, far } = box;
    ec2.snapshotState = 'pending';
    const error = await failure(does.remove('a'));
    expect(error).toMatchObject({
      code: 'STILL_WORKING',
      parts: { why: expect.stringContaining('last snapshot of vol-1') },
    });
    expect(far.waits.get('a')).toContain('last snapshot');
    const again = does.remove('a');
    await pass(5000);
    ec2.snapshots[0]!.state = 'completed';
    await again;
    expect([ec2.volumes.size, ec2.snapshots.length]).toEqual([0, 1]);
    expect(await does.list()).toHaveLength(1);
  });

  it.each([
    ['its wait', 10_000],
    ['its snapshot', 44_000],
  ])('goes on after its node died in %s', async (_, when) => {
    const { ec2, does, far } = await twoZones();
    ec2.snapshotState = 'pending';
    void does.remove('a').catch(() => undefined);
    await pass(when);
    far.kill();
    ec2.snapshotState = 'completed';
    for (const each of ec2.snapshots) each.state = 'completed';
    const again = await trashNode(ec2, { ...far.machine, instanceId: 'i-2', zone: 'eu-west-1b' });
    await pass(120_000);
    expect([ec2.volumes.size, ec2.snapshots.length]).toEqual([0, 1]);
    expect(again.trash.size()).toEqual({ count: 1, gib: 16 });
  });

  it('whose snapshot fails is called off, and the volume is as it was', async () => {
    const box = await twoZones();
    const { ec2, does, mount } = box;
    ec2.snapshotState = 'error';
    expect(await failure(does.remove('a'))).toMatchObject({ parts: { why: expect.stringContaining('has failed') } });
    expect([volumeOf(box)?.tags[tagKeys.leaving], ec2.snapshots]).toEqual([undefined, []]);
    await mount('a', 'one');
  });

  it('needs the permission to take a snapshot, and changes nothing without it', async () => {
    const box = await twoZones();
    box.ec2.denied = async () => 'You are not authorized';
    expect(await failure(box.does.remove('a'))).toMatchObject({ code: 'EC2_DENIED' });
    expect(volumeOf(box)?.tags).not.toHaveProperty([tagKeys.leaving]);
  });

  it('is called off by an undelete on a node of its zone', async () => {
    const box = await twoZones();
    const { ec2, does, undelete, mount } = box;
    ec2.snapshotState = 'pending';
    const removed = failure(does.remove('a'));
    await pass(46_000);
    await removed;
    expect(await failure(does.undelete('a'))).toMatchObject({ code: 'WRONG_ZONE' });
    const back = undelete('a');
    await pass(1000);
    ec2.snapshots[0]!.state = 'completed';
    expect(await back).toMatchObject({ volumeId: 'vol-1' });
    await pass(120_000);
    expect([ec2.volumes.size, volumeOf(box)?.tags[tagKeys.leaving], ec2.snapshots]).toEqual([1, undefined, []]);
    await mount('a', 'one');
  });

  it('is one for two nodes that ask at once, and another takes up what a dead one has begun', async () => {
    const { ec2, does, far } = await twoZones();
    const third = await trashNode(ec2, { instanceId: 'i-3', zone: 'eu-west-1c' });
    void does.remove('a').catch(() => undefined);
    await pass(1000);
    expect(await failure(verbs(third).remove('a'))).toMatchObject({ code: 'STILL_WORKING' });
    far.kill();
    await pass(2 * hour);
    await verbs(third).remove('a');
    expect([ec2.volumes.size, ec2.snapshots.length]).toEqual([0, 1]);
  });
});

describe('a snapshot in the trash', () => {
  it('is deleted when its time is over, by its node or by another with its next removal', async () => {
    for (const dies of [false, true]) {
      const { ec2, does, far, remove } = await twoZones();
      await does.remove('a');
      if (dies) far.kill();
      await pass(26 * hour);
      if (dies) await remove('none');
      await pass(60_000);
      expect(ec2.snapshots).toEqual([]);
    }
  });

  it('is deleted by its node also after a restart of that', async () => {
    const { ec2, does, far } = await twoZones();
    await does.remove('a');
    far.kill();
    await trashNode(ec2, { ...far.machine, instanceId: 'i-2', zone: 'eu-west-1b' });
    await pass(25 * hour);
    expect(ec2.snapshots).toEqual([]);
  });

  it('is deleted for good by its name, and one that another tool copied the tags to is not', async () => {
    const { ec2, does } = await twoZones();
    await does.remove('a');
    const { [tagKeys.trashOf]: _, ...copied } = ec2.snapshots[0]!.tags;
    ec2.addSnapshot('vol-9', { tags: copied });
    expect(await does.purge('all')).toHaveLength(1);
    expect(ec2.snapshots).toMatchObject([{ volumeId: 'vol-9' }]);
  });

  it('becomes a volume in the zone that is asked for, under another name where its own is taken', async () => {
    const { ec2, does, create } = await twoZones();
    await does.remove('a');
    ec2.snapshots[0]!.id = 'snap-1a';
    await create('a');
    expect(await failure(does.undelete('a'))).toMatchObject({ code: 'EXISTS_DIFFERENT' });
    const operator = operators((await trashNode(ec2, { instanceId: 'i-4', zone: 'eu-west-1c' })) as never);
    expect(await operator.undelete('a', 'before', 'eu-west-1a')).toMatchObject({ name: 'before' });
    expect([...ec2.volumes.values()].at(-1)).toMatchObject({ zone: 'eu-west-1a', tags: { [tagKeys.name]: 'before' } });
  });
});
