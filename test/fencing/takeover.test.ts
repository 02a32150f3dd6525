import { beforeEach, describe, expect, it, vi } from 'vitest';
import { caller } from '../../src/ebs/call.ts';
import { cleanMark, tagKeys } from '../../src/ebs/tags.ts';
import type { CallOptions, Instance } from '../../src/ebs/types.ts';
import { DriverError } from '../../src/errors.ts';
import { confirmationTag, intentKey, intentTag, pauseTag } from '../../src/fencing/records.ts';
import { failureWithin, stopped, takeoverBench, timed, within } from '../support/fake-takeover.ts';
import { pass, useVirtualTime } from '../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** A call that waits for its turn until its caller gives it up. */
const untilAborted = ({ signal }: CallOptions = {}) =>
  new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));

const free = { volume: { state: 'available', attachments: [] } };

describe('an owner that runs', () => {
  it('gets a moment to let go, then the caller is told who has it', async () => {
    const { begin, argsOf, reasons } = takeoverBench();
    const error = await failureWithin(20_000, begin());
    expect(error).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect(String(error)).toMatch(
      /volume "data": cannot attach vol-1 to i-b: it is attached to i-a .* which is running/,
    );
    expect(argsOf('detachVolume')).toEqual([]);
    expect(reasons[0]).toMatch(/^takeover f-[0-9a-z]+: i-a to let go of vol-1 \(within 10 s\)$/);
  });

  it('that lets go meanwhile leaves a free volume, and nobody is fenced', async () => {
    const { begin, argsOf, ec2, volume, attachment, audit } = takeoverBench();
    const taking = begin();
    await pass(3000);
    ec2.endAttachment(volume, attachment);
    expect(await within(5000, taking)).toMatchObject({ ...free, fenced: undefined });
    expect(argsOf('detachVolume')).toEqual([]);
    expect(audit.told()).toEqual(['decision refuse', 'outcome the owner let go']);
  });

  it.each(['instance-not-running', 'never'] as const)(
    'that declares the attachment finished meanwhile is helped to the end, under %s',
    async (policy) => {
      const { begin, argsOf, volume, attachment, key } = takeoverBench({ policy });
      const taking = begin();
      await pass(3000);
      volume.tags[tagKeys.clean] = cleanMark({ ...attachment, instanceId: 'i-a' });
      expect(await within(20_000, taking)).toMatchObject({ ...free, fenced: { evidence: 'clean' } });
      expect(argsOf('detachVolume')).toEqual([key]);
    },
  );

  it('that an operator vouches for loses it at once', async () => {
    const { begin, argsOf, volume, attachment, key } = takeoverBench();
    volume.tags[tagKeys.confirmed] = confirmationTag({ victim: 'i-a', ...attachment, reason: 'burnt down' });
    expect(await within(4000, begin())).toMatchObject({ ...free, fenced: { evidence: 'confirmed' } });
    expect(argsOf('detachVolume')).toEqual([key]);
  });
});

describe('an owner that changes', () => {
  it('is waited for while it detaches', async () => {
    const { begin, ec2, key } = takeoverBench();
    ec2.detachMs = 7000;
    await ec2.detachVolume(key);
    expect(await within(15_000, begin())).toMatchObject({ ...free, fenced: undefined });
    expect(ec2.count('detachVolume')).toBe(0);
  });

  it('is waited for while it stops, and loses its volume when it has', async () => {
    const { begin, ec2, argsOf, key, reasons } = takeoverBench({ owner: { state: 'stopping' } });
    const taking = begin();
    await pass(120_000);
    expect(argsOf('detachVolume')).toEqual([]);
    expect(reasons.at(-1)).toMatch(/a change, since it is attached to i-a .*stopping \(within \d+ minutes\)/);
    ec2.setInstance('i-a', stopped);
    expect(await within(30_000, taking)).toMatchObject({ ...free, fenced: { evidence: 'stopped' } });
    expect(argsOf('detachVolume')).toEqual([key]);
  });

  it('41: that never stops is left alone, and an operator is asked for', async () => {
    const { begin, argsOf } = takeoverBench({ owner: { state: 'stopping' } });
    const error = await failureWithin(700_000, begin());
    expect(error).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect(String(error)).toMatch(/nothing has changed for 10 minutes\. .*fence confirm/);
    expect(argsOf('detachVolume')).toEqual([]);
  });

  it('10: is waited for while EC2 cannot be asked, which proves nothing', async () => {
    const { begin, ec2, argsOf } = takeoverBench({ owner: { state: 'stopping' } });
    const taking = begin();
    for (let n = 0; n < 12; n++) {
      ec2.failNext(n % 2 === 0 ? 'describeInstance' : 'describeVolume', 'EC2_UNAVAILABLE');
      await pass(30_000);
    }
    expect(argsOf('detachVolume')).toEqual([]);
    ec2.setInstance('i-a', { state: 'terminated' });
    expect(await within(60_000, taking)).toMatchObject({ fenced: { evidence: 'terminated' } });
  });
});

