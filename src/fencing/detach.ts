import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../ebs/tags.ts';
import type { Attachment, EbsVolume } from '../ebs/types.ts';
import { waitUntilDetached } from '../ebs/volume-waits.ts';
import { DriverError, isCode } from '../errors.ts';
import { decide } from './decide.ts';
import {
  doing,
  isKind,
  type Job,
  look,
  lookAtOwner,
  type Outcome,
  readVolume,
  type Sight,
  type SightOf,
  subjectOf,
} from './job.ts';
import { lane, stillThere } from './observe.ts';
import { sendInTime } from './send.ts';
import type { Looks } from './timings.ts';
import type { Evidence, Observation } from './types.ts';

/**
 * Detaches the volume from an owner that is finished with it, or that is to lose it (preempt). By force only after a
 * plain detach has had its time, and only from an owner that provably does not run, or that is to lose it.
 */
export async function detachOwner(job: Job, sight: SightOf<'take'> | SightOf<'pull'>): Promise<Outcome> {
  const { attachment } = sight.observation;
  const { evidence, reason } = sight.decision;
  const { detachLooks } = job.context.timings;
  const what = `EC2 to detach ${attachment.volumeId} from ${attachment.instanceId}, because ${reason}`;
  return doing(job, 'detach', what, lengthOf(detachLooks), async () => {
    if (!(await sendDetach(job, sight, evidence, false))) return 'again';
    const volume = await untilDetached(job, attachment, detachLooks);
    return volume === undefined ? forceDetach(job, attachment, evidence) : { volume, evidence };
  });
}

/** EC2 detaches a terminated owner by itself, and is told to only when it does not. */
export async function detachTerminated(job: Job, sight: SightOf<'take'>): Promise<Outcome> {
  const { attachment, volume } = sight.observation;
  const { vanishLooks } = job.context.timings;
  const what = `EC2 to detach ${attachment.volumeId} from ${attachment.instanceId}, which is terminated`;
  return doing(job, 'detach', what, lengthOf(vanishLooks), async () => {
    const free = await untilDetached(job, attachment, vanishLooks);
    if (free !== undefined) return { volume: free, evidence: 'terminated' };
    const now = await look(job, volume, attachment);
    return isKind(now, 'take') ? detachOwner(job, now) : 'again';
  });
}

/** A detach names volume, instance and device: if the owner has come back with a new attachment, it fails. */
async function sendDetach(job: Job, sight: Sight, evidence: Evidence, force: boolean): Promise<boolean> {
  const { attachment } = sight.observation;
  const { volumeId, instanceId = '', device } = attachment;
  const again = isKind(sight, 'take') && !force ? () => sameAgain(job, sight) : undefined;
  const call = { checked: sight, call: 'DetachVolume', evidence, force, again } as const;
  const sentBefore = job.detachSent;
  try {
    return await sendInTime(job, subjectOf(job, attachment), call, (options) => {
      job.detachSent = true;
      return job.context.ec2.detachVolume({ volumeId, instanceId, device }, force ? { ...options, force } : options);
    });
  } catch (error) {
    // Another node may have been quicker, or EC2 itself (a terminated owner): the wait that follows sees what is so.
    if (isCode(error, 'EC2_NOT_ATTACHED', 'EC2_INCORRECT_STATE')) return true;
    // These prove that it took no effect.
    if (isCode(error, 'EC2_DENIED', 'EC2_REJECTED', 'EC2_THROTTLED')) job.detachSent = sentBefore;
    throw error;
  }
}

/** Another look at an owner that is finished; undefined when it no longer says the same of the same boot. */
async function sameAgain(job: Job, before: SightOf<'take'>): Promise<Sight | undefined> {
  const now = await lookAtOwner(job, before);
  const sameBoot = now.observation.owner?.launchTime === before.observation.owner?.launchTime;
  return sameBoot && isKind(now, 'take') && now.decision.evidence === before.decision.evidence ? now : undefined;
}

