import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import { fenceLogTag, intentKey, intentTag } from '../../src/fencing/records.ts';
import { openSchedulers } from '../../src/fencing/schedulers.ts';
import { createSlots } from '../../src/fencing/slots.ts';
import type { FenceLogEntry, Testimony } from '../../src/fencing/types.ts';
import { suspectBench as bench, failureWithin, free, stopped, within } from '../support/fake-takeover.ts';
import { pass, useVirtualTime } from '../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../support/virtual-time.ts'));

beforeEach(useVirtualTime);

describe('a suspected owner is not stopped', () => {
  it('without the tag of the cluster', async () => {
    const { begin, stops } = bench({ tags: {} });
    expect(String(await failureWithin(60_000, begin()))).toContain('does not carry the tag docker-volume-ebs:cluster');
    expect(stops()).toEqual([]);
  });

  it('that loses the tag between the last check and the call', async () => {
    const { begin, ec2, audit, stops } = bench();
    const calling = vi.spyOn(audit.audit, 'calling');
    calling.mockImplementation(async (_subject, call) => {
      if (call !== 'StopInstances') return;
      await pass(11_000);
      ec2.setInstance('i-a', { tags: {} });
    });
    await failureWithin(120_000, begin());
    expect(stops()).toEqual([]);
  });

  it('58: when the announcement cannot be written', async () => {
    const { begin, ec2, stops } = bench();
    ec2.failNext('createTags', 'EC2_DENIED');
    expect(await failureWithin(60_000, begin())).toMatchObject({ code: 'EC2_DENIED' });
    expect(stops()).toEqual([]);
  });

  it.each(['StopInstances', 'DetachVolume'] as const)('40: when the role may not call %s', async (action) => {
    const { begin, ec2, stops, intents } = bench();
    ec2.denials.set(action, 'an explicit deny');
    expect(String(await failureWithin(60_000, begin()))).toContain('an explicit deny');
    expect([stops(), intents()]).toEqual([[], []]);
  });

  it('56: a fourth time in an hour', async () => {
    const { begin, volume, stops } = bench();
    for (let n = 3; n > 0; n--) {
      const at = new Date(Date.now() - n * 600_000).toISOString();
      const entry: FenceLogEntry = { at, fenceId: `f-${n}`, victim: 'i-c', taker: 'i-a', evidence: 'suspected' };
      volume.tags[tagKeys.fenceLog] = fenceLogTag(volume.tags, entry);
    }
    expect(String(await failureWithin(60_000, begin()))).toContain('three times within an hour');
    expect(stops()).toEqual([]);
  });

  it('20: while its scheduler vouches for it', async () => {
    const { begin, testimony, stamp, stops, audit } = bench();
    stamp('mesos:S1');
    testimony.push({
      source: 'mesos',
      identity: 'S1',
      answered: true,
      says: 'registered',
      since: undefined,
      detail: 'agent S1 is registered',
      otherMemberThere: undefined,
      takerRegistered: true,
      suspects: 0,
      members: 9,
    } satisfies Testimony);
    expect(String(await failureWithin(60_000, begin()))).toContain('agent S1 is registered');
    expect(stops()).toEqual([]);
    expect(audit.audit.counters.refusals).toEqual({ 'veto mesos': 2 });
  });

  it.each<[string, (parts: ReturnType<typeof bench>) => void]>([
    ['which made this attachment', () => undefined],
    [
      'which made this attachment, but an earlier one',
      ({ stamp, volume }) => {
        stamp('mesos:S1');
        volume.tags[tagKeys.owner] = (volume.tags[tagKeys.owner] ?? '').replace('/dev/xvdbq', '/dev/xvdba');
      },
    ],
  ])('while nobody recorded %s, so that its scheduler cannot be asked', async (_, prepare) => {
    const parts = bench();
    prepare(parts);
    const schedulers = openSchedulers({
      mesosMasters: 'http://127.0.0.1:1',
      mesosAgent: 'http://127.0.0.1:1',
      swarmSocket: '',
    });
    expect(String(await failureWithin(60_000, parts.begin({ schedulers })))).toMatch(
      /without the answer of mesos.*is in its daemon's log/,
    );
    expect([parts.stops(), parts.audit.audit.counters.refusals]).toEqual([[], { 'veto unrecorded': 2 }]);
  });

  it('27: by a node that is itself about to be fenced; of two that suspect each other one goes on', async () => {
    const { ec2, takeBy, contextOf, stops } = bench();
    const second = ec2.addVolume({ tags: { [tagKeys.cluster]: 'default' } });
    const attachment = ec2.addAttachment(second, 'i-b', '/dev/xvdbz');
    const { device, attachTime } = attachment;
    const about = { fenceId: 'f-9', victim: 'i-b', device, attachTime, launchTime: undefined } as const;
    const rest = { policy: 'stonith', evidence: 'suspected' } as const;
    second.tags[intentKey('i-c', 'f-1')] = intentTag({ ...about, taker: 'i-c', ...rest });
    expect(String(await failureWithin(60_000, takeBy(contextOf('i-b'))))).toContain('i-c is about to take a volume');
    second.tags = {
      [tagKeys.cluster]: 'default',
      [intentKey('i-a', 'f-1')]: intentTag({ ...about, taker: 'i-a', ...rest }),
    };
    expect(String(await failureWithin(60_000, takeBy(contextOf('i-b'))))).toContain('i-a is about to take a volume');
    expect(stops()).toEqual([]);
  });

  it('28: by a node that does not run itself, as far as EC2 shows', async () => {
    const { begin, ec2, stops } = bench();
    ec2.setInstance('i-b', { state: 'stopping' });
    expect(String(await failureWithin(60_000, begin()))).toContain('this node itself is stopping');
    expect(stops()).toEqual([]);
  });

  it('by a third takeover of the same node at once', async () => {
    const slots = createSlots(2);
    const leave = [slots.take(), slots.take()];
    const { begin, stops, reasons } = bench();
    const taking = begin({ stops: slots });
    await pass(60_000);
    expect(stops()).toEqual([]);
    expect(reasons.at(-1)).toContain('other takeovers of this node');
    leave[0]?.();
    expect(await within(180_000, taking)).toMatchObject(free);
    expect(slots.take()).toBeDefined();
  });

  it('by a third takeover that waits for its place, which sees meanwhile that the owner is stopped', async () => {
    const slots = createSlots(2);
    slots.take();
    slots.take();
    const { begin, ec2, stops } = bench();
    const taking = begin({ stops: slots });
    await pass(400_000);
    ec2.setInstance('i-a', stopped);
    expect(await within(120_000, taking)).toMatchObject(free);
    expect(stops()).toEqual([]);
  });

  it('once it is stopped: the place goes to another takeover while its volume is detached', async () => {
    const slots = createSlots(1);
    const { begin, ec2, stops } = bench();
    const taking = begin({ stops: slots });
    await pass(50_000);
    expect([stops().length, slots.take()]).toEqual([1, undefined]);
    ec2.detachMs = 50_000;
    await pass(75_000);
    expect(ec2.count('detachVolume')).toBe(1);
    expect(slots.take()).toBeDefined();
    expect(await within(60_000, taking)).toMatchObject(free);
  });
});