describe('an owner that is not proven gone', () => {
  it.each<[string, Partial<Instance>]>([
    ['hibernated', { ...stopped, stateReason: 'Client.UserInitiatedHibernate' }],
    ['stopped for no reason that EC2 gives', { state: 'stopped' }],
  ])('keeps its volume: %s', async (_, owner) => {
    const { begin, argsOf } = takeoverBench({ owner });
    expect(await failureWithin(1000, begin())).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect(argsOf('detachVolume')).toEqual([]);
  });

  it('54: keeps its volume when EC2 does not list it', async () => {
    const { begin, argsOf, ec2 } = takeoverBench();
    ec2.instances.delete('i-a');
    expect(await failureWithin(20_000, begin())).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect(argsOf('detachVolume')).toEqual([]);
  });

  it.each(['describeInstance', 'findTagged'] as const)(
    '9: keeps its volume when %s stays unanswered',
    async (method) => {
      const { begin, argsOf, ec2 } = takeoverBench({ owner: { state: 'terminated' } });
      for (let n = 0; n < 10; n++) ec2.failNext(method, 'EC2_THROTTLED');
      expect(await failureWithin(60_000, begin())).toMatchObject({ code: 'EC2_THROTTLED' });
      expect(argsOf('detachVolume')).toEqual([]);
      expect(ec2.count(method)).toBe(6);
    },
  );

  it('a denial is no reason to ask again', async () => {
    const { begin, ec2 } = takeoverBench({ owner: stopped });
    ec2.failNext('describeInstance', 'EC2_DENIED');
    expect(await failureWithin(1000, begin())).toMatchObject({ code: 'EC2_DENIED' });
  });

  it('keeps its volume under the policy never', async () => {
    const { begin, argsOf } = takeoverBench({ owner: stopped, policy: 'never' });
    const error = await failureWithin(1000, begin());
    expect(String(error)).toContain('the fence policy is never');
    expect(argsOf('detachVolume')).toEqual([]);
  });

  it('keeps its volume while an operator has paused fencing anywhere in the cluster', async () => {
    const { begin, ec2, argsOf } = takeoverBench({ owner: stopped });
    const tags = { [tagKeys.cluster]: 'default', [tagKeys.paused]: pauseTag('network works', 'noon') };
    ec2.addVolume({ tags });
    expect(String(await failureWithin(1000, begin()))).toContain('network works');
    expect(argsOf('detachVolume')).toEqual([]);
  });

  it('53: a volume that AWS manages is refused at once', async () => {
    const { begin, attachment, argsOf } = takeoverBench();
    attachment.instanceId = undefined;
    expect(String(await failureWithin(1000, begin()))).toContain('a resource that AWS manages');
    expect(argsOf('detachVolume')).toEqual([]);
  });

  it('46: nobody is fenced for a node that has no room', async () => {
    const { begin, ec2 } = takeoverBench({ owner: stopped });
    const full = new DriverError('NODE_FULL', { tried: 'attach', why: 'full', todo: 'Go' });
    expect(await failureWithin(1000, begin({ room: async () => Promise.reject(full) }))).toBe(full);
    expect(ec2.calls).toEqual([]);
  });
});

describe('a terminated owner', () => {
  it('35: is detached by EC2 itself: nothing is sent, and the end is seen at once', async () => {
    const { begin, ec2, volume, attachment, methods } = takeoverBench({ owner: { state: 'terminated' } });
    const describe = vi.spyOn(ec2, 'describeInstance');
    describe.mockImplementationOnce(async (id) => {
      const seen = await ec2.describeInstance(id);
      ec2.endAttachment(volume, attachment);
      return seen;
    });
    const { result, ms } = await timed(() => begin());
    expect(result).toMatchObject({ ...free, fenced: { evidence: 'terminated', subject: { instanceId: 'i-a' } } });
    expect(methods()).toEqual(['describeInstance', 'findTagged', 'describeVolume']);
    expect(ms).toBeLessThan(100);
  });

  it('that EC2 does not detach by itself is detached, without force', async () => {
    const { begin, argsOf, key } = takeoverBench({ owner: { state: 'terminated' } });
    expect(await within(30_000, begin())).toMatchObject({ ...free, fenced: { evidence: 'terminated' } });
    expect(argsOf('detachVolume')).toEqual([key]);
  });
});

