import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { endHolder } from '../../../src/volumes/operator/end-holder.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { type FakeNodeParts, fakeNode, verbs } from '../../support/fake-node.ts';
import { failure, pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

async function bench(settings: FakeNodeParts['settings'] = {}) {
  const ec2 = new FakeEc2();
  const node = await fakeNode(ec2, { settings });
  const does = verbs(node);
  await does.create('a');
  ec2.calls.length = 0;
  return { ec2, node, host: node.host, ...does };
}

describe('removing', () => {
  it('deletes the volume, and one that is not there is success', async () => {
    const { remove, ec2 } = await bench();
    await remove('a');
    expect(ec2.volumes.size).toBe(0);
    await remove('a');
    await remove('never');
    expect(ec2.count('deleteVolume')).toBe(1);
  });

  it('snapshots it first where the settings say so', async () => {
    const { remove, ec2 } = await bench({ onRemove: 'snapshot' });
    await remove('a');
    const snapshot = ec2.calls.find(({ method }) => method === 'createSnapshot');
    expect(snapshot?.args).toMatchObject(['vol-1', expect.any(String), { Name: 'a', [tagKeys.retained]: 'a' }]);
    await pass(60_000);
    expect(ec2.volumes.size).toBe(0);
  });

  it('snapshots it with a description that EC2 takes, however long the name', async () => {
    const { create, remove, ec2 } = await bench({ onRemove: 'snapshot' });
    const longest = 'a'.repeat(240);
    await create(longest);
    await remove(longest);
    const [, description] = ec2.calls.find(({ method }) => method === 'createSnapshot')?.args ?? [];
    expect(description).toHaveLength(255);
  });

  it('is refused where this role may not snapshot, and changes nothing', async () => {
    const { remove, ec2 } = await bench({ onRemove: 'snapshot' });
    ec2.denied = async () => 'You are not authorized';
    expect(await failure(remove('a'))).toMatchObject({ code: 'EC2_DENIED' });
    expect([ec2.count('createTags'), ec2.count('deleteTags'), ec2.count('createSnapshot')]).toEqual([0, 0, 0]);
    expect(ec2.volumes.get('vol-1')?.tags).toHaveProperty([tagKeys.name]);
  });

  it('deletes nothing without a snapshot, which is tried again until it can be made', async () => {
    const { remove, ec2 } = await bench({ onRemove: 'snapshot' });
    ec2.failNext('createSnapshot', 'EC2_LIMIT');
    ec2.failNext('createSnapshot', 'EC2_LIMIT');
    await remove('a');
    await pass(20_000);
    expect([ec2.volumes.size, ec2.count('deleteVolume')]).toEqual([1, 0]);
    await pass(180_000);
    expect([ec2.volumes.size, ec2.snapshots.length]).toEqual([0, 1]);
  });

  it('retains it under another tag where the settings say so', async () => {
    const { remove, ec2, node } = await bench({ onRemove: 'retain' });
    await remove('a');
    const tags = ec2.volumes.get('vol-1')?.tags;
    expect(tags).toMatchObject({ [tagKeys.retained]: 'a' });
    expect(tags).not.toHaveProperty([tagKeys.name]);
    expect(ec2.count('deleteVolume')).toBe(0);
    expect(await node.lookup.find('a')).toBeUndefined();
  });

  it('retains it under an attachment of its own, which it keeps for as long as reads may lag', async () => {
    const { remove, create, mount, ec2, node } = await bench({ onRemove: 'retain' });
    await remove('a');
    expect(ec2.calls.map(({ method }) => method).filter((method) => !/^(find|describe)/.test(method))).toEqual([
      'attachVolume',
      'createTags',
      'createTags',
      'deleteTags',
    ]);
    expect(ec2.volumes.get('vol-1')?.attachments).toMatchObject([{ instanceId: 'i-1' }]);
    await pass(19_000);
    expect(ec2.volumes.get('vol-1')?.attachments).toHaveLength(1);
    await pass(6000);
    expect(ec2.volumes.get('vol-1')?.attachments).toEqual([]);
    expect([node.held.size, node.waits.size]).toEqual([0, 0]);
    await create('a');
    await remove('a');
    // What is left of it here stands in nobody's way.
    await create('a');
    await mount('a', 'id-1');
    expect(node.held.get('a')).toMatchObject({ volume: { id: 'vol-3' }, phase: 'mounted' });
    expect(ec2.volumes.get('vol-2')?.attachments).toEqual([]);
  });

  it('retains at once one that lingers here', async () => {
    const { remove, mount, unmount, ec2, host } = await bench({ onRemove: 'retain' });
    await mount('a', 'id-1');
    await unmount('a', 'id-1');
    ec2.calls.length = 0;
    await remove('a');
    expect(ec2.calls.map(({ method }) => method)).toEqual(['findVolumes', 'createTags', 'deleteTags']);
    expect(host.mounted.size).toBe(0);
    await pass(30_000);
    expect(ec2.volumes.get('vol-1')?.attachments).toEqual([]);
  });

  it('retains none of another zone, where it cannot be locked, and says where to', async () => {
    const { ec2 } = await bench({ onRemove: 'retain' });
    const other = await fakeNode(ec2, { instanceId: 'i-2', zone: 'eu-west-1b', settings: { onRemove: 'retain' } });
    const error = await failure(verbs(other).remove('a'));
    expect(error).toMatchObject({ code: 'WRONG_ZONE', parts: { todo: 'Ask for that on a node in eu-west-1a' } });
    expect(ec2.volumes.get('vol-1')?.tags).toHaveProperty([tagKeys.name]);
  });

  it('retains none that another node has mounted meanwhile, though every read still shows it free', async () => {
    const { mount, ec2 } = await bench();
    const other = await fakeNode(ec2, { instanceId: 'i-2', settings: { onRemove: 'retain' } });
    const free = structuredClone(await ec2.findVolumes('a'));
    await mount('a', 'id-1');
    const shows = vi.spyOn(ec2, 'findVolumes').mockImplementation(async () => structuredClone(free));
    expect(await failure(verbs(other).remove('a'))).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    shows.mockRestore();
    expect(ec2.volumes.get('vol-1')?.tags).toMatchObject({ [tagKeys.name]: 'a' });
    expect(ec2.volumes.get('vol-1')?.tags).not.toHaveProperty([tagKeys.retained]);
  });

  it('does not believe one read that there is none: another node may just have made it', async () => {
    const ec2 = new FakeEc2();
    const node = await fakeNode(ec2);
    const other = await fakeNode(ec2, { instanceId: 'i-2' });
    ec2.listedAfterMs = 8000;
    await verbs(other).create('new');
    await verbs(node).remove('new');
    expect(ec2.volumes.size).toBe(0);
  });

  it('answers at once of a volume that it knew, and that is gone', async () => {
    const { ec2, node, remove } = await bench();
    const other = await fakeNode(ec2, { instanceId: 'i-2' });
    await pass(60_000);
    await verbs(other).remove('a');
    expect(node.names.known('a')).toBeDefined();
    const before = Date.now();
    await remove('a');
    expect(Date.now() - before).toBeLessThan(1000);
  });

  it('is finished by a second try when it stopped between two tags', async () => {
    const { remove, ec2 } = await bench({ onRemove: 'retain' });
    ec2.failNext('deleteTags', 'EC2_UNAVAILABLE');
    expect(await failure(remove('a'))).toMatchObject({ code: 'EC2_UNAVAILABLE' });
    await remove('a');
    expect(ec2.volumes.get('vol-1')?.tags).not.toHaveProperty([tagKeys.name]);
  });

  it('a volume that somebody deletes meanwhile is removed', async () => {
    const { remove, ec2 } = await bench();
    ec2.failNext('deleteVolume', 'EC2_NO_SUCH_VOLUME');
    await remove('a');
  });

  it('removes nothing when EC2 cannot say what is there', async () => {
    const { remove, ec2 } = await bench();
    ec2.failNext('findVolumes', 'EC2_THROTTLED');
    expect(await failure(remove('a'))).toMatchObject({ code: 'EC2_THROTTLED' });
    expect(ec2.volumes.size).toBe(1);
  });

  it('removes none of several of the name', async () => {
    const { remove, ec2 } = await bench();
    ec2.addVolume({ tags: { ...ec2.volumes.get('vol-1')?.tags } });
    expect(await failure(remove('a'))).toMatchObject({ code: 'AMBIGUOUS_NAME' });
    expect(ec2.volumes.size).toBe(2);
  });
});

describe('a volume in use', () => {
  it('is refused, naming its holders', async () => {
    const { remove, mount, ec2, host } = await bench();
    await mount('a', 'f'.repeat(64));
    await mount('a');
    const error = await failure(remove('a'));
    expect(error).toMatchObject({ code: 'IN_USE_HERE' });
    expect(String(error)).toContain('mount ffffffffffff, a caller without an id');
    expect(host.mounted.size).toBe(1);
    expect([ec2.count('detachVolume'), ec2.count('deleteVolume')]).toEqual([0, 0]);
  });

  it('says to stop a container only where one is seen', async () => {
    const { remove, mount, host } = await bench();
    await mount('a', 'one');
    host.mountedElsewhere.add('vol-1');
    expect(String(await failure(remove('a')))).toContain(
      'it is mounted on this node for mount one: process 42 (of vol-1) still has vol-1 mounted. Stop what uses it on i-1, then remove it again.',
    );
  });

  it('is given back by the command of the refusal where its container is gone and the Unmount never came', async () => {
    const { remove, mount, node, ec2 } = await bench();
    await mount('a', 'one');
    const refusal = String(await failure(remove('a')));
    expect(refusal).toContain('and nothing is seen to use it. Wait a moment if its container has just ended. If no');
    const [, name = '', holder = ''] = /type docker-volume-ebs unmount (\S+) --holder (\S+) on i-1/.exec(refusal) ?? [];
    await endHolder(node, name, holder);
    await remove('a');
    expect(ec2.volumes.size).toBe(0);
  });

  it('by a container whose holder has ended is refused too', async () => {
    const { remove, mount, unmount, ec2, host } = await bench();
    await mount('a', 'id-1');
    host.mountedElsewhere.add('vol-1');
    await unmount('a', 'id-1');
    expect(await failure(remove('a'))).toMatchObject({ code: 'IN_USE_HERE' });
    expect([ec2.count('detachVolume'), ec2.count('deleteVolume')]).toEqual([0, 0]);
    host.mountedElsewhere.clear();
    await remove('a');
    expect(ec2.volumes.size).toBe(0);
  });

  it('on another node is refused, naming it', async () => {
    const { mount, ec2 } = await bench();
    await mount('a', 'id-1');
    const other = await fakeNode(ec2, { instanceId: 'i-2' });
    const error = await failure(verbs(other).remove('a'));
    expect(error).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect(String(error)).toMatch(
      /it is attached to i-1 .*\. Stop the container that uses it on i-1, or wait a moment if none does any more, then remove it again/,
    );
    const [attachment] = ec2.volumes.get('vol-1')?.attachments ?? [];
    Object.assign(attachment ?? {}, { state: 'detaching' });
    expect(String(await failure(verbs(other).remove('a')))).toMatch(
      /Wait until EC2 has detached it, then remove it again/,
    );
    expect([ec2.count('detachVolume'), ec2.count('deleteVolume')]).toEqual([0, 0]);
  });
});

describe('a volume that lingers', () => {
  it('is detached at once and removed', async () => {
    const { remove, mount, unmount, ec2, node } = await bench();
    await mount('a', 'id-1');
    await unmount('a', 'id-1');
    await remove('a');
    expect(ec2.volumes.size).toBe(0);
    await pass(30_000);
    expect([ec2.count('detachVolume'), node.held.size, node.waits.size]).toEqual([1, 0, 0]);
  });

  it('is removed although its disk leaves the machine before EC2 says that it is detached', async () => {
    const { remove, mount, unmount, ec2 } = await bench();
    ec2.unplugMs = 100;
    ec2.detachMs = 4000;
    await mount('a', 'id-1');
    await unmount('a', 'id-1');
    await remove('a');
    expect(ec2.volumes.size).toBe(0);
  });
});
