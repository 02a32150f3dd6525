import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { createTrashOperator } from '../../../src/volumes/operator/trash.ts';
import { verbs } from '../../support/fake-node.ts';
import { failure, pass, useVirtualTime } from '../../support/virtual-time.ts';
import { bench, hour, operators, trashNode } from './trash-bench.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

describe('an undelete', () => {
  it('brings it back with its data under its name, and it can be mounted and removed again', async () => {
    const { remove, undelete, mount, unmount, ec2, list } = await bench();
    await remove('a');
    expect(await undelete('a')).toMatchObject({ volumeId: 'vol-1', name: 'a', others: [] });
    const tags = ec2.volumes.get('vol-1')?.tags;
    expect(tags).toMatchObject({ [tagKeys.name]: 'a' });
    expect([tags?.[tagKeys.trash], tags?.[tagKeys.retained]]).toEqual([undefined, undefined]);
    expect(await list()).toEqual([]);
    await mount('a', 'two');
    expect(ec2.volumes.get('vol-1')?.attachments).toHaveLength(1);
    await unmount('a', 'two');
    await remove('a');
    await pass(60_000);
    expect(await list()).toHaveLength(1);
  });

  it('has it stay, though its ttl is over, also after a restart of the daemon', async () => {
    const { create, undelete, ec2, node } = await bench();
    await create('short', { from: 'a', ttl: '2h' });
    await pass(3 * hour);
    expect(await undelete('short')).toMatchObject({ name: 'short' });
    node.kill();
    await trashNode(ec2, { instanceId: 'i-2' });
    await pass(5 * hour);
    expect(ec2.volumes.get('vol-2')?.tags).toMatchObject({ [tagKeys.name]: 'short' });
  });

  it('by another node, of the one removed last, or under another name', async () => {
    const { remove, create, mount, unmount, ec2 } = await bench();
    await remove('a');
    await pass(60_000);
    await create('a');
    await mount('a', 'one');
    await unmount('a', 'one');
    await remove('a');
    await pass(60_000);
    const other = operators(await trashNode(ec2, { instanceId: 'i-2' }));
    expect(await other.undelete('a')).toMatchObject({ volumeId: 'vol-2', others: ['vol-1'] });
    expect(await failure(other.undelete('a'))).toMatchObject({ code: 'EXISTS_DIFFERENT' });
    expect(await other.undelete('vol-1', 'before')).toMatchObject({ volumeId: 'vol-1', name: 'before' });
    expect(ec2.volumes.get('vol-1')?.tags).toMatchObject({ Name: 'before', [tagKeys.name]: 'before' });
  });

  it('under another name, by a node that knew it under its former one, which means another volume by now', async () => {
    const { ec2, mount, unmount, node } = await bench();
    const other = await trashNode(ec2, { instanceId: 'i-2' });
    await verbs(other).mount('a', 'one');
    await verbs(other).unmount('a', 'one');
    await pass(10_000);
    await verbs(node).remove('a');
    await pass(60_000);
    await verbs(node).create('a');
    await mount('a', 'one');
    await unmount('a', 'one');
    await pass(10_000);
    expect(other.names.known('a')?.value.id).toBe('vol-1');
    await operators(other).undelete('vol-1', 'before');
    await Promise.all([verbs(other).mount('before', 'one'), verbs(other).mount('a', 'one')]);
    expect([other.held.get('a')?.volume.id, other.held.get('before')?.volume.id]).toEqual(['vol-2', 'vol-1']);
  });

  it('of one that was kept for good works too; of one that is not there says so', async () => {
    const { remove, undelete, ec2 } = await bench({ settings: { onRemove: 'retain' } });
    await remove('a');
    await pass(60_000);
    expect(await failure(undelete('b'))).toMatchObject({ code: 'NO_SUCH_VOLUME' });
    await undelete('a');
    expect(ec2.volumes.get('vol-1')?.tags).toMatchObject({ [tagKeys.name]: 'a' });
  });

  it('keeps the volume attached until no Create can have missed its name', async () => {
    const { remove, ec2, node } = await bench();
    await remove('a');
    await pass(60_000);
    const done = createTrashOperator(node).undelete('a', undefined);
    await pass(30_000);
    expect(ec2.volumes.get('vol-1')).toMatchObject({
      attachments: [{ instanceId: 'i-1' }],
      tags: { [tagKeys.name]: 'a' },
    });
    expect(node.held.get('a')).toMatchObject({ phase: 'detaching', giving: true });
    await pass(30_000);
    expect((await done).volumeId).toBe('vol-1');
    expect(ec2.volumes.get('vol-1')?.attachments).toEqual([]);
  });

  it('gives way to a volume that was made of the name meanwhile, and is in the trash again', async () => {
    const { remove, ec2, node } = await bench();
    await remove('a');
    await pass(60_000);
    const refused = failure(createTrashOperator(node).undelete('a', undefined));
    await pass(10_000);
    // Its maker has asked before, is dead since, and has looked at nothing.
    const { [tagKeys.trash]: _, [tagKeys.retained]: __, ...tags } = ec2.volumes.get('vol-1')!.tags;
    ec2.addVolume({ tags });
    await pass(120_000);
    expect(await refused).toMatchObject({ code: 'EXISTS_DIFFERENT' });
    expect(ec2.volumes.get('vol-1')?.tags).not.toHaveProperty([tagKeys.name]);
    expect(ec2.volumes.get('vol-1')?.tags).toHaveProperty([tagKeys.trash]);
    await pass(60_000);
    expect(ec2.volumes.get('vol-1')?.attachments).toEqual([]);
    expect(ec2.volumes.size).toBe(2);
  });

  it('lets the maker of a volume give way that sees the name after it has made its own', async () => {
    const { remove, ec2, node } = await bench();
    await remove('a');
    await pass(60_000);
    const other = await trashNode(ec2, { instanceId: 'i-2' });
    vi.spyOn(other.lookup, 'shown').mockImplementationOnce(async () => undefined);
    const undeleted = createTrashOperator(node).undelete('a', undefined);
    await pass(5000);
    await verbs(other).create('a');
    await pass(120_000);
    expect(await undeleted).toMatchObject({ volumeId: 'vol-1' });
    expect([...ec2.volumes.keys()]).toEqual(['vol-1']);
  });

  it('goes on after a crash, and a mount waits for its end', async () => {
    const { remove, ec2, node } = await bench();
    await remove('a');
    await pass(60_000);
    void createTrashOperator(node).undelete('a', undefined);
    await pass(8000);
    node.kill();
    const again = await trashNode(ec2, node.machine);
    await verbs(again).mount('a', 'one');
    expect(ec2.volumes.get('vol-1')?.tags).not.toHaveProperty([tagKeys.trash]);
    expect(again.held.get('a')).toMatchObject({ volume: { id: 'vol-1' }, phase: 'mounted' });
  });

  it('leaves it in the trash where it died before the name was on it', async () => {
    const { remove, ec2, node } = await bench();
    await remove('a');
    await pass(60_000);
    vi.spyOn(ec2, 'createTags').mockImplementation((_id, tags) =>
      tagKeys.name in tags ? new Promise(() => undefined) : Promise.resolve(),
    );
    void createTrashOperator(node).undelete('a', undefined);
    await pass(8000);
    node.kill();
    vi.mocked(ec2.createTags).mockRestore();
    const again = await trashNode(ec2, node.machine);
    await pass(120_000);
    expect(again.held.size).toBe(0);
    expect(ec2.volumes.get('vol-1')).toMatchObject({ attachments: [], tags: { [tagKeys.retained]: 'a' } });
  });
});
