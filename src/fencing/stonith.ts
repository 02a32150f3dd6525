import { tagKeys } from '../ebs/tags.ts';
import type { Attachment, Instance } from '../ebs/types.ts';
import { type DriverError, isCode } from '../errors.ts';
import { dampedUntil } from './damping.ts';
import { announce, announced } from './intents.ts';
import { doing, type Job, type Outcome, refused, type Sight, type SightOf, sendInTime, subjectOf } from './job.ts';
import { lane } from './observe.ts';
import { intentsOf, readFenceLog } from './records.ts';

/**
 * Tells a suspected owner to stop, gracefully: one that lives loses nothing. What follows is judged anew: it is stopped
 * then, since its attachment was made, and whoever sees that can go on.
 * @throws DriverError ATTACHED_ELSEWHERE when something forbids it.
 */
export async function stopOwner(job: Job, first: SightOf<'stop'>): Promise<Outcome> {
  const { attachment } = first.observation;
  refuseDamped(job, first);
  if (!(await takePlace(job))) return 'again';
  await refuseDenied(job, attachment);
  const sight = await announced(job, 'stop', first);
  if (sight === undefined) return 'again';
  await refuseUnderFence(job, attachment);
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
  if (waitedMs < timings.gracefulMs || job.stopped?.force === true) return false;
  // One that announced a stop by force may have crashed before it sent it.
  const told = intentsOf(volume.tags, attachment).some(
    ({ launchTime, policy }) => launchTime === owner.launchTime && policy === 'stonith',
  );
  return told || job.stopped !== undefined;
}

/** The second StopInstances. The intent says so first: after it, whoever takes the volume waits for late writes. */
export async function stopByForce(job: Job, sight: Sight): Promise<Outcome> {
  await announce(job, sight, 'stopped-by-force');
  return sendStop(job, sight, true);
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
  const call = { checked: sight.at, call: 'StopInstances', evidence, force } as const;
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

/** Two sick nodes must not pass a volume to and fro. */
export function refuseDamped(job: Job, { observation }: Sight): void {
  const { volume, health, attachment } = observation;
  const until = dampedUntil(readFenceLog(volume.tags), health?.answeredAt ?? new Date().toISOString());
  if (until === undefined) return;
  const why = 'it was taken from owners that perhaps lived three times within an hour';
  throw refused(job, attachment, why, `Find out why its owners fail; it is taken again after ${until}`);
}

/** At most so many takeovers of a node stop an instance. @returns false after a wait, which makes evidence old. */
async function takePlace(job: Job): Promise<boolean> {
  if (job.leave !== undefined) return true;
  const { stops, timings } = job.context;
  job.leave = stops.take();
  if (job.leave !== undefined) return true;
  await doing(job, undefined, 'other takeovers of this node to stop their instances', timings.waitMs, async () => {
    while (job.leave === undefined) {
      await stops.freed();
      job.leave = stops.take();
    }
  });
  return false;
}

/** What this role may not do is found out before anything is announced. */
async function refuseDenied(job: Job, attachment: Attachment): Promise<void> {
  const { volumeId, instanceId = '', device } = attachment;
  const { ec2 } = job.context;
  const denials = await Promise.all([
    ec2.denied({ action: 'StopInstances', instanceId }, lane),
    ec2.denied({ action: 'DetachVolume', key: { volumeId, instanceId, device } }, lane),
  ]);
  const why = denials.find((each) => each !== undefined);
  if (why === undefined) return;
  const todo = `Allow ec2:StopInstances and ec2:DetachVolume to the daemon's role, or stop ${instanceId} by hand`;
  throw refused(job, attachment, `${instanceId} would be stopped, but EC2 does not let this node: ${why}`, todo);
}

/**
 * A node that is itself being stopped, or about to be, is no judge of others. Of two nodes that suspect each other, the
 * one whose id sorts first goes on.
 */
async function refuseUnderFence(job: Job, attachment: Attachment): Promise<void> {
  const { ec2, instanceId } = job.context;
  const [self, volumes] = await Promise.all([ec2.describeInstance(instanceId, lane), ec2.listVolumes(lane)]);
  const todo = 'Mount the volume on another node';
  if (self?.state !== 'running') {
    throw refused(job, attachment, `this node itself is ${self?.state ?? 'not listed by EC2'}`, todo);
  }
  const against = volumes.flatMap(({ tags, attachments }) =>
    attachments.filter((each) => each.instanceId === instanceId).flatMap((each) => intentsOf(tags, each)),
  );
  const superior = against.find(({ taker }) => taker !== attachment.instanceId || taker < instanceId);
  if (superior === undefined) return;
  throw refused(
    job,
    attachment,
    `${superior.taker} is about to take a volume from this node (${superior.fenceId})`,
    todo,
  );
}
