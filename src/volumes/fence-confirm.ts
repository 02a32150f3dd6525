import { tagKeys } from '../ebs/tags.ts';
import type { Attachment, EbsVolume } from '../ebs/types.ts';
import { DriverError } from '../errors.ts';
import { confirmationTag, readPause } from '../fencing/records.ts';
import { presentAttachment } from './fence-explain.ts';
import { noSuchVolume } from './hold.ts';
import type { Node } from './node.ts';

export interface Word {
  /** The instance that is said to be finished with the volume. */
  readonly victim: string;
  /** Not empty. */
  readonly reason: string;
}

/**
 * Records an operator's word about the volume's present attachment, in the audit and then in its tags.
 * @returns what happens now, in sentences. @throws DriverError INVALID_REQUEST unless the victim is its owner.
 */
export async function confirm(node: Node, name: string, { victim, reason }: Word): Promise<string> {
  const volume = await node.lookup.find(name);
  if (volume === undefined) throw noSuchVolume(name, 'confirm that its owner is finished with it');
  const { attachment, instanceId } = ownedBy(node, name, volume, victim);
  const { device, attachTime } = attachment;
  await node.fencing.audit.operated({
    act: 'confirm',
    reason,
    about: { volume: name, volumeId: volume.id, instanceId, device, attachTime },
  });
  await node.ec2.createTags(volume.id, {
    [tagKeys.confirmed]: confirmationTag({ victim, device, attachTime, reason }),
  });
  return next(node, name, volume, attachment);
}

/** The attachment of the instance that is named. */
function ownedBy(
  { instanceId: self }: Node,
  name: string,
  volume: EbsVolume,
  victim: string,
): { attachment: Attachment; instanceId: string } {
  const attachment = presentAttachment(volume);
  const instanceId = attachment?.instanceId;
  const refused = (why: string, todo: string) =>
    new DriverError('INVALID_REQUEST', {
      volume: name,
      tried: `confirm that ${victim} is finished with it`,
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

async function next(node: Node, name: string, volume: EbsVolume, attachment: Attachment): Promise<string> {
  const [owner, paused] = await Promise.all([
    node.ec2.describeInstance(attachment.instanceId ?? ''),
    node.ec2.findTagged(tagKeys.paused),
  ]);
  const sentences = [`It is confirmed that ${attachment.instanceId} is finished with ${JSON.stringify(name)}.`];
  if (node.fencing.rulesOf(volume.tags).policy === 'never') {
    sentences.push('But the fence policy is never, under which your word does not count: detach it by hand.');
  } else if (paused[0] !== undefined) {
    sentences.push(
      `But fencing is paused: ${readPause(paused[0].tags)}. It counts after docker-volume-ebs fence resume.`,
    );
  } else {
    sentences.push('The next mount takes it over; one that waits for it now goes on by itself.');
  }
  if (owner?.state === 'running') {
    sentences.push(
      `EC2 shows ${owner.id} as running: stop or terminate it before you mount. What it still writes when the volume is taken is lost.`,
    );
  }
  return sentences.join(' ');
}
