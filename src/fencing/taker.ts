/** What forbids this node itself to stop or rob others. */
import type { Attachment, Permission } from '../ebs/types.ts';
import { type Job, refused } from './job.ts';
import { lane } from './observe.ts';
import { intentsOf } from './records.ts';

/**
 * What this role may not do is found out before anything is announced. The check of permissions.ts cannot stand in for
 * it: that asks once a day about this node itself, and a policy may allow these calls for some instances and volumes only.
 * @throws DriverError ATTACHED_ELSEWHERE with EC2's words.
 */
export async function refuseDenied(job: Job, kind: 'stop' | 'pull', attachment: Attachment): Promise<void> {
  const { volumeId, instanceId = '', device } = attachment;
  const { ec2 } = job.context;
  const detach: Permission = { action: 'DetachVolume', key: { volumeId, instanceId, device } };
  const needed: Permission[] = kind === 'pull' ? [detach] : [{ action: 'StopInstances', instanceId }, detach];
  const denials = await Promise.all(needed.map((permission) => ec2.denied(permission, lane)));
  const why = denials.find((each) => each !== undefined);
  if (why === undefined) return;
  const actions = needed.map(({ action }) => `ec2:${action}`).join(' and ');
  const [what, byHand] =
    kind === 'pull'
      ? [`${volumeId} would be detached from ${instanceId}`, `stop ${instanceId}, and try again`]
      : [`${instanceId} would be stopped`, `stop ${instanceId} by hand, and try again`];
  const todo = `Allow ${actions} to the daemon's role, or ${byHand}`;
  throw refused(job, attachment, `${what}, but EC2 does not let this node: ${why}`, todo);
}

/**
 * A node that is itself being stopped, or about to be, is no judge of others. Of two nodes that suspect each other, the
 * one whose id sorts first goes on.
 * @throws DriverError ATTACHED_ELSEWHERE.
 */
export async function refuseUnderFence(job: Job, attachment: Attachment): Promise<void> {
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
