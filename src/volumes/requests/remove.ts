import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume } from '../../ebs/types.ts';
import { attachmentOf, ownerText } from '../../ebs/volume-record.ts';
import { DriverError, isCode } from '../../errors.ts';
import { adoptMounted } from '../lifecycle/adopt.ts';
import { releaseLeftover } from '../lifecycle/leftover.ts';
import { release } from '../lifecycle/release.ts';
import { findVolume, type Node, waiting } from '../state/node.ts';

/**
 * Removes a volume as the onRemove setting says. One that EC2 says is not there is success.
 * @throws DriverError IN_USE_HERE, ATTACHED_ELSEWHERE, AMBIGUOUS_NAME, EC2_*; nothing is removed then.
 */
export async function removeVolume(node: Node, name: string): Promise<void> {
  try {
    await letGo(node, name);
    await removeFree(node, name);
  } finally {
    // What could not be let go now is tried again: letting go has taken the release off the keeper's hands.
    const left = node.held.get(name);
    if (left === undefined) node.waits.delete(name);
    else if (left.holders.length === 0) node.scheduleRelease(name, 1000);
  }
}

async function removeFree(node: Node, name: string): Promise<void> {
  const volume = await findVolume(node, name);
  if (volume === undefined) return;
  if ((await adoptMounted(node, name, volume)) !== undefined)
    throw inUseHere(name, node.instanceId, 'it is mounted on this node for somebody whose record is lost');
  const free = await detachedHere(node, name, volume);
  const { onRemove } = node.settings;
  if (onRemove === 'snapshot') await snapshotFirst(node, name, free);
  if (onRemove === 'retain') await retain(node, name, free);
  else await deleteVolume(node, name, free);
  node.names.removed(name, free);
  node.log.info({ volume: name, volumeId: free.id, onRemove }, 'removed');
}

/** Ends what this node still has of the volume, a linger at once; refuses while somebody holds it. */
async function letGo(node: Node, name: string): Promise<void> {
  const held = node.held.get(name);
  if (held === undefined) return;
  if (held.holders.length > 0) {
    const who = held.holders.map(({ id }) => (id === null ? 'a caller without an id' : `mount ${id.slice(0, 12)}`));
    throw inUseHere(name, node.instanceId, `it is mounted on this node for ${who.join(', ')}`);
  }
  node.cancelRelease(name);
  const outcome = await release(node, name);
  if (typeof outcome === 'string') return;
  throw inUseHere(name, node.instanceId, `${outcome.blockedBy} on this node`);
}

function inUseHere(name: string, instanceId: string, why: string): DriverError {
  return new DriverError('IN_USE_HERE', {
    volume: name,
    tried: 'remove it',
    why,
    todo: `Stop the container that uses it on ${instanceId}, then remove it again`,
  });
}

async function detachedHere(node: Node, name: string, volume: EbsVolume): Promise<EbsVolume> {
  const attachment = attachmentOf(volume);
  if (attachment === undefined) return volume;
  if (attachment.instanceId === node.instanceId) return releaseLeftover(node, name, volume, attachment);
  throw new DriverError('ATTACHED_ELSEWHERE', {
    volume: name,
    tried: `remove ${volume.id}`,
    why: `it is attached to ${ownerText(attachment)} as ${attachment.device} (${attachment.state})`,
    todo: `Stop the containers that use it on ${attachment.instanceId ?? 'that resource'}, then remove it again`,
  });
}

async function deleteVolume(node: Node, name: string, volume: EbsVolume): Promise<void> {
  try {
    await waiting(node, name, `EC2 to delete ${volume.id}`, () => node.ec2.deleteVolume(volume.id));
  } catch (error) {
    if (!isCode(error, 'EC2_NO_SUCH_VOLUME')) throw error;
  }
}

async function snapshotFirst(node: Node, name: string, volume: EbsVolume): Promise<void> {
  const snapshotId = await waiting(node, name, `a snapshot of ${volume.id}`, () =>
    node.ec2.createSnapshot(volume.id, `docker-volume-ebs: ${name} when it was removed`.slice(0, 255), {
      [tagKeys.displayName]: volume.tags[tagKeys.displayName] ?? name,
      [tagKeys.cluster]: node.settings.cluster,
      [tagKeys.retained]: volume.tags[tagKeys.name] ?? name,
    }),
  );
  node.log.info({ volume: name, volumeId: volume.id, snapshotId }, 'snapshot taken before removing');
}

/** The new tag first: a crash between the two leaves a volume that is still found, and a second remove finishes. */
async function retain(node: Node, name: string, volume: EbsVolume): Promise<void> {
  const retained = volume.tags[tagKeys.name] ?? name;
  await waiting(node, name, `EC2 to tag ${volume.id} as retained`, async () => {
    await node.ec2.createTags(volume.id, { [tagKeys.retained]: retained });
    await node.ec2.deleteTags(volume.id, { [tagKeys.name]: undefined });
  });
}
