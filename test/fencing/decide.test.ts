import { describe, expect, it } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import type { Attachment, Instance } from '../../src/ebs/types.ts';
import { decide } from '../../src/fencing/decide.ts';
import type { Decision, Rules, Testimony } from '../../src/fencing/types.ts';
import { attachmentWith } from '../support/fake-volume.ts';
import {
  attachTime,
  type Change,
  cappedTag,
  cleanTag,
  confirmedTag,
  forcedTag,
  healthWith,
  impaired,
  jointDisk,
  rulesWith,
  seenWith,
  shutdown,
  stamp,
  stamped,
  testimonyWith,
  token,
} from './observations.ts';

const judged = (change: Change = {}, rules: Partial<Rules> = {}): Decision =>
  decide(rulesWith(rules), seenWith(change));
const stonith = (change: Change = {}, rules: Partial<Rules> = {}) => judged(change, { policy: 'stonith', ...rules });
const preempt = (change: Change = {}) => judged(change, { policy: 'preempt' });
const stopped = (change: Partial<Instance> = {}): Change => ({
  owner: { state: 'stopped', stateReason: shutdown, disks: [jointDisk], ...change },
});
/** Suspected by EC2's system and instance checks. */
const failed: Change = { health: healthWith({ system: impaired(), instance: impaired() }) };
const failedAnd = (change: Change): Change => ({ ...failed, ...change });
const where = `it is attached to i-a (device /dev/xvdba, since ${attachTime})`;
const whatToDo =
  'Stop the containers that use it there; if i-a has failed, stop or terminate the instance and try again, ' +
  'or give your word with docker-volume-ebs fence confirm (see docker-volume-ebs fence explain)';

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
    expect(judged(change)).toEqual({ kind: 'take', evidence, reason });
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
        todo: 'Terminate i-a, or say with docker-volume-ebs fence confirm that it will not resume',
      });
    },
  );

  it('an owner that can hibernate has done so unless EC2 shows a shutdown', () => {
    const owner = { stateReason: 'Server.SpotInstanceShutdown' };
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
      todo: 'Find out what became of i-a; when it is surely gone, say so with docker-volume-ebs fence confirm',
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
    const todo = 'Detach it from i-a by hand';
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

  it('a running owner, saying what is known of it', () => {
    expect(judged({ health: undefined })).toEqual({
      kind: 'refuse',
      reason: `${where}, which is running`,
      todo: whatToDo,
      veto: undefined,
    });
    expect(judged().reason).toBe(`${where}, which is running (EC2's checks of it are ok)`);
    expect(judged({ ...failed, testimony: [testimonyWith()] }).reason).toBe(
      `${where}, which is running (EC2's system check is impaired since 2026-01-02T03:57:00.000Z; ` +
        "EC2's instance check is impaired since 2026-01-02T03:57:00.000Z; the leading master lists agent S1 as unreachable)",
    );
  });
});

