import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import { DriverError } from '../../src/errors.ts';
import { intentKey, intentTag } from '../../src/fencing/records.ts';
import { failureWithin, free, stopped, takeoverBench, terminated, timed, within } from '../support/fake-takeover.ts';
import { pass, useVirtualTime } from '../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const spotEnded = { ...terminated, stateReason: 'Server.SpotInstanceTermination' } as const;

describe('a terminated owner', () => {
  it('35: is detached by EC2 itself: nothing is sent, and the end is seen at once', async () => {
    const { begin, ec2, volume, attachment, methods } = takeoverBench({ owner: terminated });
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
    const { begin, argsOf, key } = takeoverBench({ owner: terminated });
    expect(await within(30_000, begin())).toMatchObject({ ...free, fenced: { evidence: 'terminated' } });
    expect(argsOf('detachVolume')).toEqual([key]);
  });
});

describe('late writes of an owner that has ended', () => {
  const ago = (ms: number) => new Date(Date.now() - ms).toISOString();

  it.each([
    ['a stop that EC2 does not show to be its own', stopped, 'stopped', 20_000, 41_000],
    ['a termination', terminated, 'terminated', 20_000, 41_000],
    ['a stop a minute ago and more', stopped, 'stopped', 61_000, 0],
    ['its own shutdown', { ...stopped, stateReason: 'Client.InstanceInitiatedShutdown' }, 'stopped', 1000, 0],
    ['the end of a spot instance, whose time EC2 does not tell', spotEnded, 'terminated', undefined, 60_000],
  ] as const)('after %s are waited for as long as they may come', async (_, owner, evidence, askedMs, leftMs) => {
    const stopAskedAt = askedMs === undefined ? undefined : ago(askedMs);
    const { begin, argsOf, ec2 } = takeoverBench({ owner: { ...owner, stopAskedAt } });
    const taking = timed(() => begin());
    await pass(Math.max(0, leftMs - 2000));
    expect(argsOf('detachVolume')).toEqual([]);
    const { result, ms } = await taking;
    expect(result).toMatchObject({ ...free, fenced: { evidence } });
    // EC2's own end of a termination is waited for, or the second look at a stopped owner; then the detach.
    const others = evidence === 'terminated' ? 15_000 : leftMs === 0 ? 5000 : 0;
    expect(ms).toBeGreaterThanOrEqual(leftMs + others);
    expect(ms).toBeLessThan(leftMs + others + 4000);
    expect(ec2.count('describeInstance')).toBe(
      (evidence === 'stopped' ? 2 : 1) + (leftMs > 0 ? 1 : 0) + (evidence === 'terminated' ? 1 : 0),
    );
  });

  it('are waited for from the first look that shows it stopped, if it was seen to stop: it may have hung until then', async () => {
    const { begin, argsOf, ec2 } = takeoverBench({ owner: { state: 'stopping', stopAskedAt: ago(600_000) } });
    const taking = begin();
    await pass(100_000);
    ec2.setInstance('i-a', { ...stopped, stopAskedAt: ago(700_000) });
    await pass(60_000);
    expect(argsOf('detachVolume')).toEqual([]);
    expect(await within(20_000, taking)).toMatchObject({ ...free, fenced: { evidence: 'stopped' } });
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
      owner: { ...stopped, stateReason: 'Server.ScheduledStop', stopAskedAt: undefined },
    });
    const taking = begin();
    await pass(64_000);
    expect([ec2.count('describeInstance'), argsOf('detachVolume').length]).toEqual([2, 0]);
    expect(await within(10_000, taking)).toMatchObject({ ...free, fenced: { evidence: 'stopped-by-force' } });
    expect(ec2.count('describeInstance')).toBe(3);
    expect(reasons[1]).toMatch(/^step 2 of 4 .*late writes/);
  });

  it('keeps its volume when an operator pauses fencing during the minute for late writes', async () => {
    const { begin, argsOf, volume } = takeoverBench({
      owner: { ...stopped, stateReason: 'Server.ScheduledStop', stopAskedAt: undefined },
    });
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
