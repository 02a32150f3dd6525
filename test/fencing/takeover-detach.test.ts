import { beforeEach, describe, expect, it, vi } from 'vitest';
import { caller } from '../../src/ebs/call.ts';
import { cleanMark, tagKeys } from '../../src/ebs/tags.ts';
import type { CallOptions } from '../../src/ebs/types.ts';
import { failureWithin, free, stopped, takeoverBench, within } from '../support/fake-takeover.ts';
import { pass, useVirtualTime } from '../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** A call that waits for its turn until its caller gives it up. */
const untilAborted = ({ signal }: CallOptions = {}) =>
  new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));

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

  it('that gets no turn for minutes waits for it, and the owner is looked at again before it is sent', async () => {
    const { begin, ec2, methods } = takeoverBench({ owner: stopped });
    const detach = ec2.detachVolume.bind(ec2);
    vi.spyOn(ec2, 'detachVolume').mockImplementation((key, options) => pass(400_000).then(() => detach(key, options)));
    expect(await within(450_000, begin())).toMatchObject(free);
    // The first look, the second, and the one in its turn.
    const looks = methods().slice(0, methods().indexOf('detachVolume'));
    expect(looks.filter((method) => method === 'describeInstance')).toHaveLength(3);
  });

  it('that gets its turn when the owner runs again is not sent', async () => {
    const { begin, ec2, argsOf } = takeoverBench({ owner: stopped });
    const detach = ec2.detachVolume.bind(ec2);
    vi.spyOn(ec2, 'detachVolume').mockImplementation((key, options) =>
      pass(60_000).then(() => {
        ec2.setInstance('i-a', { state: 'running', stateReason: undefined });
        return detach(key, options);
      }),
    );
    expect(await failureWithin(100_000, begin())).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect(argsOf('detachVolume')).toEqual([]);
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
