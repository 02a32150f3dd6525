import { cleanMark, tagKeys } from '../ebs/tags.ts';
import type { Attachment, EbsVolume, Instance } from '../ebs/types.ts';

export type FencePolicy = 'never' | 'instance-not-running';

/** What was observed at one moment about a volume that another instance has. */
export interface Observation {
  readonly volume: EbsVolume;
  /** The attachment that the evidence is about. */
  readonly attachment: Attachment;
  /** The owner's record; undefined when EC2 listed none, which proves nothing. */
  readonly owner: Instance | undefined;
}

export type Evidence =
  /** The owner declared this attachment finished (the clean tag names it). */
  | 'clean'
  /** The owner is terminated; EC2 detaches by itself. */
  | 'terminated'
  /** The owner has been stopped since this attachment was made, by one record that shows both. */
  | 'stopped';

export type Decision =
  | { readonly kind: 'take'; readonly evidence: Evidence; readonly reason: string }
  | { readonly kind: 'refuse'; readonly reason: string; readonly todo: string };

/**
 * May this volume be taken from its owner? Pure: the same observation gives the same answer. Only what stays true once
 * it is true counts as evidence, so that acting on a stale read does no harm.
 */
export function decide(policy: FencePolicy, { volume, attachment, owner }: Observation): Decision {
  const who = `${attachment.instanceId ?? 'a resource that AWS manages'} (device ${attachment.device}, since ${attachment.attachTime})`;
  if (attachment.instanceId === undefined) {
    return refuse(
      `it is attached to ${who}, which cannot be detached through EC2`,
      'Stop the ECS or Fargate task that uses it',
    );
  }
  if (volume.multiAttach || volume.attachments.length > 1) {
    return refuse(
      `it is a Multi-Attach volume, attached to ${volume.attachments.map((each) => each.instanceId).join(' and ')}`,
      'Detach it everywhere and turn Multi-Attach off: a filesystem on it has one writer',
    );
  }
  const { instanceId } = attachment;
  if (volume.tags[tagKeys.clean] === cleanMark({ ...attachment, instanceId })) {
    return take('clean', `${instanceId} declared this attachment finished`);
  }
  if (policy === 'never') {
    return refuse(
      `it is attached to ${who} and the fence policy is never`,
      `Detach it from ${attachment.instanceId} by hand`,
    );
  }
  return judgeOwner(attachment, attachment.instanceId, owner, who);
}

function judgeOwner(attachment: Attachment, instanceId: string, owner: Instance | undefined, who: string): Decision {
  if (owner === undefined) {
    return refuse(
      `it is attached to ${who}, and EC2 lists no such instance, which does not prove that it is gone`,
      `Find out what became of ${instanceId}; when it is surely gone, detach the volume by hand`,
    );
  }
  if (owner.state === 'terminated') return take('terminated', `${instanceId} is terminated`);
  if (owner.state !== 'stopped') {
    return refuse(`it is attached to ${who}, which is ${owner.state}`, whatToDo(owner));
  }
  return judgeStopped(attachment, owner, who);
}

/** Reasons EC2 gives for a stop after which the guest runs nothing more. A hibernated guest wakes with its mounts. */
const finalStops = new Set(['Client.UserInitiatedShutdown', 'Client.InstanceInitiatedShutdown']);

function judgeStopped(attachment: Attachment, owner: Instance, who: string): Decision {
  if (owner.stateReason === undefined || !finalStops.has(owner.stateReason)) {
    const reason = owner.stateReason ?? 'no reason given';
    return refuse(
      `it is attached to ${who}, which is stopped (${reason}): that may be hibernation, or a host that still writes`,
      `Terminate ${owner.id}, or detach the volume by hand once you know that it will not resume`,
    );
  }
  const disk = owner.disks.find((each) => each.volumeId === attachment.volumeId);
  const joint = disk?.attachTime === attachment.attachTime && disk.device === attachment.device;
  if (!joint) {
    return refuse(
      `EC2's records of ${owner.id} and of the volume do not agree yet about their attachment`,
      'Try again in half a minute',
    );
  }
  return take('stopped', `${owner.id} has been stopped since it attached the volume`);
}

function whatToDo(owner: Instance): string {
  if (owner.state === 'stopping' || owner.state === 'shutting-down') {
    return `Try again once ${owner.id} is ${owner.state === 'stopping' ? 'stopped' : 'terminated'}: until then it may still write`;
  }
  return `Stop the containers that use it there; if ${owner.id} has failed, stop or terminate the instance and try again`;
}

function take(evidence: Evidence, reason: string): Decision {
  return { kind: 'take', evidence, reason };
}

function refuse(reason: string, todo: string): Decision {
  return { kind: 'refuse', reason, todo };
}
