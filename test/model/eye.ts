/**
 * A taker's judgement: production's `decide()` on what the model's reads answered. A weakened taker is the same one with
 * a worse eye: it takes one thing that it read for another.
 */
import { cleanMark, tagKeys } from '../../src/ebs/tags.ts';
import type { InstanceHealth } from '../../src/ebs/types.ts';
import { decide } from '../../src/fencing/decide.ts';
import type { Decision, Observation, Rules } from '../../src/fencing/types.ts';
import { volumeWith } from '../support/fake-volume.ts';
import { instanceId, stampOf } from './catalogue.ts';
import type { World } from './world.ts';

export type Eye = (seen: Observation) => Observation;

export const sharp: Eye = (seen) => seen;

/** Believes that the record of the owner, whenever it was made, is about the attachment that it read elsewhere. */
export const separateReads: Eye = (seen) => ({
  ...seen,
  ownerReadLater: true,
  owner: seen.owner && { ...seen.owner, disks: [] },
});

/** Takes a hibernated owner for one that is shut down. */
export const hibernatedIsDead: Eye = (seen) => ({
  ...seen,
  owner: seen.owner && { ...seen.owner, stateReason: 'Client.UserInitiatedShutdown' },
});

/** Takes whatever does not run for dead, as Flocker does. */
export const stoppingIsDead: Eye = (seen) => ({
  ...seen,
  owner: seen.owner?.state === 'stopping' ? { ...seen.owner, state: 'stopped' } : seen.owner,
});

/** Reads no more of a clean tag than its attach time. */
export const cleanByTimeAlone: Eye = (seen) => {
  const { attachment, volume } = seen;
  const { instanceId: owner } = attachment;
  if (owner === undefined || !volume.tags[tagKeys.clean]?.endsWith(` ${attachment.attachTime}`)) return seen;
  const clean = cleanMark({ ...attachment, instanceId: owner });
  return { ...seen, volume: { ...volume, tags: { ...volume.tags, [tagKeys.clean]: clean } } };
};

/** Wrong for as long as it takes: whoever is alive is suspected all the same. */
const bad = { status: 'impaired', impairedSince: '2026-01-01T12:00:00Z' };
const ok = { status: 'ok', impairedSince: undefined };

function healthOf(owner: string): InstanceHealth {
  return { instanceId: owner, system: bad, instance: bad, attachedEbs: ok, answeredAt: '2026-01-02T00:00:00Z' };
}

/** What is decided; `wait` and `refuse` are alike to a taker here: it begins again. */
export type Verdict = 'take' | 'stop' | 'pull' | 'not now';

export interface Judge {
  /** By the volume and its tags alone. */
  byVolume(lease: number, tags: number): Verdict;
  /** By the owner's record; the tags have decided nothing. @param later was the record read Δ after the volume was? */
  byOwner(lease: number, record: number, later: boolean): Verdict;
}

/** Each combination is decided once. */
export function createJudge({ protocol, catalogue }: World): Judge {
  const rules: Rules = { policy: protocol.policy, suspicions: 2, cluster: 'c', settleMs: 60_000 };
  const verdicts = new Map<number, Verdict>();
  const judged = (key: number, observe: () => Observation): Verdict => {
    const known = verdicts.get(key);
    if (known !== undefined) return known;
    const verdict = verdictOf(decide(rules, protocol.eye(observe())));
    verdicts.set(key, verdict);
    return verdict;
  };
  const observation = (number: number, tags: Observation['volume']['tags']): Observation => {
    const lease = catalogue.lease(number);
    const { attachment } = lease;
    return {
      volume: volumeWith({ state: 'in-use', attachments: [attachment], tags: { ...stampOf(lease), ...tags } }),
      attachment,
      owner: undefined,
      health: healthOf(attachment.instanceId),
      testimony: [],
      paused: undefined,
      taker: instanceId('B'),
    };
  };
  return {
    byVolume: (lease, tags) =>
      judged((lease * 4096 + tags) * 4 + 3, () => observation(lease, catalogue.tagSet(tags).tags)),
    byOwner: (lease, record, later) =>
      judged((lease * 4096 + record) * 4 + Number(later), () => ({
        ...observation(lease, {}),
        owner: catalogue.record(record),
        ownerReadLater: later,
      })),
  };
}

function verdictOf({ kind }: Decision): Verdict {
  return kind === 'wait' || kind === 'refuse' ? 'not now' : kind;
}
