import { pino } from 'pino';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { cleanMark, tagKeys } from '../../src/ebs/tags.ts';
import type { Instance } from '../../src/ebs/types.ts';
import { DriverError } from '../../src/errors.ts';
import { confirmationTag, pauseTag } from '../../src/fencing/records.ts';
import { failureWithin, free, stopped, takeoverBench, terminated, within } from '../support/fake-takeover.ts';
import { pass, useVirtualTime } from '../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../support/virtual-time.ts'));

beforeEach(useVirtualTime);

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

  it('is told of with its name, its address and what EC2 checks, which is asked for at the end alone', async () => {
    const { begin, argsOf, ec2 } = takeoverBench();
    ec2.setInstance('i-a', { privateIp: '10.0.0.5', tags: { Name: 'web-2' } });
    expect(String(await failureWithin(20_000, begin()))).toMatch(
      /which is running \(its name is "web-2"; its address is 10\.0\.0\.5; EC2's checks of it are ok\)\. If i-a is well, .*aws ec2 stop-instances/,
    );
    expect(argsOf('describeHealth')).toHaveLength(1);
  });

  it('is told of without them where EC2 does not let this node look', async () => {
    const { begin, ec2 } = takeoverBench();
    ec2.describeHealth = async () => {
      throw new DriverError('EC2_DENIED', { tried: 'look', why: 'no', todo: 'Allow it' });
    };
    expect(String(await failureWithin(20_000, begin()))).toMatch(/which is running\. If i-a is well, /);
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
    expect(await within(90_000, taking)).toMatchObject({ ...free, fenced: { evidence: 'stopped' } });
    expect(argsOf('detachVolume')).toEqual([key]);
  });

  it('is told of in the log when its volume is taken, once', async () => {
    const said: string[] = [];
    const destination = { write: (line: string) => said.push(JSON.parse(line).msg) };
    const { begin, ec2 } = takeoverBench({ owner: { state: 'stopping' } });
    const taking = begin({ log: pino({ level: 'info' }, destination) });
    await pass(60_000);
    ec2.setInstance('i-a', stopped);
    await within(90_000, taking);
    expect(said).toEqual(['a takeover begins']);
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
    ec2.setInstance('i-a', terminated);
    expect(await within(120_000, taking)).toMatchObject({ fenced: { evidence: 'terminated' } });
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
      const { begin, argsOf, ec2 } = takeoverBench({ owner: terminated });
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
