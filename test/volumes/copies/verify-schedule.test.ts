import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { snapshotTags } from '../../../src/volumes/copies/snapshot-tags.ts';
import { claimText, proofText } from '../../../src/volumes/copies/verdict.ts';
import { createVerifications } from '../../../src/volumes/copies/verifications.ts';
import { createVerifySchedule, proofNote } from '../../../src/volumes/copies/verify-schedule.ts';
import { dueAt, verifySlot } from '../../../src/volumes/copies/verify-slots.ts';
import { setOptions } from '../../../src/volumes/operator/set.ts';
import { verifyIntervals } from '../../../src/volumes/options/verify.ts';
import { nodeWithVolume } from '../../support/fake-node.ts';
import { pass, played, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
const december1 = Date.parse('2026-12-01T00:00:00Z');
/** When it is due in the slot that begins so many days after. */
const due = (days: number) => dueAt(verifySlot('daily', december1 + days * dayMs), 'vol-1');

describe('the slots of verifications', () => {
  it.each([
    ['daily', '2026-12-01T13:00:00Z', 'daily/2026-12-01', '2026-12-02'],
    ['weekly', '2026-12-06T23:59:59Z', 'weekly/2026-11-30', '2026-12-07'],
    ['weekly', '2026-12-07T00:00:00Z', 'weekly/2026-12-07', '2026-12-14'],
    ['monthly', '2026-02-28T12:00:00Z', 'monthly/2026-02-01', '2026-03-01'],
    ['monthly', '2026-12-31T12:00:00Z', 'monthly/2026-12-01', '2027-01-01'],
  ] as const)('%s at %s is %s, until %s', (every, time, id, end) => {
    const slot = verifySlot(every, Date.parse(time));
    expect([slot.id, slot.end]).toEqual([id, Date.parse(end)]);
  });

  it('are served in their first half, each volume at a moment of its own', () => {
    for (const every of verifyIntervals) {
      const slot = verifySlot(every, Date.parse('2026-12-01T13:00:00Z'));
      const moments = Array.from({ length: 50 }, (_, n) => dueAt(slot, `vol-${n}`));
      expect(new Set(moments).size).toBe(50);
      expect(Math.min(...moments)).toBeGreaterThanOrEqual(slot.begin);
      expect(Math.max(...moments)).toBeLessThan((slot.begin + slot.end) / 2);
    }
  });
});

describe('a volume that is verified by itself', () => {
  beforeEach(() => {
    useVirtualTime();
    vi.setSystemTime(due(0) - 10 * minuteMs);
  });

  async function scheduled(every = 'daily') {
    const all = await nodeWithVolume();
    await all.mount('a', 'id-1');
    const { node, ec2 } = all;
    // A container has it, so that it stays in use.
    node.host.mountedElsewhere.add('vol-1');
    await played(setOptions(node, 'a', { verify: every }, { dryRun: false }));
    const tags = snapshotTags('default', 'a', all.volume, { request: 'r', name: 'one' });
    const { id } = ec2.addSnapshot('vol-1', { tags: { ...tags } });
    for (let n = 2; n < 12; n += 1) ec2.contents.set(`vol-${n}`, { kind: 'filesystem', type: 'ext4', uuid: undefined });
    const stop = new AbortController();
    const verifications = createVerifications(node);
    createVerifySchedule(node, verifications, stop.signal);
    ec2.calls.length = 0;
    const made = () => ec2.count('createVolume');
    /** Without the look at what the role may do, some minutes after the start. */
    const calls = () =>
      ec2.calls.map(({ method }) => method).filter((method) => !/^(listVolumes|denied)$/.test(method));
    return { ...all, id, verifications, made, calls };
  }

  it('has its newest snapshot proven once a slot, and costs no call between', async () => {
    const { ec2, id, made, calls, node } = await scheduled();
    await pass(8 * minuteMs);
    expect(made()).toBe(0);
    await pass(5 * minuteMs);
    expect(made()).toBe(1);
    expect(ec2.snapshots[0]?.tags[tagKeys.verified]).toMatch(/ ok ext4 in order$/);
    expect(ec2.volumes.get('vol-1')?.tags[tagKeys.verifySlot]).toMatch(/^daily\/2026-12-01 i-1 2026-12-01T/);
    expect(proofNote(node.held.get('a')?.volume.tags ?? {}, Date.now())).toMatchObject({
      every: 'daily',
      last: { ok: true, snapshotId: id },
      overdueSince: undefined,
    });
    ec2.calls.length = 0;
    vi.setSystemTime(due(1) - 10 * minuteMs);
    await pass(8 * minuteMs);
    expect(calls()).toEqual([]);
    await pass(5 * minuteMs);
    expect(made()).toBe(1);
  });

  it('is left to the node that has claimed the slot, and done where a proof of the slot is there', async () => {
    const others = claimText({ slot: 'daily/2026-12-01', by: 'i-2', since: '2026-11-01T00:00:00.000Z' });
    const proof = { at: '2026-12-02T00:00:01.000Z', ok: true, words: 'ext4 in order', provenAt: undefined };
    const { node, made, calls } = await scheduled();
    const held = node.held.get('a');
    if (held === undefined) throw new Error('not held');
    const tagged = (tags: Record<string, string>) =>
      node.held.set('a', { ...held, volume: { ...held.volume, tags: { ...held.volume.tags, ...tags } } });
    tagged({ [tagKeys.verifySlot]: others });
    await pass(13 * minuteMs);
    tagged({ [tagKeys.proof]: proofText({ ...proof, snapshotId: 'snap-1' }) });
    vi.setSystemTime(due(1));
    await pass(5 * minuteMs);
    expect([made(), calls()]).toEqual([0, []]);
  });

  it('is tried again after an hour where EC2 refuses, and not while the node is drained', async () => {
    const { ec2, node, made, calls } = await scheduled();
    node.drain.now = { reason: 'why', by: 'operator', since: '2026-12-01T00:00:00Z' };
    await pass(13 * minuteMs);
    expect(calls()).toEqual([]);
    node.drain.now = undefined;
    ec2.failNext('createVolume', 'EC2_LIMIT');
    await pass(5 * minuteMs);
    expect(made()).toBe(1);
    vi.setSystemTime(Date.now() + 60 * minuteMs);
    await pass(5 * minuteMs);
    expect(made()).toBe(2);
    expect(ec2.snapshots[0]?.tags[tagKeys.verified]).toMatch(/ ok /);
  });
});

it('a proof is overdue after two slots without one, from the first claim on', () => {
  const now = Date.parse('2026-12-20T00:00:00Z');
  const claim = (since: string) => claimText({ slot: 'weekly/2026-12-14', by: 'i-1', since });
  const tags = { [tagKeys.verify]: 'weekly' };
  expect(proofNote({}, now)).toBeUndefined();
  expect(proofNote(tags, now)?.overdueSince).toBeUndefined();
  const old = { ...tags, [tagKeys.verifySlot]: claim('2026-12-01T00:00:00.000Z') };
  expect(proofNote(old, now)?.overdueSince).toBe('2026-12-15T00:00:00.000Z');
  const last = { at: '2026-12-19T00:00:00.000Z', snapshotId: 'snap-1', words: 'x' };
  const proven = proofText({ ...last, ok: true, provenAt: last.at });
  expect(proofNote({ ...old, [tagKeys.proof]: proven }, now)?.overdueSince).toBeUndefined();
  const failed = proofText({ ...last, ok: false, provenAt: undefined });
  expect(proofNote({ ...old, [tagKeys.proof]: failed }, now)).toMatchObject({
    last: { ok: false },
    overdueSince: '2026-12-15T00:00:00.000Z',
  });
});
