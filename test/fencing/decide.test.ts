import { describe, expect, it } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import type { Attachment, Instance } from '../../src/ebs/types.ts';
import { decide } from '../../src/fencing/decide.ts';
import { fencePolicies } from '../../src/fencing/types.ts';
import { attachmentWith } from '../support/fake-volume.ts';
import { failed, failedAnd, judged, preempt, stopped, whatToDo, where } from './judged.ts';
import {
  attachTime,
  type Change,
  cappedTag,
  cleanTag,
  confirmedTag,
  forcedTag,
  healthWith,
  jointDisk,
  rulesWith,
  seenWith,
  shutdown,
  testimonyWith,
  token,
} from './observations.ts';

describe('proof', () => {
  it.each<[string, Change, string, string]>([
    ['declared it finished', { tags: cleanTag() }, 'clean', 'i-a declared this attachment finished'],
    ['is terminated', { owner: { state: 'terminated' } }, 'terminated', 'i-a is terminated'],
    ['was stopped', stopped(), 'stopped', 'i-a has been stopped since it attached the volume'],
    [
      'stopped itself',
      stopped({ stateReason: 'Client.InstanceInitiatedShutdown' }),
      'stopped',
      'i-a has been stopped since it attached the volume',
    ],
    [
      'was shut down although it can hibernate',
      stopped({ hibernationConfigured: true }),
      'stopped',
      'i-a has been stopped since it attached the volume',
    ],
    [
      'was stopped with its host',
      stopped({ stateReason: 'Server.ScheduledStop' }),
      'stopped-by-force',
      'i-a has been stopped (Server.ScheduledStop, not by its own shutdown) since it attached the volume',
    ],
    [
      'was stopped, and could not be started again for want of capacity',
      stopped({ stateReason: 'Server.InsufficientInstanceCapacity' }),
      'stopped-by-force',
      'i-a has been stopped (Server.InsufficientInstanceCapacity, not by its own shutdown) since it attached the volume',
    ],
    [
      'was stopped by force, as an intent tells',
      { ...stopped(), tags: forcedTag },
      'stopped-by-force',
      `i-a has been stopped (${shutdown}, not by its own shutdown) since it attached the volume`,
    ],
    [
      'is stopped by a record read late enough, without its disk',
      { ...stopped({ disks: [] }), ownerReadLater: true },
      'stopped',
      'i-a has been stopped since it attached the volume',
    ],
    [
      'was stopped, as an operator also confirms',
      { ...stopped(), tags: confirmedTag() },
      'stopped',
      'i-a has been stopped since it attached the volume',
    ],
    [
      'is confirmed gone by an operator, though EC2 does not list it',
      { owner: undefined, tags: confirmedTag() },
      'confirmed',
      'an operator confirmed that i-a is finished with it: its rack burnt down',
    ],
    [
      'is confirmed gone, though hibernated',
      { ...stopped({ stateReason: 'Client.UserInitiatedHibernate' }), tags: confirmedTag() },
      'confirmed',
      'an operator confirmed that i-a is finished with it: its rack burnt down',
    ],
  ])('takes from an owner that %s', (_, change, evidence, reason) => {
    expect(judged(change)).toMatchObject({ kind: 'take', evidence, reason });
  });

  it.each<[string, Partial<Attachment>, string?]>([
    ['an earlier attachment', { attachTime: '2026-01-01T00:00:00.000Z' }],
    ['another device', { device: '/dev/xvdcz' }],
    ['another instance', {}, 'i-z'],
  ])('a clean tag or a confirmation about %s counts for nothing', (_, change, instanceId) => {
    const named = { ...token, ...change };
    const decision = judged();
    expect(decision.kind).toBe('refuse');
    expect(judged({ tags: { ...cleanTag(named, instanceId), ...confirmedTag(named, instanceId) } })).toEqual(decision);
  });

  it.each([undefined, 'Client.UserInitiatedHibernate', 'Server.Novelty'])(
    'an owner stopped for %s may be hibernated',
    (stateReason) => {
      expect(judged(stopped({ stateReason }))).toMatchObject({
        kind: 'refuse',
        reason: `${where}, which is stopped (${stateReason ?? 'no reason given'}): that may be hibernation, from which it wakes with its mounts`,
        todo: 'Terminate i-a; or, if it will surely not resume, say so with docker-volume-ebs fence confirm VOLUME --victim i-a --reason REASON',
      });
    },
  );

  it.each([
    'Server.SpotInstanceShutdown',
    'Server.InsufficientInstanceCapacity',
    'Client.InternalError',
    'Client.VolumeLimitExceeded',
  ])('an owner that can hibernate has done so unless EC2 shows a shutdown, not %s', (stateReason) => {
    const owner = { stateReason };
    expect(judged(stopped(owner))).toMatchObject({ kind: 'take', evidence: 'stopped-by-force' });
    expect(judged(stopped({ ...owner, hibernationConfigured: true })).kind).toBe('refuse');
  });

  it.each<[string, Instance['disks'], boolean]>([
    ['no disks', [], false],
    ['an earlier attachment', [{ ...jointDisk, attachTime: '2026-01-01T00:00:00.000Z' }], true],
    ['another device', [{ ...jointDisk, device: '/dev/xvdbz' }], true],
    ['another volume', [{ ...jointDisk, volumeId: 'vol-2' }], false],
  ])('waits for the record of a stopped owner that shows %s: it may be from before', (_, disks, ownerReadLater) => {
    expect(judged({ ...stopped({ disks }), ownerReadLater })).toEqual({
      kind: 'wait',
      reason: `${where}, which is stopped, but EC2's records of it and of the volume do not agree yet about their attachment`,
      todo: 'Try again in half a minute',
    });
  });

  it.each<[Instance['state'], string]>([
    ['stopping', 'Try again once i-a is stopped: until then it may still write'],
    ['shutting-down', 'Try again once i-a is terminated: until then it may still write'],
    ['pending', 'Try again once i-a runs: its daemon releases what an earlier boot attached'],
  ])('waits for an owner that is %s, under every policy that takes anything', (state, todo) => {
    for (const policy of ['instance-not-running', 'stonith', 'preempt'] as const) {
      const decision = judged(failedAnd({ owner: { state } }), { policy });
      expect(decision).toEqual({ kind: 'wait', reason: `${where}, which is ${state}`, todo });
    }
  });

  it.each<Attachment['state']>(['detaching', 'busy', 'detached'])('waits for an attachment that is %s', (state) => {
    const decision = preempt({ attachment: { state } });
    expect(decision).toEqual({
      kind: 'wait',
      reason: `EC2 is detaching it from i-a (device /dev/xvdba, since ${attachTime})`,
      todo: 'Try again once i-a has let go of it; if it never does, stop the instance',
    });
    expect(judged({ ...stopped(), attachment: { state } })).toMatchObject({ kind: 'take', evidence: 'stopped' });
  });
});

