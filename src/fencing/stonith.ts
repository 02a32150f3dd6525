import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../ebs/tags.ts';
import type { Attachment, Instance } from '../ebs/types.ts';
import { type DriverError, isCode } from '../errors.ts';
import { announce, announced } from './intents.ts';
import { doing, type Job, type Outcome, refused, type Sight, type SightOf, subjectOf } from './job.ts';
import { intentsOf } from './records.ts';
import { sendInTime } from './send.ts';
import { pauseBefore } from './timings.ts';

/**
 * Tells a suspected owner to stop, gracefully: one that lives loses nothing. What follows is judged anew: it is stopped
 * then, since its attachment was made, and whoever sees that can go on.
 * @throws DriverError ATTACHED_ELSEWHERE when something forbids it.
 */
export async function stopOwner(job: Job, first: SightOf<'stop'>): Promise<Outcome> {
  const { attachment } = first.observation;
  const sight = await announced(job, 'stop', first);
  if (sight === undefined) return 'again';
  return doing(job, 'stop', `EC2 to accept that ${attachment.instanceId} stops`, job.context.timings.sendMs, () =>
    sendStop(job, sight, false),
  );
}

/**
 * Is it time to stop an owner by force, which was told to stop before, by this taker or by one that announced it and
 * may have crashed since?
 */
export function isOverdue(job: Job, { observation }: Sight, waitedMs: number): boolean {
  const { attachment, owner, volume, paused } = observation;
  const { rules, timings } = job.context;
  if (rules.policy !== 'stonith' || owner?.state !== 'stopping' || paused !== undefined) return false;
  if (waitedMs < timings.gracefulMs) return false;
  // One that came too late was perhaps never sent.
  if (job.stopped?.force === true && job.lateSince === undefined) return false;
  // One that announced a stop by force may have crashed before it sent it.
  const told = intentsOf(volume.tags, attachment).some(
    ({ launchTime, policy }) => launchTime === owner.launchTime && policy === 'stonith',
  );
  return told || job.stopped !== undefined;
}

/**
 * The second StopInstances. The intent says so first: after it, whoever takes the volume waits for late writes. The call
 * itself is for the next round: to write that may take longer than a look stays fresh.
 */
export async function stopByForce(job: Job, sight: Sight): Promise<Outcome> {
  return (await announce(job, sight, 'stopped-by-force')) ? 'again' : sendStop(job, sight, true);
}

async function sendStop(job: Job, sight: Sight, force: boolean): Promise<Outcome> {
  const { attachment, owner } = sight.observation;
  const { context } = job;
  if (owner === undefined || !mayBeStopped(job, owner, attachment)) {
    const todo = `Tag the instances that may be stopped with ${tagKeys.cluster}, or stop this one by hand`;
    throw refused(
      job,
      attachment,
      `${attachment.instanceId} does not belong to the cluster ${context.rules.cluster}`,
      todo,
    );
  }
  const evidence = force ? 'stopped-by-force' : 'suspected';
  const call = { checked: sight, call: 'StopInstances', evidence, force } as const;
  const told = job.stopped;
  try {
    const sent = await sendInTime(job, subjectOf(job, attachment), call, (options) => {
      job.stopped = { at: performance.now(), force };
      return context.ec2.stopInstance(owner.id, force ? { ...options, force } : options);
    });
    if (sent) job.wait = undefined;
  } catch (error) {
    if (isCode(error, 'EC2_REJECTED', 'EC2_DENIED')) throw notStopped(job, attachment, told, error);
    // It stops already, or is gone: fresh evidence tells.
    if (!isCode(error, 'EC2_INCORRECT_STATE', 'EC2_NO_SUCH_INSTANCE')) throw error;
  }
  return 'again';
}

/** EC2 will not stop it, as one whose stop is disabled: this call told it nothing, so that the intent need not stay. */
function notStopped(job: Job, attachment: Attachment, told: Job['stopped'], cause: DriverError): DriverError {
  job.stopped = told;
  const { instanceId } = attachment;
  const why = `${instanceId} is to be stopped, but EC2 refuses that: ${cause.parts.why}`;
  return refused(job, attachment, why, `Let ${instanceId} be stopped (stop protection, permissions), or terminate it`);
}

/** The cluster's tag, looked at once more on the very record that the call is based on. */
function mayBeStopped({ context }: Job, owner: Instance, { instanceId }: Attachment): boolean {
  return owner.id === instanceId && owner.tags[tagKeys.cluster] === context.rules.cluster;
}

/**
 * At most so many takeovers of a node stop an instance.
 * @returns false without a place, after a wait: another of them may have stopped this very owner meanwhile.
 */
export async function takePlace(job: Job): Promise<boolean> {
  const { stops, timings } = job.context;
  job.leave ??= stops.take();
  if (job.leave !== undefined) return true;
  const pause = pauseBefore(timings.waitLooksMs, Number.POSITIVE_INFINITY);
  const done = new AbortController();
  await doing(job, undefined, 'other takeovers of this node to stop their instances', pause, () =>
    Promise.race([stops.freed(), sleep(pause, undefined, { signal: done.signal }).catch(() => undefined)]),
  );
  done.abort();
  return false;
}

/** Gives the place back once nothing that this takeover told to stop is still to. */
export function leavePlace(job: Job, { observation }: Sight): void {
  const state = observation.owner?.state;
  if (job.stopped !== undefined && state !== 'stopped' && state !== 'terminated') return;
  job.leave?.();
  job.leave = undefined;
}
