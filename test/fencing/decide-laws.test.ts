import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import { decide } from '../../src/fencing/decide.ts';
import { confirmationOf, intentsOf } from '../../src/fencing/records.ts';
import { fencePolicies, type Observation, type Testimony } from '../../src/fencing/types.ts';
import { isClean, lawful, reach, withOwner, without, withTags } from './laws.ts';
import {
  anySuspect,
  anyTestimony,
  cappedTag,
  cleanTag,
  cluster,
  confirmedTag,
  impaired,
  shutdown,
  stamped,
  testimonyWith,
} from './observations.ts';

describe('decide', () => {
  it('is a function of what was observed, and says why and what to do', () => {
    lawful((rules, seen, decision) => {
      const before = structuredClone(seen);
      expect(decide(rules, structuredClone(seen))).toEqual(decision);
      expect(seen).toEqual(before);
      expect(decision.reason).toContain(seen.attachment.instanceId ?? 'a resource that AWS manages');
      expect(decision.reason).not.toMatch(/\.$|undefined|NaN|\s{2}/);
      if ('todo' in decision) expect(decision.todo).toMatch(/^[A-Z](?!.*undefined).*[^.]$/);
    });
  });

  it('takes only on proof: each piece of evidence is what it says', () => {
    lawful((_, seen, decision) => {
      if (decision.kind !== 'take') return;
      const { owner, attachment, volume } = seen;
      const disk = owner?.disks.find(({ volumeId }) => volumeId === attachment.volumeId);
      const joint = disk?.attachTime === attachment.attachTime && disk.device === attachment.device;
      const stopped = owner?.state === 'stopped' && (joint || (disk === undefined && seen.ownerReadLater === true));
      const proofs: Record<string, boolean> = {
        clean: isClean(seen),
        terminated: owner?.state === 'terminated',
        stopped: stopped && [shutdown, 'Client.InstanceInitiatedShutdown'].includes(owner?.stateReason ?? ''),
        'stopped-by-force': stopped && owner?.stateReason !== 'Client.UserInitiatedHibernate',
        confirmed: confirmationOf(volume.tags, attachment) !== undefined,
      };
      expect([decision.evidence, proofs[decision.evidence]]).toEqual([decision.evidence, true]);
      if (['terminated', 'stopped', 'stopped-by-force'].includes(decision.evidence)) {
        expect(owner?.id).toBe(attachment.instanceId);
      }
    });
  });

  it("waits for late writes of every end but a shutdown that the guest made itself, by EC2's clock", () => {
    lawful(
      (rules, seen, decision) => {
        if (decision.kind !== 'take') return;
        const { settleMs, evidence } = decision;
        const { stateReason, stopAskedAt = '', answeredAt: answered = '' } = seen.owner ?? {};
        expect(settleMs).toBeLessThanOrEqual(rules.settleMs);
        if (evidence === 'clean' || evidence === 'confirmed') return expect(settleMs).toBe(0);
        const own =
          stateReason === 'Client.InstanceInitiatedShutdown' &&
          intentsOf(seen.volume.tags, seen.attachment).length === 0;
        if (own) return expect(settleMs).toBe(0);
        const left = Date.parse(seen.ownerOverAt ?? stopAskedAt) + rules.settleMs - Date.parse(answered);
        expect(settleMs).toBeGreaterThanOrEqual(Math.min(rules.settleMs, Number.isNaN(left) ? rules.settleMs : left));
      },
      { when: ({ kind }) => kind === 'take' },
    );
  });

  it('never waits for longer the later EC2 answers', () => {
    let shorter = 0;
    lawful(
      (rules, seen, decision) => {
        const later = decide(rules, withOwner(seen, { answeredAt: '2026-01-02T04:00:30.000Z' }));
        if (decision.kind !== 'take' || later.kind !== 'take') throw new Error('a proof was lost');
        expect(later.settleMs).toBeLessThanOrEqual(decision.settleMs);
        if (later.settleMs < decision.settleMs) shorter++;
      },
      { when: ({ kind }, { owner }) => kind === 'take' && owner?.answeredAt !== undefined },
    );
    expect(shorter).toBeGreaterThan(0);
  });

  it('takes under never what the owner declared finished, and nothing else', () => {
    lawful((rules, seen) => {
      const decision = decide({ ...rules, policy: 'never' }, seen);
      if (decision.kind === 'take') expect([decision.evidence, isClean(seen)]).toEqual(['clean', true]);
      expect(['take', 'refuse', 'wait']).toContain(decision.kind);
    });
  });

  it('does nothing while an operator has paused it, but for what the owner declared finished', () => {
    lawful((rules, seen) => {
      const decision = decide(rules, { ...seen, paused: 'maintenance' });
      if (decision.kind === 'take') expect(decision.evidence).toBe('clean');
      expect(['take', 'refuse', 'wait']).toContain(decision.kind);
    });
  });

  it('goes at least as far under a laxer policy', () => {
    lawful((rules, seen) => {
      const reaches = fencePolicies.map((policy) => reach[decide({ ...rules, policy }, seen).kind]);
      expect(reaches).toEqual([...reaches].sort((a, b) => a - b));
    });
  });

  it('takes on the same proof under every policy but never', () => {
    lawful((rules, seen) => {
      const decisions = fencePolicies.slice(1).map((policy) => decide({ ...rules, policy }, seen));
      const taking = decisions.find(({ kind }) => kind === 'take');
      if (taking !== undefined) for (const decision of decisions) expect(decision).toEqual(taking);
    });
  });

  it('stops only under stonith and pulls only under preempt', () => {
    lawful((rules, _, { kind }) => {
      if (kind === 'stop') expect(rules.policy).toBe('stonith');
      if (kind === 'pull') expect(rules.policy).toBe('preempt');
    });
  });
});