describe('refusals', () => {
  it('an owner that EC2 does not list is not gone for that', () => {
    expect(preempt({ owner: undefined })).toMatchObject({
      kind: 'refuse',
      reason: `${where}, and EC2 lists no such instance, which does not prove that it is gone`,
      todo: 'Find out what became of i-a; once it is surely gone, say so with docker-volume-ebs fence confirm VOLUME --victim i-a --reason REASON',
    });
  });

  it("another instance's record is none of the owner", () => {
    expect(judged({ owner: { id: 'i-z', state: 'terminated' } }).kind).toBe('refuse');
  });

  it('a volume that AWS manages', () => {
    const seen = seenWith();
    const attachment = attachmentWith({ instanceId: undefined, device: '', attachTime });
    expect(decide(rulesWith({ policy: 'preempt' }), { ...seen, attachment })).toMatchObject({
      kind: 'refuse',
      reason: `it is attached to a resource that AWS manages (device , since ${attachTime}), which cannot be detached through EC2`,
      todo: 'Stop the ECS or Fargate task that uses it',
    });
  });

  it('a volume with several attachments, whatever proof there is', () => {
    const seen = seenWith({ tags: cleanTag() });
    const attachments = [seen.attachment, attachmentWith({ instanceId: 'i-c' })];
    expect(decide(rulesWith(), { ...seen, volume: { ...seen.volume, attachments } })).toMatchObject({
      kind: 'refuse',
      reason: 'it is a Multi-Attach volume, attached to i-a and i-c',
    });
  });

  it('never', () => {
    const never = (change: Change) => judged(change, { policy: 'never' });
    const todo = expect.stringMatching(
      /If i-a has failed, type aws ec2 stop-instances .*, and then aws ec2 detach-volume --volume-id vol-1 --instance-id i-a --device \/dev\/xvdba, and try again$/,
    );
    expect(never(stopped())).toMatchObject({ kind: 'refuse', reason: `${where} and the fence policy is never`, todo });
    expect(never({ tags: confirmedTag() })).toMatchObject({
      kind: 'refuse',
      reason: `${where} and the fence policy is never, under which an operator's word does not count`,
      todo,
    });
    expect(never({ tags: { [tagKeys.fencePolicy]: 'stonit' } })).toMatchObject({
      reason: `${where} and the fence policy is never (the volume's tag docker-volume-ebs:fence-policy says "stonit")`,
    });
    expect(never({ tags: cleanTag() })).toMatchObject({ kind: 'take', evidence: 'clean' });
  });

  it('a pause', () => {
    const paused = 'network maintenance (since 2026-01-02T03:50:00Z)';
    expect(judged({ ...stopped(), paused })).toEqual({
      kind: 'refuse',
      reason: `${where} and an operator has paused fencing: ${paused}`,
      todo: 'Let it go on with docker-volume-ebs fence resume',
      veto: 'paused',
    });
    expect(judged({ paused, tags: cleanTag() })).toMatchObject({ kind: 'take', evidence: 'clean' });
  });

  it("no running owner with a hint at an operator's word, which would be refused", () => {
    for (const policy of fencePolicies) expect(JSON.stringify(judged({}, { policy }))).not.toContain('fence confirm');
  });

  it('a running owner, saying what is known of it', () => {
    expect(judged({ health: undefined })).toEqual({
      kind: 'refuse',
      reason: `${where}, which is running`,
      todo: whatToDo,
      veto: undefined,
    });
    expect(judged().reason).toBe(`${where}, which is running (EC2's checks of it are ok)`);
    expect(judged({ owner: { tags: { Name: 'web-2' }, privateIp: '10.0.0.5' } }).reason).toBe(
      `${where}, which is running (its name is "web-2"; its address is 10.0.0.5; EC2's checks of it are ok)`,
    );
    expect(judged({ ...failed, testimony: [testimonyWith()] }).reason).toBe(
      `${where}, which is running (EC2's system check is impaired since 2026-01-02T03:57:00.000Z; ` +
        "EC2's instance check is impaired since 2026-01-02T03:57:00.000Z; the leading master lists agent S1 as unreachable)",
    );
  });
});

