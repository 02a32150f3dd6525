import { tagKeys } from '../../ebs/tags.ts';
import type { Attachment, EbsVolume, Tags } from '../../ebs/types.ts';
import { attachmentOf, ownerText } from '../../ebs/volume-record.ts';
import { DriverError, isCode } from '../../errors.ts';
import { whenMade } from '../lifecycle/attach.ts';
import { attachFree } from '../lifecycle/attempt.ts';
import { releaseLeftover } from '../lifecycle/leftover.ts';
import { release } from '../lifecycle/release.ts';
import { isUnused } from '../state/duplicates.ts';
import type { Held } from '../state/held.ts';
import { keep, type Node, waiting } from '../state/node.ts';

const removing = (volume: EbsVolume) => ({ tried: `remove ${volume.id}`, again: 'remove it again' });

/**
 * The volume free of attachments; one of this instance is released. @param what is done with it, for the refusal.
 * @throws DriverError ATTACHED_ELSEWHERE, IN_USE_HERE.
 */
export async function detachedHere(
  node: Node,
  name: string,
  volume: EbsVolume,
  what: { readonly tried: string; readonly again: string } = removing(volume),
): Promise<EbsVolume> {
  const attachment = attachmentOf(volume);
  if (attachment === undefined) return volume;
  if (attachment.instanceId === node.instanceId) return releaseLeftover(node, name, volume, attachment);
  throw new DriverError('ATTACHED_ELSEWHERE', {
    volume: name,
    tried: what.tried,
    why: `it is attached to ${ownerText(attachment)} as ${attachment.device} (${attachment.state})`,
    todo: `${firstStep(attachment)}, then ${what.again}`,
  });
}

/** What frees a volume that another has: it may be on its way from there, with nobody who uses it. */
function firstStep({ instanceId, state }: Attachment): string {
  if (state === 'detaching' || state === 'detached') return 'Wait until EC2 has detached it';
  if (instanceId === undefined) return 'Stop the ECS or Fargate task that uses it';
  return `Stop the container that uses it on ${instanceId}, or wait a moment if none does any more`;
}

/** A volume as it is when its name is about to go: as the look under our attachment has shown it. */
export interface Locked {
  /** With the tags that say whose it is under our attachment. */
  readonly volume: EbsVolume;
  /** Made empty by this driver, and by all that is known nobody has ever attached it but we, now. */
  readonly unused: boolean;
}

/**
 * Takes the name off a volume that is kept, under an attachment of this node: a read that shows it free may be old, and
 * nobody else can mount it meanwhile. It is detached once no read shows the name any more.
 * @param more tags that it gets before.
 * @throws DriverError WRONG_ZONE where this node cannot attach it; ATTACHED_ELSEWHERE, NODE_FULL, EC2_*.
 */
export async function takeName(
  node: Node,
  name: string,
  volume: EbsVolume,
  more: (locked: Locked) => Tags = () => ({}),
): Promise<void> {
  const before = node.held.get(name);
  const lock = await lockHere(node, name, volume);
  // It may be nameless from here on: nothing is mounted under this attachment any more, also after a crash.
  if (lock !== undefined) await keep(node, { ...lock, phase: 'detaching', removing: true });
  const now = lock?.volume ?? volume;
  const unused = lock !== undefined && lock !== before && isUnused(volume) && isUnused(withoutClaim(now));
  // The new tag first: a crash between the two leaves a volume that is still found, and a second remove finishes.
  await waiting(node, name, `EC2 to tag ${volume.id} as retained`, async () => {
    const kept = { [tagKeys.retained]: volume.tags[tagKeys.name] ?? name, ...more({ volume: now, unused }) };
    await node.ec2.createTags(volume.id, kept);
    await node.ec2.deleteTags(volume.id, { [tagKeys.name]: undefined });
  });
}

/** As it was before we attached it, if we were the first. */
function withoutClaim(volume: EbsVolume): EbsVolume {
  const { [tagKeys.owner]: _, [tagKeys.epoch]: epoch, ...tags } = volume.tags;
  return { ...volume, attachments: [], tags: epoch === '1' || epoch === undefined ? tags : volume.tags };
}

/**
 * Our attachment of the volume, by which it is certain that it has the name. Undefined for one whose data is lost: nobody can
 * attach it. @throws DriverError as {@link takeName}.
 */
export async function lockHere(node: Node, name: string, volume: EbsVolume): Promise<Held | undefined> {
  const held = node.held.get(name);
  if (held?.volume.id === volume.id) return held;
  if (held !== undefined) await release(node, name);
  if (volume.state === 'error') return undefined;
  refuseOtherZone(node, name, volume);
  const free = await detachedHere(node, name, volume);
  try {
    const outcome = await attachFree(node, name, await whenMade(node, name, free), undefined);
    if ('held' in outcome) return outcome.held;
    await detachedHere(node, name, outcome.volume);
  } catch (error) {
    // Another node has removed it, or given the name to another volume.
    if (!isCode(error, 'NO_SUCH_VOLUME', 'EC2_NO_SUCH_VOLUME')) throw error;
  }
  throw new DriverError('STILL_WORKING', {
    volume: name,
    tried: `remove ${volume.id}`,
    why: 'somebody else attached it, or took its name off, at the same moment',
    todo: 'Try again',
  });
}

function refuseOtherZone(node: Node, name: string, { id, zone }: EbsVolume): void {
  if (zone === node.zone) return;
  throw new DriverError('WRONG_ZONE', {
    volume: name,
    tried: `remove ${id} and keep its data`,
    why: `its name is taken off under an attachment, so that nobody mounts it meanwhile; it is in ${zone} and this node is in ${node.zone}`,
    todo: `Ask for that on a node in ${zone}`,
  });
}
