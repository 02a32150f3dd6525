import { tagKeys } from '../../ebs/tags.ts';
import type { Attachment, EbsVolume, Instance } from '../../ebs/types.ts';
import { attachmentOf } from '../../ebs/volume-record.ts';
import { DriverError } from '../../errors.ts';
import { confirmationTag, readPause } from '../../fencing/records.ts';
import type { FencePolicy } from '../../fencing/types.ts';
import { noSuchVolume } from '../state/lookup.ts';
import { findVolume, type Node } from '../state/node.ts';

interface Word {
  /** The instance that is said to be finished with the volume. */
  readonly victim: string;
  /** Not empty. */
  readonly reason: string;
  /** The operator knows better than EC2, which shows it as running or on its way there or from there. */
  readonly evenIfRunning: boolean;
}

/**
 * Records an operator's word about the volume's present attachment, in the audit and then in its tags: a mount that waits
 * acts on it at once, so everything that speaks against it is read before.
 * @returns what happens now, in sentences.
 * @throws DriverError INVALID_REQUEST unless the victim is its owner, or while it may still run; EC2_* where EC2 does not
 * tell.
 */
export async function confirm(node: Node, name: string, word: Word): Promise<string> {
  const { ec2, fencing } = node;
  const { victim, reason, evenIfRunning } = word;
  const volume = await findVolume(node, name);
  if (volume === undefined) throw noSuchVolume(name, tried(victim));
  const { attachment, instanceId } = ownedBy(node, name, volume, victim);
  const [owner, pausing] = await Promise.all([ec2.describeInstance(instanceId), ec2.findTagged(tagKeys.paused)]);
  if (mayRun(owner) && !evenIfRunning) throw stillRuns(name, owner);
  const { device, attachTime } = attachment;
  await fencing.audit.operated({
    act: 'confirm',
    reason,
    about: { volume: name, volumeId: volume.id, instanceId, device, attachTime },
    ownerState: owner?.state ?? 'not listed',
  });
  await ec2.createTags(volume.id, { [tagKeys.confirmed]: confirmationTag({ victim, device, attachTime, reason }) });
  const { policy } = fencing.rulesOf(volume.tags);
  return [
    `It is confirmed that ${instanceId} is finished with ${JSON.stringify(name)}.`,
    next(policy, pausing[0] && readPause(pausing[0].tags)),
    ...(mayRun(owner)
      ? [`EC2 shows ${owner.id} as ${owner.state}: what it still writes when the volume is taken is lost.`]
      : []),
  ].join(' ');
}

const tried = (victim: string) => `confirm that ${victim} is finished with it`;

/** Whether something may still write on it. A stopped one may wake from hibernation: that it will not is the operator's to say. */
function mayRun(owner: Instance | undefined): owner is Instance {
  return owner !== undefined && owner.state !== 'stopped' && owner.state !== 'terminated';
}

function stillRuns(name: string, { id, state }: Instance): DriverError {
  const end = state === 'shutting-down' ? 'terminated' : 'stopped';
  const first =
    state === 'running' || state === 'pending'
      ? `Stop or terminate ${id}, and mount it then`
      : `Wait until ${id} is ${end}: a mount that waits goes on by itself then`;
  return new DriverError('INVALID_REQUEST', {
    volume: name,
    tried: tried(id),
    why: `EC2 shows ${id} as ${state}: what it still writes would be lost`,
    todo: `${first}. Only if you know that it will never write again, as on hardware that is out of reach, say so with --even-if-running`,
  });
}

/** The attachment of the instance that is named. */
function ownedBy(
  { instanceId: self }: Node,
  name: string,
  volume: EbsVolume,
  victim: string,
): { attachment: Attachment; instanceId: string } {
  const attachment = attachmentOf(volume);
  const instanceId = attachment?.instanceId;
  const refused = (why: string, todo: string) =>
    new DriverError('INVALID_REQUEST', {
      volume: name,
      tried: tried(victim),
      why,
      todo,
    });
  if (attachment === undefined) throw refused('nobody has it', 'Mount it: nothing needs to be confirmed');
  if (instanceId === undefined) {
    throw refused('a resource that AWS manages has it', 'Stop the ECS or Fargate task that uses it');
  }
  if (instanceId !== victim) {
    throw refused(`its owner is ${instanceId}`, `Look again at what you know of ${instanceId}, and name that one`);
  }
  if (instanceId === self) {
    throw refused('that is this node itself', 'Stop the container that uses it here, or run docker-volume-ebs drain');
  }
  return { attachment, instanceId };
}

/** @param paused why fencing is paused. */
function next(policy: FencePolicy, paused: string | undefined): string {
  if (policy === 'never') {
    return 'But the fence policy is never, under which your word does not count: once the instance is stopped or terminated, detach the volume by hand.';
  }
  if (paused !== undefined) {
    return `But fencing is paused: ${paused}. It counts after docker-volume-ebs fence resume.`;
  }
  return 'The next mount takes it over; one that waits for it now goes on by itself.';
}