describe('a stopped owner', () => {
  it('is looked at twice, seconds apart, then detached: eight calls, and soon noticed', async () => {
    const { begin, argsOf, key, methods, audit, reasons } = takeoverBench({ owner: stopped });
    const { result, ms } = await timed(() => begin());
    expect(result).toMatchObject({ ...free, fenced: { evidence: 'stopped', intent: undefined } });
    expect(argsOf('detachVolume')).toEqual([key]);
    const looks = methods().filter((method) => method === 'describeVolume').length;
    expect(methods().slice(0, 4)).toEqual(['describeInstance', 'findTagged', 'describeInstance', 'detachVolume']);
    expect(looks).toBeLessThanOrEqual(4);
    expect(ms).toBeLessThan(5000 + 2000 + 250);
    expect(audit.told()).toEqual([
      'decision take stopped',
      'decision take stopped',
      'call DetachVolume',
      'outcome detached',
    ]);
    expect(reasons).toEqual([
      expect.stringMatching(/^step 1 of 3 of takeover f-\w+: a second look, since i-a has been stopped .*within 5 s/),
      expect.stringMatching(/^step 2 of 3 of takeover f-\w+: EC2 to detach vol-1 from i-a, because i-a .*within 60 s/),
    ]);
  });

  it('33: that is started between the looks keeps its volume', async () => {
    const { begin, argsOf, ec2 } = takeoverBench({ owner: stopped });
    const taking = begin();
    await pass(2000);
    ec2.setInstance('i-a', { state: 'running', stateReason: undefined });
    expect(await failureWithin(30_000, taking)).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect(argsOf('detachVolume')).toEqual([]);
  });

  it('32: with another attachment between the looks: judged anew by the caller', async () => {
    const { begin, argsOf, ec2, volume, attachment } = takeoverBench({ owner: stopped });
    const taking = begin();
    await pass(2000);
    ec2.endAttachment(volume, attachment);
    const newer = ec2.addAttachment(volume, 'i-c', '/dev/xvdbr');
    expect(await within(30_000, taking)).toMatchObject({ volume: { attachments: [newer] }, fenced: undefined });
    expect(argsOf('detachVolume')).toEqual([]);
  });

  it('with its volume deleted between the looks: said so', async () => {
    const { begin, ec2 } = takeoverBench({ owner: stopped });
    const taking = begin();
    await pass(2000);
    ec2.volumes.clear();
    expect(await failureWithin(30_000, taking)).toMatchObject({ code: 'EC2_NO_SUCH_VOLUME' });
  });

  it("11: whose record lacks the attachment is believed only once it is older than EC2's lag", async () => {
    const { begin, ec2, argsOf, key } = takeoverBench({ owner: stopped });
    const real = ec2.describeInstance.bind(ec2);
    vi.spyOn(ec2, 'describeInstance').mockImplementation(async (id) => {
      const seen = await real(id);
      return seen === undefined ? undefined : { ...seen, disks: [] };
    });
    const taking = begin();
    await pass(19_000);
    expect(argsOf('detachVolume')).toEqual([]);
    await within(30_000, taking);
    expect(argsOf('detachVolume')).toEqual([key]);
  });

  it('42: stopped by its host: a minute for late writes, and a look after it', async () => {
    const { begin, ec2, argsOf, reasons } = takeoverBench({
      owner: { ...stopped, stateReason: 'Server.ScheduledStop' },
    });
    const taking = begin();
    await pass(64_000);
    expect([ec2.count('describeInstance'), argsOf('detachVolume').length]).toEqual([2, 0]);
    expect(await within(10_000, taking)).toMatchObject({ ...free, fenced: { evidence: 'stopped-by-force' } });
    expect(ec2.count('describeInstance')).toBe(3);
    expect(reasons[1]).toMatch(/^step 2 of 4 .*late writes/);
  });

  it('keeps its volume when an operator pauses fencing during the minute for late writes', async () => {
    const { begin, argsOf, volume } = takeoverBench({ owner: { ...stopped, stateReason: 'Server.ScheduledStop' } });
    const taking = begin();
    await pass(30_000);
    volume.tags[tagKeys.paused] = 'the wrong one';
    expect(String(await failureWithin(60_000, taking))).toContain('an operator has paused fencing: the wrong one');
    expect(argsOf('detachVolume')).toEqual([]);
  });

  it('keeps its volume when this node takes no mounts any more by the time of the detach', async () => {
    const { begin, argsOf, audit } = takeoverBench({ owner: stopped });
    let drained = false;
    const taking = begin({
      mayGoOn: async () => {
        if (drained) throw new DriverError('DRAINING', { tried: 'mount it', why: 'drained', todo: 'Go' });
      },
    });
    await pass(2000);
    drained = true;
    expect(await failureWithin(10_000, taking)).toMatchObject({ code: 'DRAINING' });
    expect(argsOf('detachVolume')).toEqual([]);
    expect(audit.told().filter((text) => !text.startsWith('decision'))).toEqual(['outcome failed']);
  });

  it('42: stopped by force by a taker that has gone since: the same', async () => {
    const { begin, argsOf, volume, attachment } = takeoverBench({ owner: stopped });
    const { device, attachTime } = attachment;
    volume.tags[intentKey('i-c', 'f-1')] = intentTag({
      fenceId: 'f-1',
      taker: 'i-c',
      victim: 'i-a',
      device,
      attachTime,
      launchTime: undefined,
      policy: 'stonith',
      evidence: 'stopped-by-force',
    });
    const taking = begin();
    await pass(64_000);
    expect(argsOf('detachVolume')).toEqual([]);
    expect(await within(10_000, taking)).toMatchObject(free);
  });
});

