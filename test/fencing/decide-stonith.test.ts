import { describe, expect, it } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import type { Testimony } from '../../src/fencing/types.ts';
import { failed, failedAnd, stonith, whatToDo, where } from './judged.ts';
import {
  attachTime,
  type Change,
  cappedTag,
  healthWith,
  impaired,
  stamp,
  stamped,
  testimonyWith,
  token,
} from './observations.ts';

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
