import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import type { Instance } from '../../src/ebs/types.ts';
import { ec2Error } from '../support/fake-ec2.ts';
import { failureWithin, free, stopped, takeoverBench, within } from '../support/fake-takeover.ts';
import { pass, useVirtualTime } from '../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../support/virtual-time.ts'));

beforeEach(useVirtualTime);

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
