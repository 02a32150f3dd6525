import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import type { Instance } from '../../src/ebs/types.ts';
import { DriverError } from '../../src/errors.ts';
import { fenceLogTag, intentKey, intentTag, readIntents } from '../../src/fencing/records.ts';
import { openSchedulers } from '../../src/fencing/schedulers.ts';
import { createSlots } from '../../src/fencing/slots.ts';
import type { FenceLogEntry, Testimony } from '../../src/fencing/types.ts';
import { ec2Error } from '../support/fake-ec2.ts';
import { failureWithin, stopped, takeoverBench, within } from '../support/fake-takeover.ts';
import { pass, setTimeout as sleep, useVirtualTime } from '../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const free = { volume: { state: 'available', attachments: [] } };

function bench(owner: Partial<Instance> = {}) {
  const parts = takeoverBench({ policy: 'stonith', owner });
  parts.suspect();
  const stops = () => parts.ec2.calls.filter(({ method }) => method === 'stopInstance').map(({ args }) => args);
  return { ...parts, stops };
}

describe('a suspected owner', () => {
  it('is announced, judged again, stopped gracefully, seen stopped twice, and only then detached', async () => {
    const { begin, methods, ec2, key, argsOf, volume, reasons, audit, stops } = bench();
    const taking = begin();
    await pass(19_000);
    expect(readIntents(volume.tags)).toMatchObject([{ taker: 'i-b', victim: 'i-a', evidence: 'suspected' }]);
    expect(stops()).toEqual([]);
    await pass(2000);
    expect(stops()).toEqual([['i-a']]);
    expect(argsOf('detachVolume')).toEqual([]);
    const { fenced } = await within(60_000, taking);
    expect(fenced?.evidence).toBe('suspected');
    expect(volume.tags[intentKey('i-b', fenced?.fenceId ?? '')]).toBe(fenced?.intent);
    expect(argsOf('detachVolume')).toEqual([key]);
    const order = methods().filter((method) => /create|stop|detach/.test(method));
    expect(order).toEqual(['createTags', 'stopInstance', 'detachVolume']);
    expect(ec2.instances.get('i-a')?.state).toBe('stopped');
    expect(audit.audit.counters.stops).toEqual({ graceful: 1, forced: 0 });
    expect(audit.told().filter((text) => text.startsWith('call'))).toEqual([
      'call CreateTags',
      'call StopInstances',
      'call DetachVolume',
    ]);
    expect(reasons[0]).toMatch(/^step 1 of 6 of takeover f-\w+: i-a to see that vol-1 is about to be taken/);
    expect(reasons.some((reason) => /^step 2 of 6 .*: a change, since it is attached to i-a/.test(reason))).toBe(true);
  });

  it('that recovers before it is stopped keeps its volume, and the announcement goes', async () => {
    const { begin, ec2, stops, intents } = bench();
    const taking = begin();
    await pass(10_000);
    expect(intents()).toEqual([expect.stringMatching(/^docker-volume-ebs:fence\.i-b\.f-/)]);
    ec2.health.clear();
    expect(await failureWithin(60_000, taking)).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect([stops(), intents()]).toEqual([[], []]);
  });

  it('39: that was started anew meanwhile is not stopped for what was seen of its earlier boot', async () => {
    const { begin, ec2, stops } = bench();
    const taking = begin();
    await pass(10_000);
    ec2.setInstance('i-a', { launchTime: new Date().toISOString() });
    expect(await failureWithin(60_000, taking)).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect(stops()).toEqual([]);
  });

  it('that lets go while it is announced is left alone', async () => {
    const { begin, ec2, volume, attachment, stops } = bench();
    const taking = begin();
    await pass(10_000);
    ec2.endAttachment(volume, attachment);
    expect(await within(60_000, taking)).toMatchObject({ ...free, fenced: undefined });
    expect(stops()).toEqual([]);
  });

  it('3: that was told to stop by a call whose answer is lost is waited for, not told again', async () => {
    const { begin, ec2, stops } = bench();
    ec2.failNext('stopInstance', 'EC2_UNAVAILABLE', 'after');
    expect(await within(120_000, begin())).toMatchObject(free);
    expect(stops()).toEqual([['i-a']]);
  });

  it('that hangs is stopped by force after four minutes, which the announcement says first, and gets time for late writes', async () => {
    const { begin, ec2, stops, volume, argsOf } = bench();
    ec2.stopMs = 10_000_000;
    const taking = begin();
    await pass(250_000);
    expect(stops()).toEqual([['i-a']]);
    await pass(30_000);
    expect(stops()).toMatchObject([['i-a'], ['i-a', { force: true }]]);
    expect(readIntents(volume.tags)).toMatchObject([{ evidence: 'stopped-by-force' }]);
    const silent = performance.now();
    await within(120_000, taking);
    expect(performance.now() - silent).toBeGreaterThan(60_000);
    expect(argsOf('detachVolume')).toHaveLength(1);
  });

  it('41: that does not stop by force either keeps its volume, and an operator is asked for', async () => {
    const { begin, ec2, argsOf, intents } = bench();
    ec2.stopMs = 10_000_000;
    ec2.forcedStopMs = 10_000_000;
    const error = await failureWithin(1_000_000, begin());
    expect(String(error)).toMatch(/which is stopping, and nothing has changed for 10 minutes\..*fence confirm/);
    expect([argsOf('detachVolume'), intents().length]).toEqual([[], 1]);
  });

  it('whose stop another taker began and left is stopped by force in the end', async () => {
    const { begin, ec2, stops, volume, attachment } = bench({ state: 'stopping' });
    const { device, attachTime } = attachment;
    const launchTime = ec2.instances.get('i-a')?.launchTime;
    const intent = { fenceId: 'f-1', taker: 'i-c', victim: 'i-a', device, attachTime, launchTime } as const;
    volume.tags[intentKey('i-c', 'f-1')] = intentTag({ ...intent, policy: 'stonith', evidence: 'suspected' });
    const taking = begin();
    await pass(230_000);
    expect(stops()).toEqual([]);
    expect(await within(200_000, taking)).toMatchObject(free);
    expect(stops()).toMatchObject([['i-a', { force: true }]]);
  });

  it('is stopped also when EC2 takes longer to list all volumes than a look stays fresh', async () => {
    const { begin, ec2, stops } = bench();
    vi.spyOn(ec2, 'listVolumes').mockImplementation(async () => {
      await sleep(11_000);
      return [];
    });
    expect(await within(120_000, begin())).toMatchObject(free);
    expect(stops()).toEqual([['i-a']]);
  });

  it('that hangs is stopped by force also when EC2 takes longer to write the announcement', async () => {
    const { begin, ec2, stops } = bench();
    ec2.stopMs = 10_000_000;
    const taking = begin();
    await pass(100_000);
    const write = ec2.createTags.bind(ec2);
    vi.spyOn(ec2, 'createTags').mockImplementation(async (ids, tags) => {
      await sleep(11_000);
      return write(ids, tags);
    });
    expect(await within(300_000, taking)).toMatchObject(free);
    expect([stops().length, ec2.count('createTags')]).toEqual([2, 2]);
  });

  it('that hangs is told again when the stop by force got no turn in time', async () => {
    const { begin, ec2, stops } = bench();
    ec2.stopMs = 10_000_000;
    const taking = begin();
    await pass(100_000);
    let unsent = 0;
    const stop = ec2.stopInstance.bind(ec2);
    vi.spyOn(ec2, 'stopInstance').mockImplementation((id, options) => {
      if (++unsent > 12) return stop(id, options);
      const { signal } = options ?? {};
      return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
    });
    expect(await within(500_000, taking)).toMatchObject(free);
    expect(stops()).toMatchObject([['i-a'], ['i-a', { force: true }]]);
  });

  it('41: that never stops gets one announcement of each kind from a node, however often that tries', async () => {
    const { begin, ec2, intents } = bench();
    ec2.stopMs = 10_000_000;
    ec2.forcedStopMs = 10_000_000;
    for (let n = 0; n < 3; n++) await failureWithin(1_000_000, begin());
    expect([intents().length, ec2.instances.get('i-a')?.state]).toEqual([1, 'stopping']);
  });

  it('is not stopped by a node that drains by then, and the announcement goes', async () => {
    const { begin, stops, intents } = bench();
    let drained = false;
    const taking = begin({
      mayGoOn: async () => {
        if (drained) throw new DriverError('DRAINING', { tried: 'mount it', why: 'drained', todo: 'Go' });
      },
    });
    await pass(10_000);
    drained = true;
    expect(await failureWithin(60_000, taking)).toMatchObject({ code: 'DRAINING' });
    expect([stops(), intents()]).toEqual([[], []]);
  });

  it('stops being fenced when an operator pauses fencing', async () => {
    const { begin, ec2, volume, argsOf } = bench();
    ec2.stopMs = 120_000;
    const taking = begin();
    await pass(40_000);
    volume.tags[tagKeys.paused] = 'wait';
    expect(String(await failureWithin(60_000, taking))).toContain('paused');
    await pass(200_000);
    expect(argsOf('detachVolume')).toEqual([]);
  });
});

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
    expect(await within(120_000, taking)).toMatchObject(free);
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
    expect(await within(30_000, taking)).toMatchObject(free);
    expect(stops()).toEqual([]);
  });

  it('once it is stopped: the place goes to another takeover while its volume is detached', async () => {
    const slots = createSlots(1);
    const { begin, ec2, stops } = bench();
    const taking = begin({ stops: slots });
    await pass(50_000);
    expect([stops().length, slots.take()]).toEqual([1, undefined]);
    ec2.detachMs = 50_000;
    await pass(15_000);
    expect(ec2.count('detachVolume')).toBe(1);
    expect(slots.take()).toBeDefined();
    expect(await within(60_000, taking)).toMatchObject(free);
  });
});