describe('more proof', () => {
  const proofs: [name: string, add: (seen: Observation) => Observation][] = [
    ['the clean tag', (seen) => withTags(seen, cleanTag(seen.attachment))],
    ['a confirmation', (seen) => withTags(seen, confirmedTag(seen.attachment))],
    ['a termination', (seen) => withOwner(seen, { id: 'i-a', state: 'terminated' })],
    [
      'a stop',
      (seen) =>
        withOwner(seen, { id: 'i-a', state: 'stopped', stateReason: shutdown, disks: [{ ...seen.attachment }] }),
    ],
  ];

  it.each(proofs)('%s never turns a take into something else', (_, add) => {
    lawful((rules, seen) => expect(decide(rules, add(seen)).kind).toBe('take'), {
      when: ({ kind }) => kind === 'take',
    });
  });

  it.each(proofs)('%s is enough where fencing goes on, whatever vetoes a suspicion', (_, add) => {
    lawful((rules, seen) => expect(decide(rules, add(seen)).kind).toBe('take'), {
      when: (_decision, { volume, attachment, paused }, { policy }) =>
        policy !== 'never' &&
        paused === undefined &&
        attachment.instanceId !== undefined &&
        !volume.multiAttach &&
        volume.attachments.length === 1,
    });
  });
});

describe('more suspicion', () => {
  const suspicions: [name: string, add: (seen: Observation) => Observation][] = [
    ['an impaired system check', (seen) => suspectBy(seen, { system: impaired() })],
    ['an impaired attached-EBS check', (seen) => suspectBy(seen, { attachedEbs: impaired() })],
    ['an impaired instance check', (seen) => suspectBy(seen, { instance: impaired() })],
    ['a lost agent', (seen) => ({ ...seen, testimony: [...seen.testimony, testimonyWith()] })],
  ];
  const suspectBy = (seen: Observation, checks: Partial<NonNullable<Observation['health']>>): Observation => ({
    ...seen,
    health: seen.health && { ...seen.health, ...checks },
  });

  it.each(suspicions)('%s never makes a decision go less far', (_, add) => {
    let further = 0;
    lawful(
      (rules, seen, decision) => {
        const later = decide(rules, add(seen));
        expect(reach[later.kind]).toBeGreaterThanOrEqual(reach[decision.kind]);
        if (later.kind !== decision.kind) further++;
      },
      { among: anySuspect, policy: 'stonith' },
    );
    expect(further).toBeGreaterThan(0);
  });

  it.each(suspicions)('%s proves nothing', (_, add) => {
    lawful((rules, seen) => expect(decide(rules, add(seen)).kind).not.toBe('take'), {
      when: ({ kind }) => kind !== 'take',
    });
  });
});