describe('a detach', () => {
  it.each(['EC2_NOT_ATTACHED', 'EC2_INCORRECT_STATE'] as const)(
    'that is refused with %s since somebody was quicker is no failure',
    async (code) => {
      const { begin, ec2, volume, attachment } = takeoverBench({ owner: stopped });
      ec2.failNext('detachVolume', code);
      const taking = begin();
      await pass(6000);
      ec2.endAttachment(volume, attachment);
      expect(await within(10_000, taking)).toMatchObject(free);
    },
  );

  it('any other refusal is one', async () => {
    const { begin, ec2 } = takeoverBench({ owner: stopped });
    ec2.failNext('detachVolume', 'EC2_DENIED');
    expect(await failureWithin(10_000, begin())).toMatchObject({ code: 'EC2_DENIED' });
  });

  it('4: whose answer is lost is seen through', async () => {
    const { begin, ec2 } = takeoverBench({ owner: stopped });
    ec2.failNext('detachVolume', 'EC2_UNAVAILABLE', 'after');
    expect(await within(60_000, begin())).toMatchObject(free);
  });

  it('9: that is throttled is sent again, on fresh evidence', async () => {
    const { begin, ec2, methods } = takeoverBench({ owner: stopped });
    ec2.failNext('detachVolume', 'EC2_THROTTLED');
    expect(await within(60_000, begin())).toMatchObject(free);
    const between = methods().slice(methods().indexOf('detachVolume') + 1, methods().lastIndexOf('detachVolume'));
    expect(between).toEqual(['describeVolume', 'describeInstance', 'findTagged', 'describeInstance']);
  });

  it('29: is not sent when the check that allows it is too old by then', async () => {
    const { begin, audit, ec2, argsOf } = takeoverBench({ owner: stopped });
    const calling = vi.spyOn(audit.audit, 'calling');
    calling.mockImplementationOnce(async () => {
      await pass(11_000);
      ec2.setInstance('i-a', { state: 'running', stateReason: undefined });
    });
    const error = await failureWithin(60_000, begin({ audit: audit.audit }));
    expect(error).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect(argsOf('detachVolume')).toEqual([]);
    expect(audit.told()).toContain('outcome aborted');
  });

  it('is not sent when this machine was hibernated since that check, which its monotonic clock does not show', async () => {
    const { begin, audit, ec2, argsOf } = takeoverBench({ owner: stopped });
    const calling = vi.spyOn(audit.audit, 'calling');
    calling.mockImplementationOnce(async () => {
      vi.setSystemTime(Date.now() + 3_600_000);
      ec2.setInstance('i-a', { state: 'running', stateReason: undefined });
    });
    const error = await failureWithin(60_000, begin({ audit: audit.audit }));
    expect(error).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect(argsOf('detachVolume')).toEqual([]);
  });

  it('is not sent when this machine was hibernated while the call waited for its turn', async () => {
    const { begin, ec2 } = takeoverBench({ owner: stopped });
    const call = caller(undefined);
    let sent = 0;
    vi.spyOn(ec2, 'detachVolume').mockImplementationOnce((_key, options = {}) =>
      call('DetachVolume', { tried: 'detach it', ...options }, async () => {
        sent += 1;
        vi.setSystemTime(Date.now() + 3_600_000);
        ec2.setInstance('i-a', { state: 'running', stateReason: undefined });
        const refusal = { name: 'RequestLimitExceeded', $fault: 'server', $metadata: { httpStatusCode: 503 } };
        throw Object.assign(new Error('No.'), refusal);
      }),
    );
    expect(await failureWithin(60_000, begin())).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect([sent, ec2.count('detachVolume')]).toEqual([1, 0]);
  });

  it('that gets no turn in time for minutes is sent when it has one', async () => {
    const { begin, ec2 } = takeoverBench({ owner: stopped });
    const detach = ec2.detachVolume.bind(ec2);
    const from = performance.now() + 400_000;
    vi.spyOn(ec2, 'detachVolume').mockImplementation((key, options) =>
      performance.now() < from ? untilAborted(options) : detach(key, options),
    );
    expect(await within(450_000, begin())).toMatchObject(free);
  });

  it('that never gets a turn in time is given up after ten minutes, with the reason', async () => {
    const { begin, ec2 } = takeoverBench({ owner: stopped });
    vi.spyOn(ec2, 'detachVolume').mockImplementation((_key, options) => untilAborted(options));
    const error = await failureWithin(700_000, begin());
    expect(error).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect(String(error)).toMatch(/for 10 minutes DetachVolume could not be sent within 10 s .*EC2 throttles/);
    expect(performance.now()).toBeGreaterThan(600_000);
  });

  it('is not sent when it cannot be written down', async () => {
    const { begin, audit, argsOf } = takeoverBench({ owner: stopped });
    audit.isFull = () => true;
    expect(await failureWithin(10_000, begin())).toMatchObject({ code: 'JOURNAL_FAILED' });
    expect(argsOf('detachVolume')).toEqual([]);
  });

  it('but a refusal stands without a record', async () => {
    const { begin, audit } = takeoverBench();
    audit.isFull = () => true;
    expect(await failureWithin(20_000, begin())).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
  });

  it('43: that is stuck is forced after a minute, from an owner proven once more to be stopped', async () => {
    const { begin, ec2, volume, attachment, audit } = takeoverBench({ owner: stopped });
    ec2.detachMs = 10_000_000;
    const taking = begin();
    await pass(60_000);
    expect(ec2.count('detachVolume')).toBe(1);
    await pass(20_000);
    expect(ec2.calls.filter(({ method }) => method === 'detachVolume').at(-1)?.args).toMatchObject([
      { instanceId: 'i-a', device: '/dev/xvdbq' },
      { force: true },
    ]);
    expect(audit.audit.counters.forcedDetaches).toBe(1);
    ec2.endAttachment(volume, attachment);
    expect(await within(10_000, taking)).toMatchObject(free);
  });

  it("43: that is stuck is forced, too, where EC2's record of the owner lacks the disk by then", async () => {
    const { begin, ec2, volume, attachment } = takeoverBench({ owner: stopped });
    ec2.detachMs = 10_000_000;
    const describe = ec2.describeInstance.bind(ec2);
    vi.spyOn(ec2, 'describeInstance').mockImplementation(async (id) => {
      const seen = await describe(id);
      return seen === undefined || ec2.count('detachVolume') === 0 ? seen : { ...seen, disks: [] };
    });
    const taking = begin();
    await pass(80_000);
    expect(ec2.calls.filter(({ method }) => method === 'detachVolume').at(-1)?.args[1]).toEqual({ force: true });
    ec2.endAttachment(volume, attachment);
    expect(await within(10_000, taking)).toMatchObject(free);
  });

  it.each<[string, (parts: ReturnType<typeof takeoverBench>) => void]>([
    ['runs, though it declared itself finished', () => undefined],
    ['was started meanwhile', ({ ec2 }) => ec2.setInstance('i-a', { state: 'running', stateReason: undefined })],
  ])('that is stuck is never forced from an owner that %s', async (_, meanwhile) => {
    const parts = takeoverBench();
    const { begin, ec2, volume, attachment } = parts;
    volume.tags[tagKeys.clean] = cleanMark({ ...attachment, instanceId: 'i-a' });
    ec2.detachMs = 10_000_000;
    const taking = begin();
    await pass(30_000);
    meanwhile(parts);
    const error = await failureWithin(200_000, taking);
    expect(error).toMatchObject({ code: 'STILL_WORKING' });
    expect(String(error)).toContain('i-a as /dev/xvdbq (detaching)');
    expect(ec2.count('detachVolume')).toBe(1);
  });
});
