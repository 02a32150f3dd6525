import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import type { FakeEc2 } from '../../support/fake-ec2.ts';
import { verbs } from '../../support/fake-node.ts';
import { failure, pass, useVirtualTime } from '../../support/virtual-time.ts';
import { bench, operators, trashNode } from './trash-bench.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** A volume that was removed this very moment; its disk leaves the machine before EC2 shows it free, as on AWS. */
async function justRemoved() {
  const all = await bench();
  all.ec2.unplugMs = 500;
  await all.remove('a');
  expect(all.ec2.volumes.get('vol-1')?.attachments).toHaveLength(1);
  return all;
}

const tagsOf = (ec2: FakeEc2) => ec2.volumes.get('vol-1')?.tags;

describe('an undelete right after the removal', () => {
  it('goes on under the attachment under which the name was taken off', async () => {
    const { undelete, mount, ec2, list } = await justRemoved();
    ec2.calls.length = 0;
    expect(await undelete('a')).toMatchObject({ volumeId: 'vol-1', name: 'a' });
    expect([ec2.count('attachVolume'), ec2.count('detachVolume')]).toEqual([0, 1]);
    expect(tagsOf(ec2)).toMatchObject({ [tagKeys.name]: 'a' });
    expect(tagsOf(ec2)).not.toHaveProperty([tagKeys.trash]);
    await mount('a', 'two');
    expect(await list()).toEqual([]);
  });

  it('keeps it attached, though the end of the removal was due in between', async () => {
    const { node, ec2 } = await justRemoved();
    await pass(15_000);
    ec2.calls.length = 0;
    const undeleted = operators(node).undelete('a');
    await vi.waitFor(() => expect(tagsOf(ec2)).toHaveProperty([tagKeys.name]));
    expect((await undeleted).volumeId).toBe('vol-1');
    expect(ec2.count('attachVolume')).toBe(0);
  });

  it('attaches it anew where its detach has begun, once EC2 shows it free', async () => {
    const { undelete, ec2, node } = await justRemoved();
    ec2.detachMs = 8000;
    await pass(20_600);
    expect([node.held.size, ec2.volumes.get('vol-1')?.attachments[0]?.state]).toEqual([0, 'detaching']);
    expect(await undelete('a')).toMatchObject({ volumeId: 'vol-1' });
    expect(ec2.count('attachVolume')).toBeGreaterThan(0);
  });

  it('attaches it anew where its node has said already that it is finished with it', async () => {
    const { undelete, ec2, node } = await justRemoved();
    ec2.failNext('detachVolume', 'EC2_REJECTED');
    await pass(20_100);
    expect(node.held.get('a')).toMatchObject({ phase: 'detaching', removing: true, leaving: true });
    ec2.calls.length = 0;
    expect(await undelete('a')).toMatchObject({ volumeId: 'vol-1' });
    expect(ec2.count('attachVolume')).toBeGreaterThan(0);
  });

  it('under another name waits until it is free', async () => {
    const { undelete, mount, ec2, node } = await justRemoved();
    expect(await undelete('a', 'before')).toMatchObject({ volumeId: 'vol-1', name: 'before' });
    await mount('before', 'two');
    expect([tagsOf(ec2)?.[tagKeys.name], [...node.held.keys()]]).toEqual(['before', ['before']]);
  });

  it('on another node waits until it is free', async () => {
    const { ec2 } = await justRemoved();
    const other = await trashNode(ec2, { instanceId: 'i-2' });
    expect(await operators(other).undelete('a')).toMatchObject({ volumeId: 'vol-1' });
    await verbs(other).mount('a', 'two');
  });

  it('on another node says who has it where that does not give it back', async () => {
    const { ec2, node } = await justRemoved();
    node.kill();
    const other = await trashNode(ec2, { instanceId: 'i-2' });
    expect(await failure(operators(other).undelete('a'))).toMatchObject({
      code: 'ATTACHED_ELSEWHERE',
      parts: { why: expect.stringContaining('i-1 has it as /dev/xvd') },
    });
    expect(tagsOf(ec2)).not.toHaveProperty([tagKeys.name]);
  });

  it('of one that somebody has attached by hand is refused at once', async () => {
    const { ec2, undelete } = await justRemoved();
    await pass(60_000);
    ec2.addAttachment(ec2.volumes.get('vol-1')!, 'i-9', '/dev/sdz');
    const began = performance.now();
    expect(await failure(undelete('a'))).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  it('finds what EC2 does not list in the trash yet', async () => {
    const { ec2, undelete } = await justRemoved();
    vi.spyOn(ec2, 'findTagged').mockImplementationOnce(async () => []);
    expect(await undelete('a')).toMatchObject({ volumeId: 'vol-1' });
  });

  it('has every tag of the trash taken off, though the look under the attachment was from before the removal', async () => {
    const { ec2, undelete } = await justRemoved();
    const { [tagKeys.trash]: _, [tagKeys.retained]: __, ...before } = structuredClone(tagsOf(ec2)!);
    const early = { ...structuredClone(ec2.volumes.get('vol-1')!), tags: { ...before, [tagKeys.name]: 'a' } };
    vi.spyOn(ec2, 'describeVolume').mockImplementationOnce(async () => early);
    await undelete('a');
    expect(tagsOf(ec2)).not.toHaveProperty([tagKeys.trash]);
    expect(tagsOf(ec2)).not.toHaveProperty([tagKeys.retained]);
  });
});

describe('a removal that has just ended', () => {
  it('leaves the name free for a new volume, which is mounted at once', async () => {
    const { create, mount, ec2, node } = await justRemoved();
    await create('a');
    await mount('a', 'two');
    expect([node.held.get('a')?.volume.id, ec2.volumes.get('vol-1')?.attachments]).toEqual(['vol-2', []]);
  });

  it('is shown as on its way, and can be deleted for good at once', async () => {
    const { list, purge, ec2 } = await justRemoved();
    expect(await list()).toMatchObject([{ id: 'vol-1', kept: undefined, leaves: 'i-1' }]);
    await purge(['a']);
    expect(ec2.volumes.size).toBe(0);
  });
});