describe('a veto', () => {
  const addTestimony = (change: Partial<Testimony>) => (seen: Observation) => ({
    ...seen,
    testimony: [...seen.testimony, testimonyWith(change)],
  });
  const vetoes: [name: string, veto: (seen: Observation) => Observation][] = [
    ['a registered agent', addTestimony({ says: 'registered' })],
    ['another agent on the machine', addTestimony({ otherMemberThere: 'S3' })],
    ['a taker that is no member', addTestimony({ says: 'nothing', takerRegistered: false })],
    ['a scheduler that cannot be asked', addTestimony({ says: 'nothing', answered: false })],
    ['a storm', addTestimony({ suspects: 3, members: 14 })],
    ['an owner without the tag of the cluster', (seen) => withOwner(seen, { tags: {} })],
    ['an owner launched after the attachment', (seen) => withOwner(seen, { launchTime: '2026-01-02T03:59:59.000Z' })],
    [
      'a volume that goes with its instance',
      (seen) => ({ ...seen, attachment: { ...seen.attachment, deleteOnTermination: true } }),
    ],
    ['a record of another version', (seen) => withTags(seen, { [tagKeys.fenceLog]: '2 what this is' })],
    ['a volume taken three times within the hour', (seen) => withTags(seen, cappedTag)],
    ['the taker being the owner', (seen) => ({ ...seen, taker: 'i-a' })],
    ['a young attachment', (seen) => ({ ...seen, health: seen.health && { ...seen.health, answeredAt: young } })],
  ];
  const young = '2026-01-02T03:09:59.000Z';

  it.each(vetoes)('%s keeps a suspect from being stopped', (_, veto) => {
    lawful((rules, seen) => expect(['refuse', 'wait']).toContain(decide(rules, veto(seen)).kind), {
      among: anySuspect,
      policy: 'stonith',
      when: ({ kind }) => kind === 'stop',
    });
  });

  it.each(vetoes)('%s never delays a proof', (_, veto) => {
    lawful(
      // Where EC2 lists no owner, a veto must not make it list one.
      (rules, seen, decision) =>
        expect(decide(rules, { ...veto(seen), owner: seen.owner && veto(seen).owner })).toEqual(decision),
      { when: ({ kind }, seen) => kind === 'take' && !isClean(seen) },
    );
  });

  it('is no veto of a pull, but for a young attachment, the cap, an unknown format and ourselves', () => {
    lawful(
      (rules, seen) => {
        const pulled = vetoes.map(([name, veto]) => [name, decide(rules, veto(seen)).kind]);
        expect(pulled.filter(([, kind]) => kind !== 'pull')).toEqual([
          ['a record of another version', 'refuse'],
          ['a volume taken three times within the hour', 'refuse'],
          ['the taker being the owner', 'refuse'],
          ['a young attachment', 'wait'],
        ]);
      },
      { among: anySuspect, policy: 'preempt', when: ({ kind }) => kind === 'pull' },
    );
  });
});

describe('what is unknown', () => {
  it("an owner that EC2 does not list loses nothing without its own or an operator's word", () => {
    lawful((rules, seen) => expect(['refuse', 'wait']).toContain(decide(rules, { ...seen, owner: undefined }).kind), {
      when: (_, seen) => !isClean(seen) && confirmationOf(seen.volume.tags, seen.attachment) === undefined,
    });
  });

  it('nothing that may live is touched without an answer about its checks', () => {
    lawful(
      (rules, seen) => {
        expect(['refuse', 'wait', 'take']).toContain(decide(rules, { ...seen, health: undefined }).kind);
      },
      { among: anySuspect },
    );
  });

  it('a scheduler that says nothing suspects nobody', () => {
    lawful(
      (rules, seen) => {
        const { testimony: _, ...rest } = seen;
        const silent = { ...rest, testimony: [testimonyWith({ says: 'nothing', since: undefined })] };
        const alone = decide(rules, { ...rest, testimony: [] });
        expect(decide(rules, silent).kind).toBe(alone.kind);
      },
      { among: anySuspect, policy: 'stonith' },
    );
  });

  it('a scheduler suspects only whom the holder stamped on this very attachment', () => {
    fc.assert(
      fc.property(anySuspect, anyTestimony, (seen, testimony) => {
        const rules = { policy: 'stonith', suspicions: 3, cluster, settleMs: 60_000 } as const;
        const unstamped = without(seen, tagKeys.owner);
        expect(decide(rules, { ...unstamped, testimony: [testimony] }).kind).not.toBe('stop');
        const other = { ...withTags(seen, stamped), testimony: [{ ...testimony, identity: 'S9' }] };
        expect(decide(rules, other).kind).not.toBe('stop');
      }),
      { numRuns: 1000 },
    );
  });
});
