/**
 * How long writes of an instance that is over may still arrive. AWS tells of them after a stop by force ("How Amazon EC2
 * instance stop works"), and EC2 does not show which stops were by force. Pure.
 */
import type { Instance } from '../ebs/types.ts';
import type { OwnerRecord } from './types.ts';

/** The one reason for a stop or termination (StateReason) that shows that the guest ended itself. */
const ownShutdown = 'Client.InstanceInitiatedShutdown';
/** EC2's times have whole seconds, cut off: what they tell apart may be a second more. */
const cutOffMs = 1000;

export const isOver = ({ state }: Instance): boolean => state === 'stopped' || state === 'terminated';

/**
 * What is left to wait, in milliseconds, for the late writes of an instance that is stopped or terminated; 0 after its
 * guest's own shutdown. EC2's times are compared with EC2's alone; where it tells none, the whole time is left.
 * @param settleMs how long after its end they may arrive.
 * @param forced a taker announced that it stops it by force: when it did so, nothing tells.
 * @param overAt as Observation.ownerOverAt; without, the time that EC2 tells of its stop counts.
 */
export function settleLeft(settleMs: number, owner: Instance, forced: boolean, overAt: string | undefined): number {
  if (owner.stateReason === ownShutdown && !forced) return 0;
  const end = Date.parse(overAt ?? (forced ? '' : (owner.stopAskedAt ?? '')));
  const left = end + settleMs + cutOffMs - Date.parse(owner.answeredAt ?? '');
  return Number.isNaN(left) ? settleMs : Math.min(Math.max(left, 0), settleMs);
}

/**
 * The same of an instance that had a volume which nobody has now, and did not declare that attachment finished: EC2
 * detaches the volumes of one that is terminated. One that runs, or that EC2 does not list (any more), leaves nothing to wait for.
 */
export function settleLeftOfFormer(
  settleMs: number,
  { instanceId }: OwnerRecord,
  former: Instance | undefined,
): number {
  if (former?.id !== instanceId) return 0;
  if (isOver(former)) return settleLeft(settleMs, former, false, undefined);
  const isEnding = former.state === 'stopping' || former.state === 'shutting-down';
  return isEnding && former.stateReason !== ownShutdown ? settleMs : 0;
}
