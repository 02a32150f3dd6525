import { pino } from 'pino';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { cleanMark, tagKeys } from '../../src/ebs/tags.ts';
import type { EbsVolume, Instance } from '../../src/ebs/types.ts';
import { type TakeoverContext, takeOver } from '../../src/fencing/takeover.ts';
import { FakeEc2 } from '../support/fake-ec2.ts';
import { failure, pass, played, useVirtualTime } from '../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const stopped = { state: 'stopped', stateReason: 'Client.UserInitiatedShutdown' } as const;

/** A volume attached to i-a, and i-b who wants it. */
function bench(owner: Partial<Instance> = {}, policy: TakeoverContext['policy'] = 'instance-not-running') {
  const ec2 = new FakeEc2();
  ec2.addInstance('i-a');
  ec2.addInstance('i-b');
  ec2.setInstance('i-a', owner);
  const volume = ec2.addVolume({ tags: {} });
  const attachment = ec2.addAttachment(volume, 'i-a', '/dev/xvdbq');
  const reasons: string[] = [];
  const context: TakeoverContext = {
    ec2,
    log: pino({ level: 'silent' }),
    name: 'data',
    instanceId: 'i-b',
    policy,
    waiting: (reason, work) => {
      reasons.push(reason);
      return work();
    },
  };
  const key = { volumeId: volume.id, instanceId: 'i-a', device: '/dev/xvdbq' };
  const detaches = () => ec2.calls.filter(({ method }) => method === 'detachVolume').map(({ args }) => args[0]);
  /** The takeover as it begins from what EC2 shows now. */
  const begin = async (): Promise<EbsVolume> => {
    const seen = await ec2.describeVolume(volume.id);
    const [seenAttachment] = seen?.attachments ?? [];
    if (seen === undefined || seenAttachment === undefined) throw new Error('not attached');
    ec2.calls.length = 0;
    return takeOver(context, seen, seenAttachment);
  };
  return { ec2, volume, attachment, reasons, key, detaches, begin };
}

describe('an owner that runs', () => {
  it('gets a moment to let go, then the caller is told who has it', async () => {
    const { begin, detaches, reasons } = bench();
    const error = await failure(begin());
    expect(error).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect(String(error)).toMatch(
      /volume "data": cannot attach vol-1 to i-b: it is attached to i-a .* which is running/,
    );
    expect(detaches()).toEqual([]);
    expect(reasons[0]).toContain('i-a to let go of vol-1');
  });

  it('that lets go meanwhile leaves a free volume, and nobody is fenced', async () => {
    const { begin, detaches, ec2, volume, attachment } = bench();
    const taking = begin();
    await pass(3000);
    ec2.endAttachment(volume, attachment);
    expect(await played(taking)).toMatchObject({ state: 'available', attachments: [] });
    expect(detaches()).toEqual([]);
  });

  it('that declares the attachment finished meanwhile is helped to the end', async () => {
    const { begin, detaches, volume, attachment, key } = bench();
    const taking = begin();
    await pass(3000);
    volume.tags[tagKeys.clean] = cleanMark({ ...attachment, instanceId: 'i-a' });
    expect(await played(taking)).toMatchObject({ state: 'available' });
    expect(detaches()).toEqual([key]);
  });

  it('that is terminated meanwhile loses its volume', async () => {
    const { begin, detaches, ec2, key } = bench();
    const taking = begin();
    await pass(3000);
    ec2.setInstance('i-a', { state: 'terminated' });
    expect(await played(taking)).toMatchObject({ state: 'available' });
    expect(detaches()).toEqual([key]);
  });

  it('that declared the attachment finished is helped to the end', async () => {
    const { begin, detaches, volume, attachment, key } = bench({}, 'never');
    volume.tags[tagKeys.clean] = cleanMark({ ...attachment, instanceId: 'i-a' });
    expect(await played(begin())).toMatchObject({ state: 'available' });
    expect(detaches()).toEqual([key]);
  });

  it('is waited for while it detaches', async () => {
    const { begin, detaches, ec2, key } = bench();
    ec2.detachMs = 7000;
    await ec2.detachVolume(key);
    expect(await played(begin())).toMatchObject({ state: 'available' });
    expect(detaches()).toEqual([]);
  });
});

