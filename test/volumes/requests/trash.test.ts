import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { verbs } from '../../support/fake-node.ts';
import { failure, pass, useVirtualTime } from '../../support/virtual-time.ts';
import { bench, hour, trashNode } from './trash-bench.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

describe('a removed volume', () => {
  it('is in the trash for as long as the setting says, and is then deleted', async () => {
    const { remove, list, ec2, node } = await bench({ settings: { trash: 2 * 3600 } });
    await remove('a');
    expect(await node.lookup.find('a')).toBeUndefined();
    const [entry] = await list();
    expect(entry).toMatchObject({ id: 'vol-1', name: 'a', by: 'i-1', monthlyCost: 1.28 });
    expect(Date.parse(entry!.expires) - Date.parse(entry!.removed)).toBe(2 * hour);
    await pass(2 * hour - 60_000);
    expect([ec2.volumes.size, ec2.volumes.get('vol-1')?.attachments]).toEqual([1, []]);
    await pass(120_000);
    expect(ec2.volumes.size).toBe(0);
  });

  it('that nobody has ever used is deleted as soon as no read shows its name', async () => {
    const { create, remove, ec2 } = await bench();
    await create('blank');
    await remove('blank');
    expect(ec2.volumes.size).toBe(2);
    await pass(120_000);
    expect([...ec2.volumes.keys()]).toEqual(['vol-1']);
  });

  it('is kept where another node has used it and this one has not seen that', async () => {
    const { create, ec2, remove } = await bench();
    await create('b');
    const early = structuredClone(await ec2.findVolumes('b'));
    const other = await trashNode(ec2, { instanceId: 'i-2' });
    await verbs(other).mount('b', 'one');
    await verbs(other).unmount('b', 'one');
    await pass(10_000);
    const shows = vi.spyOn(ec2, 'findVolumes').mockImplementationOnce(async () => structuredClone(early));
    await remove('b');
    shows.mockRestore();
    await pass(hour);
    expect(ec2.volumes.size).toBe(2);
  });

  it('is deleted, kept for good or snapshotted instead where its own option says so', async () => {
    const { create, mount, unmount, remove, ec2 } = await bench();
    for (const onRemove of ['delete', 'retain', 'snapshot']) {
      await create(onRemove, { onRemove });
      await mount(onRemove, 'one');
      await unmount(onRemove, 'one');
      await remove(onRemove);
    }
    await pass(200 * hour);
    expect([...ec2.volumes.values()].map(({ tags }) => tags['Name'])).toEqual(['a', 'retain']);
    expect(ec2.snapshots).toHaveLength(1);
  });

  it('stays where its tag says what no version knows, and where the setting is to delete but its option is not', async () => {
    const { create, mount, unmount, remove, ec2 } = await bench({ settings: { onRemove: 'delete' } });
    for (const onRemove of ['trash', 'odd']) {
      await create(onRemove, { onRemove: 'trash' });
      ec2.volumes.get([...ec2.volumes.keys()].at(-1)!)!.tags[tagKeys.onRemove] = onRemove;
      await mount(onRemove, 'one');
      await unmount(onRemove, 'one');
      await remove(onRemove);
    }
    await remove('a');
    await pass(hour);
    expect([...ec2.volumes.values()].map(({ tags }) => tags['Name'])).toEqual(['trash', 'odd']);
  });

  it('is purged by another node where the one that put it there is gone, with its next removal', async () => {
    const { ec2, remove, node } = await bench({ settings: { trash: 3600 } });
    await remove('a');
    await pass(60_000);
    node.kill();
    const other = await trashNode(ec2, { instanceId: 'i-2' });
    await pass(3 * hour);
    expect(ec2.volumes.size).toBe(1);
    await verbs(other).remove('none');
    await pass(60_000);
    expect(ec2.volumes.size).toBe(0);
  });

  it('is purged after a restart of the node that put it there, and costs no call till then', async () => {
    const { ec2, remove, node } = await bench();
    await remove('a');
    await pass(60_000);
    node.kill();
    await trashNode(ec2, node.machine);
    await pass(hour);
    ec2.calls.length = 0;
    await pass(22 * hour);
    expect(ec2.calls).toEqual([]);
    await pass(2 * hour);
    expect(ec2.volumes.size).toBe(0);
  });
});

describe('a purge', () => {
  it('deletes what is named, or all, and only tells in a dry run', async () => {
    const { create, mount, unmount, remove, purge, ec2 } = await bench();
    await remove('a');
    await create('a');
    await mount('a', 'one');
    await unmount('a', 'one');
    await remove('a');
    await pass(60_000);
    expect(await failure(purge(['a']))).toMatchObject({ code: 'INVALID_REQUEST' });
    expect(await failure(purge(['b']))).toMatchObject({ code: 'NO_SUCH_VOLUME' });
    expect(await purge('all', true)).toHaveLength(2);
    expect(ec2.volumes.size).toBe(2);
    await purge(['vol-1']);
    expect([...ec2.volumes.keys()]).toEqual(['vol-2']);
    await purge('all');
    expect(ec2.volumes.size).toBe(0);
  });

  it('spares what is attached, what has a name, and what somebody has had since it was removed', async () => {
    const { create, remove, purge, ec2, node } = await bench({ settings: { trash: 3600 } });
    await remove('a');
    await pass(60_000);
    const volume = ec2.volumes.get('vol-1')!;
    const attachment = ec2.addAttachment(volume, 'i-1', '/dev/sdz');
    expect(await failure(purge(['vol-1']))).toMatchObject({ parts: { why: 'it is attached to i-1' } });
    ec2.endAttachment(volume, attachment);
    // Undeleted, used, and then somebody takes its name tag off.
    const owner = volume.tags[tagKeys.owner]!;
    volume.tags[tagKeys.owner] = owner.replace(/\d{4}-\d\d-\d\dT/, '2031-01-01T');
    expect(await failure(purge(['vol-1']))).toMatchObject({
      parts: { why: 'somebody has had it since it was removed' },
    });
    await pass(100 * hour);
    await create('c');
    await verbs(node).remove('c');
    await pass(hour);
    expect(ec2.volumes.has('vol-1')).toBe(true);
  });

  it('does not delete by a look that is too old', async () => {
    const { remove, purge, ec2 } = await bench();
    await remove('a');
    await pass(60_000);
    const remember = vi.spyOn(ec2, 'deleteVolume');
    await purge(['a']);
    const stillValid = remember.mock.calls[0]?.[1 as never] as { stillValid(): boolean } | undefined;
    expect(stillValid?.stillValid()).toBe(true);
    await pass(11_000);
    expect(stillValid?.stillValid()).toBe(false);
  });
});