describe('preempt', () => {
  it('pulls the disk from under a running owner, saying what that costs', () => {
    expect(preempt()).toEqual({
      kind: 'pull',
      evidence: 'preempted',
      reason:
        `${where}, which is running (EC2's checks of it are ok); ` +
        'the fence policy is preempt, so that it loses the disk and what it has not written yet',
    });
  });

  it('refuses a fourth time within the hour, and no proof', () => {
    expect(preempt({ tags: cappedTag })).toMatchObject({ kind: 'refuse', veto: 'cap' });
    expect(preempt({ ...stopped(), tags: cappedTag })).toMatchObject({ kind: 'take' });
    expect(preempt({ tags: cappedTag, health: undefined })).toMatchObject({ kind: 'wait' });
    expect(preempt({ tags: cappedTag, health: healthWith({ answeredAt: '2026-01-02T04:10:00.000Z' }) }).kind).toBe(
      'pull',
    );
  });

  it('pulls it from a hibernated owner too', () => {
    const owner = stopped({ stateReason: 'Client.UserInitiatedHibernate' });
    expect(preempt(owner)).toMatchObject({ kind: 'pull', reason: expect.stringContaining('may be hibernation') });
  });

  it('takes on proof, as every other policy', () => {
    expect(preempt(stopped())).toMatchObject({ kind: 'take', evidence: 'stopped' });
  });

  it('waits while the attachment is young', () => {
    const health = healthWith({ answeredAt: '2026-01-02T03:09:59.000Z' });
    expect(preempt({ health })).toMatchObject({ kind: 'wait', todo: 'Try again after 2026-01-02T03:10:00.000Z' });
  });
});
