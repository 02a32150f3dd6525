/** What proves that an owner is finished with an attachment, and what is no proof yet or never. Pure. */
import { cleanMark, tagKeys } from '../ebs/tags.ts';
import type { Attachment, Instance } from '../ebs/types.ts';
import { confirmCommand } from './advice.ts';
import { confirmationOf, intentsOf } from './records.ts';
import { settleLeft } from './settle.ts';
import type { Evidence, Observation, Owned, Rules } from './types.ts';

type Proof = Exclude<Evidence, 'suspected' | 'preempted'>;

/** What is known of the owner. A reason or todo is a clause about it, without its subject. */
type OwnerFinding =
  | { readonly kind: 'proven'; readonly evidence: Proof; readonly reason: string; readonly settleMs: number }
  /** No proof now, but it may become one by itself. */
  | { readonly kind: 'changing'; readonly reason: string; readonly todo: string }
  /** Stopped in a way that does not show that its guest is over. */
  | { readonly kind: 'doubtful'; readonly reason: string; readonly todo: string }
  /** EC2 lists no such instance. */
  | { readonly kind: 'unlisted'; readonly reason: string; readonly todo: string }
  | { readonly kind: 'running'; readonly owner: Instance };

/** The owner's record; one of another instance is none. */
function ownerRecord({ owner, instanceId }: Owned): Instance | undefined {
  return owner?.id === instanceId ? owner : undefined;
}

/** Did the owner declare this very attachment finished? It says so once and for ever. */
export function isClean({ volume, attachment, instanceId }: Owned): boolean {
  return volume.tags[tagKeys.clean] === cleanMark({ ...attachment, instanceId });
}

/** Judges the owner by EC2's record of it and an operator's word. Proof once true stays true, so a stale read does no harm. */
export function findOwner(rules: Pick<Rules, 'settleMs'>, seen: Owned): OwnerFinding {
  const { volume, attachment, instanceId } = seen;
  const owner = ownerRecord(seen);
  const finding = owner === undefined ? unlisted(seen) : byState(rules, seen, owner);
  if (finding.kind === 'proven') return finding;
  const confirmed = confirmationOf(volume.tags, attachment);
  if (confirmed === undefined) return finding;
  return proven('confirmed', `an operator confirmed that ${instanceId} is finished with it: ${confirmed.reason}`, 0);
}

function unlisted(seen: Owned): OwnerFinding {
  return {
    kind: 'unlisted',
    reason: 'and EC2 lists no such instance, which does not prove that it is gone',
    todo: `Find out what became of ${seen.instanceId}; once it is surely gone, say so with ${confirmCommand(seen)}`,
  };
}

function byState({ settleMs }: Pick<Rules, 'settleMs'>, seen: Owned, owner: Instance): OwnerFinding {
  const forced = wasForced(seen.volume.tags, seen.attachment);
  const left = (): number => settleLeft(settleMs, owner, forced, seen.ownerOverAt);
  switch (owner.state) {
    case 'terminated':
      return proven('terminated', `${owner.id} is terminated`, left());
    case 'stopped':
      return judgeStopped(seen, owner, forced, left());
    case 'stopping':
      return changing(owner, `Try again once ${owner.id} is stopped: until then it may still write`);
    case 'shutting-down':
      return changing(owner, `Try again once ${owner.id} is terminated: until then it may still write`);
    case 'pending':
      return changing(owner, `Try again once ${owner.id} runs: its daemon releases what an earlier boot attached`);
    case 'running':
      return { kind: 'running', owner };
  }
}

/** Reasons EC2 gives for a stop (StateReason codes) that went through the guest's own shutdown. */
const shutdowns = new Set(['Client.UserInitiatedShutdown', 'Client.InstanceInitiatedShutdown']);
/** Stops by the host's side: the guest is over, but not by its own shutdown, and a failing host may still have writes. */
const hostStops = new Set(['Server.ScheduledStop', 'Server.SpotInstanceShutdown', 'Server.InternalError']);
/**
 * Starts that failed: the instance is stopped as before, by a stop that EC2 no longer names. A spot instance that hibernates
 * in the old way has hibernation not configured either, but its record names none of these.
 */
const failedStarts = new Set([
  'Server.InsufficientInstanceCapacity',
  'Client.InternalError',
  'Client.VolumeLimitExceeded',
  'Client.InvalidSnapshot.NotFound',
]);

function judgeStopped(seen: Owned, owner: Instance, forced: boolean, settleMs: number): OwnerFinding {
  const reason = owner.stateReason ?? 'no reason given';
  // Where hibernation is set up, only a reason that shows a shutdown tells that this was none.
  const byHost = (hostStops.has(reason) || failedStarts.has(reason)) && !owner.hibernationConfigured;
  if (!shutdowns.has(reason) && !byHost) {
    return {
      kind: 'doubtful',
      reason: `which is stopped (${reason}): that may be hibernation, from which it wakes with its mounts`,
      todo: `Terminate ${owner.id}; or, if it will surely not resume, say so with ${confirmCommand(seen)}`,
    };
  }
  if (!stoppedSince(seen, owner)) {
    return {
      kind: 'changing',
      reason: `which is stopped, but EC2's records of it and of the volume do not agree yet about their attachment`,
      todo: 'Try again in half a minute',
    };
  }
  if (byHost || forced) {
    return proven(
      'stopped-by-force',
      `${owner.id} has been stopped (${reason}, not by its own shutdown) since it attached the volume`,
      settleMs,
    );
  }
  return proven('stopped', `${owner.id} has been stopped since it attached the volume`, settleMs);
}

/** Is the owner's state newer than the attachment? One record that shows both tells, or a read late enough. */
function stoppedSince({ attachment, ownerReadLater = false }: Owned, owner: Instance): boolean {
  const disk = owner.disks.find(({ volumeId }) => volumeId === attachment.volumeId);
  if (disk === undefined) return ownerReadLater;
  return disk.attachTime === attachment.attachTime && disk.device === attachment.device;
}

/** EC2 does not tell a forced stop from another: a taker that forces one says so in its intent first. */
function wasForced(tags: Observation['volume']['tags'], attachment: Attachment): boolean {
  return intentsOf(tags, attachment).some(({ evidence }) => evidence === 'stopped-by-force');
}

function proven(evidence: Proof, reason: string, settleMs: number): OwnerFinding {
  return { kind: 'proven', evidence, reason, settleMs };
}

function changing(owner: Instance, todo: string): OwnerFinding {
  return { kind: 'changing', reason: `which is ${owner.state}`, todo };
}
