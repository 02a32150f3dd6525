import fc from 'fast-check';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { askedTag, looksOf, readAsked } from '../../../src/volumes/copies/asked.ts';
import { createSnapshotOperator } from '../../../src/volumes/operator/snapshots.ts';
import { ec2Error } from '../../support/fake-ec2.ts';
import { fakeNode, nodeWithVolume } from '../../support/fake-node.ts';
import { failure, pass, played, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** A volume "a" in use on the first node, and another node that wants a snapshot of it. */
async function bed(snapshotRequests = 60) {
  const first = await nodeWithVolume({ settings: { snapshotRequests } });
  first.node.host.processes.add(1);
  await first.mount('a', 'id', undefined, 1);
  const other = await fakeNode(first.ec2, { instanceId: 'i-2' });
  const take = () => createSnapshotOperator(other).take('a', 'wanted', { crash: false });
  return { ...first, other, take };
}

describe('a snapshot of a volume that another node has', () => {
  it('is taken by that node, whose writers stand still, and nothing is left of the request', async () => {
    const { ec2, take, volume, other } = await bed();
    await pass(70_000);
    const asked = take();
    await pass(1000);
    expect(readAsked(volume.tags)).toMatchObject({ by: 'i-2', name: 'wanted', refused: undefined });
    expect(other.waits.get('a')).toBe('i-1 to take the snapshot: it looks for requests every 60 s');
    const taken = await played(asked);
    expect(taken).toMatchObject({ name: 'wanted', volumeId: 'vol-1', consistency: 'frozen' });
    expect(ec2.snapshots.map(({ id, tags }) => [id, tags[tagKeys.snapshotName]])).toEqual([
      [taken.snapshotId, 'wanted'],
    ]);
    await pass(60_000);
    expect(volume.tags).not.toHaveProperty([tagKeys.snapshotWanted]);
  });

  it('is refused at once where that node does not look for requests', async () => {
    const { ec2, take, volume } = await bed(0);
    await pass(70_000);
    ec2.calls.length = 0;
    const began = Date.now();
    expect(await failure(take())).toMatchObject({
      code: 'ATTACHED_ELSEWHERE',
      parts: { todo: expect.stringMatching(/^Run docker-volume-ebs snapshot take there, or give --crash-consistent/) },
    });
    expect(Date.now() - began).toBeLessThan(1000);
    expect(ec2.calls.map(({ method }) => method)).toEqual(['findVolumes']);
    expect(volume.tags).not.toHaveProperty([tagKeys.snapshotWanted]);
  });

  it('fails with the reason where that node could not', async () => {
    const { ec2, take, volume } = await bed();
    await pass(70_000);
    ec2.createSnapshot = () => Promise.reject(ec2Error('EC2_LIMIT', 'the quota "snapshots" is used up'));
    expect(await failure(take())).toMatchObject({
      code: 'ATTACHED_ELSEWHERE',
      parts: { why: 'i-1 has it, and could not: the quota  snapshots  is used up' },
    });
    expect(volume.tags).not.toHaveProperty([tagKeys.snapshotWanted]);
  });

  it('fails where that node does not answer, and asks for nothing any more', async () => {
    const { ec2, node, take, volume } = await bed();
    await pass(70_000);
    node.kill();
    expect(await failure(take())).toMatchObject({
      code: 'ATTACHED_ELSEWHERE',
      parts: { why: 'i-1 has it, and has not answered for 180 s' },
    });
    expect(volume.tags).not.toHaveProperty([tagKeys.snapshotWanted]);
    expect(ec2.snapshots).toEqual([]);
  });

  it('is taken from here once the volume is free', async () => {
    const { ec2, take, unmount } = await bed();
    await pass(61_000);
    const asked = take();
    await pass(3000);
    await unmount('a', 'id');
    expect(await played(asked)).toMatchObject({ consistency: 'unmounted' });
    expect(ec2.snapshots).toHaveLength(1);
  });

  it('waits for no other request', async () => {
    const { take, volume } = await bed();
    await pass(70_000);
    const at = new Date().toISOString();
    volume.tags[tagKeys.snapshotWanted] = askedTag({ request: 'r', at, by: 'i-3', name: 'x', refused: undefined });
    expect(await failure(take())).toMatchObject({ code: 'STILL_WORKING' });
    expect(readAsked(volume.tags)?.by).toBe('i-3');
  });
});

describe('a node that looks for requests', () => {
  it('makes one call for all its volumes, and none while nothing is in use there', async () => {
    const { ec2, unmount } = await bed();
    await pass(70_000);
    ec2.calls.length = 0;
    await pass(300_000);
    expect(ec2.calls.map(({ method }) => method)).toEqual(Array(5).fill('findTagged'));
    await unmount('a', 'id');
    await pass(10_000);
    ec2.calls.length = 0;
    await pass(300_000);
    expect(ec2.calls).toEqual([]);
  });

  it('takes what is over, or no request, off', async () => {
    const { ec2, volume } = await bed();
    for (const tag of ['x', `r 2020-01-01T00:00:00Z i-2 x`]) {
      volume.tags[tagKeys.snapshotWanted] = tag;
      await pass(61_000);
      expect(volume.tags).not.toHaveProperty([tagKeys.snapshotWanted]);
    }
    expect(ec2.snapshots).toEqual([]);
  });
});

describe('the tag of a request', () => {
  it('is read as it was written, and fits', () => {
    const word = fc.stringMatching(/^[\w.@+:-]{1,40}$/);
    fc.assert(
      fc.property(fc.uuid(), word, fc.option(fc.string(), { nil: undefined }), (request, name, refused) => {
        const asked = { request, at: '2026-11-30T12:00:00.000Z', by: 'i-2', name };
        const text = askedTag({ ...asked, refused });
        expect(text.length).toBeLessThanOrEqual(256);
        const read = readAsked({ [tagKeys.snapshotWanted]: text });
        if (refused === undefined) expect(read).toEqual({ ...asked, refused });
        else expect(read).toMatchObject({ request, name, refused: expect.any(String) });
      }),
    );
  });

  it('says how often the owner looks, and nothing of another one', () => {
    const tags = { [tagKeys.looks]: 'i-1 60' };
    expect([
      looksOf(tags, { instanceId: 'i-1' }),
      looksOf(tags, { instanceId: 'i-2' }),
      looksOf({}, { instanceId: 'i-1' }),
    ]).toEqual([60, undefined, undefined]);
  });
});