describe('preempt', () => {
  const robbed = (owner: Partial<Instance> = {}, ageMs = 3_600_000) =>
    takeoverBench({ policy: 'preempt', owner, ageMs });

  it('asks first, announces, looks again, and detaches plainly', async () => {
    const { begin, ec2, key, argsOf, intents, reasons } = robbed();
    const taking = begin();
    await pass(25_000);
    expect([intents().length, ec2.count('detachVolume')]).toEqual([1, 0]);
    expect(await within(30_000, taking)).toMatchObject({ ...free, fenced: { evidence: 'preempted' } });
    expect(argsOf('detachVolume')).toEqual([key]);
    expect(reasons[0]).toContain('i-a to let go of vol-1');
    expect(reasons[1]).toMatch(/^step 1 of 3/);
  });

  it('40: announces nothing when the role may not detach', async () => {
    const { begin, ec2, argsOf } = robbed();
    ec2.denials.set('DetachVolume', 'an explicit deny');
    expect(String(await failureWithin(60_000, begin()))).toMatch(/an explicit deny. Allow ec2:DetachVolume to/);
    expect([argsOf('createTags'), argsOf('detachVolume')]).toEqual([[], []]);
  });

  it.each(['EC2_DENIED', 'EC2_REJECTED'] as const)('withdraws what it announced when EC2 says %s', async (code) => {
    const { begin, ec2, intents } = robbed();
    ec2.failNext('detachVolume', code);
    expect(await failureWithin(60_000, begin())).toMatchObject({ code });
    expect(intents()).toEqual([]);
  });

  it('leaves what it announced when the answer is lost for good, and announces that but once', async () => {
    const { begin, ec2, intents } = robbed();
    vi.spyOn(ec2, 'detachVolume').mockImplementation(() => Promise.reject(ec2Error('EC2_UNAVAILABLE')));
    expect(await failureWithin(400_000, begin())).toMatchObject({ code: 'EC2_UNAVAILABLE' });
    expect(await failureWithin(400_000, begin())).toMatchObject({ code: 'EC2_UNAVAILABLE' });
    expect(intents()).toHaveLength(1);
  });

  it('announces anew what an earlier takeover has just withdrawn, though EC2 shows it still', async () => {
    const { begin, ec2, intents, volume, key, argsOf } = robbed();
    ec2.failNext('detachVolume', 'EC2_REJECTED');
    const taking = begin();
    await pass(25_000);
    const [tag = ''] = intents();
    const value = volume.tags[tag] ?? '';
    await failureWithin(30_000, taking);
    const read = ec2.describeVolume.bind(ec2);
    const until = performance.now() + 20_000;
    vi.spyOn(ec2, 'describeVolume').mockImplementation(async (id) => {
      const seen = await read(id);
      const stale = seen !== undefined && performance.now() < until;
      return stale ? { ...seen, tags: { ...seen.tags, [tag]: value } } : seen;
    });
    const again = begin();
    await pass(35_000);
    expect([intents(), argsOf('detachVolume')]).toEqual([[expect.not.stringMatching(tag)], []]);
    expect(await within(60_000, again)).toMatchObject(free);
    expect(argsOf('detachVolume')).toEqual([key]);
  });

  it('forces after a minute, from an owner that does not let go', async () => {
    const { begin, ec2, volume, attachment } = robbed();
    ec2.detachMs = 10_000_000;
    const taking = begin();
    await pass(95_000);
    expect(ec2.calls.filter(({ method }) => method === 'detachVolume').at(-1)?.args[1]).toMatchObject({ force: true });
    ec2.endAttachment(volume, attachment);
    expect(await within(10_000, taking)).toMatchObject(free);
  });

  it('does not force once an operator has paused fencing', async () => {
    const { begin, ec2, volume } = robbed();
    ec2.detachMs = 10_000_000;
    const taking = begin();
    await pass(60_000);
    volume.tags[tagKeys.paused] = 'wait';
    expect(await failureWithin(60_000, taking)).toMatchObject({ code: 'STILL_WORKING' });
    expect(ec2.count('detachVolume')).toBe(1);
  });

  it('leaves a young attachment alone until it is ten minutes old', async () => {
    const { begin, ec2 } = robbed({}, 300_000);
    const taking = begin();
    await pass(290_000);
    expect(ec2.count('detachVolume')).toBe(0);
    expect(await within(120_000, taking)).toMatchObject(free);
  });

  it('takes from an owner that is proven gone without announcing anything', async () => {
    const { begin, methods } = robbed(stopped);
    expect(await within(30_000, begin())).toMatchObject({ fenced: { evidence: 'stopped' } });
    expect(methods()).not.toContain('createTags');
  });
});