/** The volume once the attachment is over; undefined when it is not after all these looks. */
export async function untilDetached(
  { context }: Job,
  attachment: Attachment,
  looks: readonly Looks[],
): Promise<EbsVolume | undefined> {
  const { instanceId = '' } = attachment;
  const reader = {
    describeVolume: (id: string, options?: object) => context.ec2.describeVolume(id, { ...options, ...lane }),
  };
  for (const { forMs, delayMs, everyMs } of looks) {
    const options = { timeoutMs: forMs, delayMs, intervalMs: everyMs };
    try {
      return await waitUntilDetached(reader, { ...attachment, instanceId }, options);
    } catch (error) {
      if (!isCode(error, 'STILL_WORKING')) throw error;
    }
  }
  return undefined;
}

async function forceDetach(job: Job, attachment: Attachment, evidence: Evidence): Promise<Outcome> {
  const { forcedDetachLooks } = job.context.timings;
  const { volumeId, instanceId } = attachment;
  const volume = await readVolume(job, volumeId);
  const same = stillThere(volume, attachment);
  if (same === undefined) return { volume, evidence };
  const now = await look(job, volume, same);
  const allowed = mayBePulled(job, now) ? now : await provenStopped(job, now);
  if (allowed === undefined) throw stuck(job, same, 'its owner is not proven to be stopped, so that it is not forced');
  const what = `EC2 to detach ${volumeId} from ${instanceId} by force, since a plain detach was not done in time`;
  return doing(job, 'detach', what, lengthOf(forcedDetachLooks), async () => {
    if (!(await sendDetach(job, allowed, evidence, true))) return 'again';
    const free = await untilDetached(job, same, forcedDetachLooks);
    if (free === undefined) throw stuck(job, same, 'a detach by force did not help either');
    return { volume: free, evidence };
  });
}

/** The policy preempt allows it still, the detach under way apart. */
function mayBePulled({ context }: Job, { observation }: Sight): boolean {
  const attachment = { ...observation.attachment, state: 'attached' } as const;
  return decide(context.rules, { ...observation, attachment }).kind === 'pull';
}

/** Two looks at the owner, apart, that prove by its state alone that it does not run, in the same boot. */
async function provenStopped(job: Job, first: Sight): Promise<Sight | undefined> {
  const { rules, timings } = job.context;
  if (!runsNothing(decide(rules, byStateAlone(first.observation)))) return undefined;
  await sleep(timings.recheckMs);
  const second = await lookAtOwner(job, first);
  const sameBoot = second.observation.owner?.launchTime === first.observation.owner?.launchTime;
  return sameBoot && runsNothing(decide(rules, byStateAlone(second.observation))) ? second : undefined;
}

/** Without what an owner that lives, or an operator, declared. */
function byStateAlone(observation: Observation): Observation {
  const { [tagKeys.clean]: _, [tagKeys.confirmed]: __, ...tags } = observation.volume.tags;
  return { ...observation, volume: { ...observation.volume, tags } };
}

function runsNothing(decision: ReturnType<typeof decide>): boolean {
  return decision.kind === 'take' && ['terminated', 'stopped', 'stopped-by-force'].includes(decision.evidence);
}

function stuck(job: Job, { volumeId, instanceId, device, state }: Attachment, why: string): DriverError {
  const error = new DriverError('STILL_WORKING', {
    volume: job.context.name,
    tried: `detach ${volumeId} from ${instanceId}`,
    why: `EC2 still shows it on ${instanceId} as ${device} (${state}), and ${why}`,
    todo: `See that ${instanceId} is stopped or terminated, then try again; if it is, ask AWS support about the attachment`,
  });
  job.context.log.error(
    { op: 'fence', fenceId: job.fenceId, err: error },
    'EC2 does not finish a detach: an operator is needed',
  );
  return error;
}

const lengthOf = (looks: readonly Looks[]): number => looks.reduce((sum, { forMs }) => sum + forMs, 0);
