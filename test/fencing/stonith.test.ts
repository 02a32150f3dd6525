import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import { DriverError } from '../../src/errors.ts';
import { intentKey, intentTag, readIntents } from '../../src/fencing/records.ts';
import { suspectBench as bench, failureWithin, free, within } from '../support/fake-takeover.ts';
import { pass, setTimeout as sleep, useVirtualTime } from '../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../support/virtual-time.ts'));

beforeEach(useVirtualTime);

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
    const { fenced } = await within(120_000, taking);
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
    expect(await within(180_000, begin())).toMatchObject(free);
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
    expect(performance.now() - silent).toBeGreaterThan(50_000);
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
    expect(await within(180_000, begin())).toMatchObject(free);
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
