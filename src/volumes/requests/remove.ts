import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume } from '../../ebs/types.ts';
import { visibilityMs } from '../../ebs/volume-record.ts';
import { DriverError, isCode } from '../../errors.ts';
import { adoptMounted } from '../lifecycle/adopt.ts';
import { idle, release } from '../lifecycle/release.ts';
import { type Node, waiting } from '../state/node.ts';
import { detachedHere, retain } from './retain.ts';

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
    // Whoever looked before the name went and attaches after this looks again, and no read shows the name to them then.
    else if (left.holders.length === 0) node.scheduleRelease(name, left.removing ? visibilityMs : 1000);
  }
}

async function removeFree(node: Node, name: string): Promise<void> {
  const volume = await waiting(node, name, 'EC2 to tell which EBS volume has this name', () =>
    node.lookup.findSurely(name),
  );
  if (volume === undefined) return;
  if ((await adoptMounted(node, name, volume)) !== undefined)
    throw inUseHere(name, node.instanceId, 'it is mounted on this node for somebody whose record is lost');
  const { onRemove } = node.settings;
  if (onRemove === 'retain') await retain(node, name, volume);
  else {
    const free = await detachedHere(node, name, volume);
    if (onRemove === 'snapshot') await snapshotFirst(node, name, free);
    await deleteVolume(node, name, free);
  }
  node.names.removed(name, volume);
  node.log.info({ volume: name, volumeId: volume.id, onRemove }, 'removed');
}

/**
 * Ends what this node still has of the volume, a linger at once; refuses while somebody holds it. A volume that is to be
 * retained stays attached: the attachment is the lock under which its name goes.
 */
async function letGo(node: Node, name: string): Promise<void> {
  const held = node.held.get(name);
  if (held === undefined) return;
  if (held.holders.length > 0) {
    const who = held.holders.map(({ id }) => (id === null ? 'a caller without an id' : `mount ${id.slice(0, 12)}`));
    throw inUseHere(name, node.instanceId, `it is mounted on this node for ${who.join(', ')}`);
  }
  node.cancelRelease(name);
  const keepsLock = node.settings.onRemove === 'retain' && !held.removing;
  const outcome = await (keepsLock ? idle(node, name) : release(node, name));
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