describe('an owner that is not proven gone', () => {
  it.each<[string, Partial<Instance>]>([
    ['stopping', { state: 'stopping' }],
    ['shutting down', { state: 'shutting-down' }],
    ['hibernated', { ...stopped, stateReason: 'Client.UserInitiatedHibernate' }],
  ])('keeps its volume: %s', async (_, owner) => {
    const { begin, detaches } = bench(owner);
    expect(await failure(begin())).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect(detaches()).toEqual([]);
  });

  it('keeps its volume when EC2 does not list it', async () => {
    const { begin, detaches, ec2 } = bench();
    ec2.instances.delete('i-a');
    expect(await failure(begin())).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect(detaches()).toEqual([]);
  });

  it('keeps its volume when EC2 cannot be asked', async () => {
    const { begin, detaches, ec2 } = bench({ state: 'terminated' });
    ec2.failNext('describeInstance', 'EC2_THROTTLED');
    expect(await failure(begin())).toMatchObject({ code: 'EC2_THROTTLED' });
    expect(detaches()).toEqual([]);
  });

  it('keeps its volume under the policy never', async () => {
    const { begin, detaches } = bench({ state: 'terminated' }, 'never');
    const error = await failure(begin());
    expect(error).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect(String(error)).toContain('the fence policy is never');
    expect(detaches()).toEqual([]);
  });
});

describe('an owner that is gone', () => {
  it('terminated: one detach that names volume, instance and device, without force', async () => {
    const { begin, detaches, key, ec2, reasons } = bench({ state: 'terminated' });
    expect(await played(begin())).toMatchObject({ id: 'vol-1', state: 'available', attachments: [] });
    expect(detaches()).toEqual([key]);
    expect(ec2.count('describeInstance')).toBe(1);
    expect(reasons).toEqual(['EC2 to detach vol-1 from i-a, because i-a is terminated']);
  });

  it.each(['EC2_NOT_ATTACHED', 'EC2_INCORRECT_STATE'] as const)(
    'a detach that is refused with %s since somebody was quicker is no failure',
    async (code) => {
      const { begin, ec2, volume, attachment } = bench({ state: 'terminated' });
      ec2.failNext('detachVolume', code);
      const taking = begin();
      await pass(1000);
      ec2.endAttachment(volume, attachment);
      expect(await played(taking)).toMatchObject({ state: 'available' });
    },
  );

  it('any other refusal is one', async () => {
    const { begin, ec2 } = bench({ state: 'terminated' });
    ec2.failNext('detachVolume', 'EC2_DENIED');
    expect(await failure(begin())).toMatchObject({ code: 'EC2_DENIED' });
  });

  it('stopped: looked at twice, seconds apart, then detached', async () => {
    const { begin, detaches, key, ec2 } = bench(stopped);
    const taking = begin();
    await pass(4000);
    expect([ec2.count('describeInstance'), detaches().length]).toEqual([1, 0]);
    expect(await played(taking)).toMatchObject({ state: 'available' });
    expect(ec2.count('describeInstance')).toBe(2);
    expect(detaches()).toEqual([key]);
  });

  it('stopped, but started between the looks: refused', async () => {
    const { begin, detaches, ec2 } = bench(stopped);
    const taking = begin();
    await pass(2000);
    ec2.setInstance('i-a', { state: 'pending', stateReason: undefined });
    expect(await failure(taking)).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect(detaches()).toEqual([]);
  });

  it('stopped, with another attachment between the looks: judged anew by the caller', async () => {
    const { begin, detaches, ec2, volume, attachment } = bench(stopped);
    const taking = begin();
    await pass(2000);
    ec2.endAttachment(volume, attachment);
    const newer = ec2.addAttachment(volume, 'i-a', '/dev/xvdbr');
    expect(await played(taking)).toMatchObject({ attachments: [newer] });
    expect(detaches()).toEqual([]);
  });

  it('stopped, with its volume deleted between the looks: said so', async () => {
    const { begin, ec2 } = bench(stopped);
    const taking = begin();
    await pass(2000);
    ec2.volumes.clear();
    expect(await failure(taking)).toMatchObject({ code: 'EC2_NO_SUCH_VOLUME' });
  });

  it('a detach that takes too long ends with what is waited for', async () => {
    const { begin, ec2 } = bench({ state: 'terminated' });
    ec2.detachMs = 1_000_000;
    const error = await failure(begin());
    expect(error).toMatchObject({ code: 'STILL_WORKING' });
    expect(String(error)).toContain('on i-a as /dev/xvdbq (detaching)');
  });
});

it('a volume that AWS manages is refused at once', async () => {
  const { begin, attachment, detaches, ec2 } = bench();
  attachment.instanceId = undefined;
  const error = await failure(begin());
  expect(error).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
  expect(String(error)).toContain('a resource that AWS manages');
  expect([detaches().length, ec2.calls.length]).toEqual([0, 0]);
});