describe('stonith', () => {
  it('stops an owner that enough independent sources suspect', () => {
    expect(stonith(failed)).toEqual({
      kind: 'stop',
      evidence: 'suspected',
      reason:
        `${where}, which 2 independent sources suspect: EC2's system check is impaired since 2026-01-02T03:57:00.000Z; ` +
        "EC2's instance check is impaired since 2026-01-02T03:57:00.000Z",
      suspicions: [
        "EC2's system check is impaired since 2026-01-02T03:57:00.000Z",
        "EC2's instance check is impaired since 2026-01-02T03:57:00.000Z",
      ],
    });
  });

  it.each([
    [attachTime, 'it was so before the volume was attached there'],
    ['2026-01-02T03:57:01.000Z', 'only what has lasted 3 minutes does'],
    [undefined, 'EC2 does not tell since when'],
  ])('tells why a check that is impaired since %s does not count', (impairedSince, why) => {
    const system = { status: 'impaired', impairedSince } as const;
    const since = impairedSince === undefined ? '' : ` since ${impairedSince}`;
    expect(stonith({ health: healthWith({ system }) }).reason).toContain(
      `(EC2's system check is impaired${since}, which does not count: ${why})`,
    );
  });

  it('refuses when fewer do, saying how many', () => {
    const health = healthWith({ system: impaired() });
    expect(stonith({ health })).toMatchObject({
      kind: 'refuse',
      reason:
        `${where}, which is running (EC2's system check is impaired since 2026-01-02T03:57:00.000Z); ` +
        'of the independent sources that must suspect it before it is stopped there are 1 of 2',
      todo: whatToDo,
    });
    expect(stonith({ health }, { suspicions: 1 }).kind).toBe('stop');
  });

  it.each<[string, Change, number]>([
    [
      'the system and the attached-EBS check',
      { health: healthWith({ system: impaired(), attachedEbs: impaired() }) },
      1,
    ],
    [
      'the attached-EBS and the instance check',
      { health: healthWith({ attachedEbs: impaired(), instance: impaired() }) },
      2,
    ],
    ['a lost agent', { tags: stamped, testimony: [testimonyWith()] }, 1],
    ['an agent that an operator marked gone', { tags: stamped, testimony: [testimonyWith({ says: 'gone' })] }, 1],
    ['two schedulers', { tags: stamped, testimony: [testimonyWith(), testimonyWith()] }, 1],
    ['all of them', { ...failed, tags: stamped, testimony: [testimonyWith()] }, 3],
    ['an agent that the holder did not stamp', { testimony: [testimonyWith()] }, 0],
    [
      'an agent stamped on an earlier attachment',
      { tags: stamp({ ...token, attachTime: '2026-01-02T02:00:00.000Z' }), testimony: [testimonyWith()] },
      0,
    ],
    [
      'an agent stamped on another device',
      { tags: stamp({ ...token, device: '/dev/xvdcz' }), testimony: [testimonyWith()] },
      0,
    ],
    ['an agent stamped by another instance', { tags: stamp(token, 'i-z'), testimony: [testimonyWith()] }, 0],
    ['another agent than the stamped one', { tags: stamped, testimony: [testimonyWith({ identity: 'S2' })] }, 0],
    ['the agent of another scheduler', { tags: stamped, testimony: [testimonyWith({ source: 'swarm' })] }, 0],
    ['an agent lost before the attachment', { tags: stamped, testimony: [testimonyWith({ since: attachTime })] }, 0],
    ['an agent lost at an unknown time', { tags: stamped, testimony: [testimonyWith({ since: undefined })] }, 0],
    [
      'checks impaired for under three minutes',
      { health: healthWith({ system: impaired('2026-01-02T03:57:01.000Z') }) },
      0,
    ],
    ['checks impaired since before the attachment', { health: healthWith({ system: impaired(attachTime) }) }, 0],
    ['checks of another instance', { health: { ...healthWith({ system: impaired() }), instanceId: 'i-z' } }, 0],
    [
      'checks with insufficient data',
      { health: healthWith({ system: { ...impaired(), status: 'insufficient-data' } }) },
      0,
    ],
  ])('%s: independent sources', (_, change, sources) => {
    const kinds = [1, 2, 3].map((suspicions) => stonith(change, { suspicions }).kind === 'stop');
    expect(kinds).toEqual([1, 2, 3].map((needed) => sources >= needed));
  });

  const veto = (change: Partial<Testimony>): Change => failedAnd({ testimony: [testimonyWith(change)] });
  const vetoes: [name: string, change: Change, source: string, why: string, todo: RegExp][] = [
    [
      'registered',
      veto({ says: 'registered', detail: 'the leading master lists agent S1 as registered' }),
      'mesos',
      'the leading master lists agent S1 as registered',
      /^Ask mesos why/,
    ],
    [
      'registered under a new id (23)',
      veto({ otherMemberThere: 'agent S7' }),
      'mesos',
      'agent S7 is a ready member of mesos on the same machine',
      /^Stop the containers/,
    ],
    [
      'judged by a node that is cut off itself (28)',
      veto({ takerRegistered: false }),
      'taker',
      'mesos does not list this node as a ready member, so that the fault may be on this side',
      /^Join this node to mesos again/,
    ],
    [
      'a member of a scheduler that cannot be asked',
      veto({ answered: false, takerRegistered: false, detail: 'mesos could not be asked about S1: it is down' }),
      'unanswered',
      'without the answer of mesos, which may count it as a ready member, it is not stopped',
      /^Mend the Mesos masters, or start .* with DVE_MESOS_MASTERS empty/,
    ],
    [
      'a Swarm member, judged by a worker',
      veto({ source: 'swarm', answered: false, takerRegistered: false }),
      'unanswered',
      'without the answer of swarm, which may count it as a ready member, it is not stopped',
      /^Mount the volume on a Swarm manager, or start .* with DVE_SWARM_SOCKET empty/,
    ],
    [
      'that nobody recorded on the volume, where a scheduler might vouch for it',
      veto({ identity: undefined, answered: false, says: 'nothing' }),
      'unrecorded',
      'without the answer of mesos, which may count it as a ready member, it is not stopped',
      /^Stop the instance by hand; why it wrote no tag docker-volume-ebs:owner/,
    ],
    [
      'the fourth within the hour',
      failedAnd({ tags: cappedTag }),
      'cap',
      'it was taken from owners that perhaps lived three times within an hour',
      /^Find out why its owners fail; it is taken again after 2026-01-02T04:10:00.000Z$/,
    ],
    [
      'one of many (25)',
      veto({ suspects: 3, members: 14 }),
      'storm',
      'mesos has lost 3 of 14 members, so that the fault is likelier with the network or with mesos',
      /^Mend that first/,
    ],
    [
      'not of the cluster',
      failedAnd({ owner: { tags: { [tagKeys.cluster]: 'c2' } } }),
      'cluster',
      'i-a does not carry the tag docker-volume-ebs:cluster=c1, without which it is never stopped',
      /stop i-a by hand$/,
    ],
    [
      'to be deleted with its volumes (36)',
      failedAnd({ attachment: { deleteOnTermination: true } }),
      'delete-on-termination',
      'EC2 would delete the volume with i-a, should the stop end in a termination',
      /^Turn DeleteOnTermination off for \/dev\/xvdba of i-a$/,
    ],
    [
      'started again since',
      failedAnd({ owner: { launchTime: '2026-01-02T03:30:00.000Z' } }),
      'restarted',
      'i-a started again at 2026-01-02T03:30:00.000Z, after it attached the volume, and releases it once its daemon runs',
      /^Start docker-volume-ebs on i-a/,
    ],
    [
      'described by another version (57)',
      failedAnd({ tags: { [tagKeys.owner]: '2 i-a' } }),
      'format',
      'another version of docker-volume-ebs wrote docker-volume-ebs:owner in a format that this one does not know',
      /^Use the same version/,
    ],
    [
      'launched who knows when',
      failedAnd({ owner: { launchTime: '' } }),
      'restarted',
      'i-a started again at , after it attached the volume, and releases it once its daemon runs',
      /^Start docker-volume-ebs on i-a/,
    ],
    ['this node', failedAnd({ taker: 'i-a' }), 'self', 'it is attached to this node itself', /^Mount it here$/],
  ];

  it.each(vetoes)('never stops an owner that is %s', (_, change, source, why, todo) => {
    const decision = stonith(change);
    expect(decision).toMatchObject({ kind: 'refuse', veto: source, todo: expect.stringMatching(todo) });
    expect(decision.reason.split('; but ')[1]).toBe(why);
  });

  it('a storm is more than a fifth of the members, and three at least', () => {
    expect(stonith(veto({ suspects: 3, members: 15 })).kind).toBe('stop');
    expect(stonith(veto({ suspects: 2, members: 2 })).kind).toBe('stop');
  });

  it('tells all vetoes, and what to do about the first', () => {
    const decision = stonith({ ...veto({ takerRegistered: false }), owner: { tags: {} } });
    expect(decision).toMatchObject({ kind: 'refuse', veto: 'taker', todo: expect.stringContaining('Join this node') });
    expect(decision.reason).toMatch(/on this side, and i-a does not carry the tag/);
  });

  it('waits while the attachment is young by the clock of EC2, or of unknown age', () => {
    const health = { system: impaired('2026-01-02T03:03:00.000Z'), instance: impaired('2026-01-02T03:03:00.000Z') };
    const at = (answeredAt: string) => stonith({ health: healthWith({ ...health, answeredAt }) });
    expect(at('2026-01-02T03:10:00.000Z').kind).toBe('stop');
    expect(at('2026-01-02T03:09:59.000Z')).toMatchObject({
      kind: 'wait',
      reason: expect.stringMatching(/; no attachment younger than ten minutes is taken without proof$/),
      todo: 'Try again after 2026-01-02T03:10:00.000Z',
    });
    const bySchedulerAlone = { tags: stamped, testimony: [testimonyWith()] };
    expect(stonith(bySchedulerAlone, { suspicions: 1 }).kind).toBe('stop');
    expect(stonith({ ...bySchedulerAlone, health: undefined }, { suspicions: 1 })).toMatchObject({
      kind: 'wait',
      reason: expect.stringMatching(/; EC2 has not told how old the attachment is$/),
      todo: 'Try again in half a minute',
    });
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
