import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume, Tags } from '../../ebs/types.ts';
import { DriverError, isCode } from '../../errors.ts';
import { removalMark, takeSnapshot } from '../copies/removals.ts';
import { putIntoTrash } from '../copies/trash.ts';
import { adoptMounted } from '../lifecycle/adopt.ts';
import { idle, release } from '../lifecycle/release.ts';
import { refuseRescued } from '../lifecycle/rescue.ts';
import { heldUnrecorded, type StillHeld, stillHeld } from '../lifecycle/still-held.ts';
import { detachedHere, lockHere, takeName } from '../names/take-name.ts';
import { type OnRemove, removals } from '../options/options.ts';
import { type Node, waiting } from '../state/node.ts';
import { replacementIn } from '../state/succession.ts';

/** dockerd waits 60 s for a removal, and the wire answers a little earlier. */
const departMs = 45_000;

/**
 * Removes a volume as its option onRemove says, or the node's setting. One that EC2 says is not there is success.
 * @param careful what would be deleted at once goes into the trash.
 * @throws DriverError IN_USE_HERE, ATTACHED_ELSEWHERE, AMBIGUOUS_NAME, EC2_*; nothing is removed then.
 */
export async function removeVolume(node: Node, name: string, careful = false): Promise<void> {
  try {
    await letGo(node, name);
    await removeFree(node, name, careful);
    node.trash.sweep();
  } finally {
    // What could not be let go now is tried again: letting go has taken the release off the keeper's hands.
    const left = node.held.get(name);
    if (left === undefined && !node.departures.has(name)) node.waits.delete(name);
    // Whoever looked before the name went and attaches after this looks again, and no read shows the name to them then.
    if (left?.holders.length === 0) node.scheduleRelease(name, left.removing ? node.visibleMs : 1000);
  }
}

async function removeFree(node: Node, name: string, careful: boolean): Promise<void> {
  const volume = await waiting(node, name, 'EC2 to tell which EBS volume has this name', () =>
    node.lookup.findSurely(name),
  );
  if (volume === undefined) return;
  if ((await adoptMounted(node, name, volume)) !== undefined) throw inUseHere(name, heldUnrecorded(node));
  const own = removalOf(node, volume.tags);
  const onRemove = careful && own === 'delete' ? 'trash' : own;
  // EC2 can read one in this state no more: there is nothing to keep of it.
  const how = volume.state === 'error' && onRemove !== 'retain' ? 'delete' : onRemove;
  const isLeaving = volume.tags[tagKeys.leaving] !== undefined;
  const departs = isLeaving || (how === 'trash' && volume.zone !== node.zone);
  await (departs ? depart : removeAs[how])(node, name, volume);
  node.names.removed(name, volume);
  node.log.info({ volume: name, volumeId: volume.id, onRemove }, 'removed');
}

const removeAs: Readonly<Record<OnRemove, (node: Node, name: string, volume: EbsVolume) => Promise<void>>> = {
  trash: putIntoTrash,
  retain: takeName,
  snapshot: deleteAfterSnapshot,
  delete: async (node, name, volume) => {
    // Deleted before a rollback of it has ended, it would leave the other volume with the name.
    if (replacementIn(volume) !== undefined && (await lockHere(node, name, volume)) !== undefined)
      await release(node, name);
    return deleteVolume(node, name, await detachedHere(node, name, volume));
  },
};

/** What a removal does to a volume: its own option before the node's setting. A tag that says something else keeps the data. */
function removalOf({ settings }: Node, tags: Tags): OnRemove {
  const own = tags[tagKeys.onRemove];
  return own === undefined ? settings.onRemove : (removals.find((known) => known === own) ?? 'trash');
}

/**
 * Ends what this node still has of the volume, a linger at once; refuses while somebody holds it. A volume that is kept
 * without its name, for a while or for good, stays attached: the attachment is the lock under which its name goes.
 */
async function letGo(node: Node, name: string): Promise<void> {
  const held = node.held.get(name);
  if (held === undefined) return;
  refuseRescued(node, held, 'remove it');
  if (held.holders.length > 0) throw inUseHere(name, await stillHeld(node, held));
  node.cancelRelease(name);
  const keepsLock = removalOf(node, held.volume.tags) !== 'delete' && !held.removing;
  const outcome = await (keepsLock ? idle(node, name) : release(node, name));
  if (typeof outcome === 'string') return;
  throw inUseHere(name, {
    why: `${outcome.blockedBy} on this node`,
    first: `Stop what uses it on ${node.instanceId}`,
  });
}

function inUseHere(name: string, { why, first }: StillHeld): DriverError {
  const todo = `${first}, then remove it again`;
  return new DriverError('IN_USE_HERE', { volume: name, tried: 'remove it', why, todo });
}

async function deleteVolume(node: Node, name: string, volume: EbsVolume): Promise<void> {
  try {
    await waiting(node, name, `EC2 to delete ${volume.id}`, () => node.ec2.deleteVolume(volume.id));
  } catch (error) {
    if (!isCode(error, 'EC2_NO_SUCH_VOLUME')) throw error;
  }
}

/**
 * Takes the name off, then begins a snapshot: nothing is written to the volume after it. The volume is deleted once the
 * snapshot is complete, by this node or another (see removals.ts); until then it is all there is of the data.
 */
async function deleteAfterSnapshot(node: Node, name: string, volume: EbsVolume): Promise<void> {
  await refuseWithoutPermission(node, name, volume);
  const removing = { [tagKeys.removing]: removalMark(node.instanceId) };
  await takeName(node, name, volume, () => removing);
  const snapshotId = await waiting(node, name, `a snapshot of ${volume.id}`, () =>
    takeSnapshot(node.ec2, node.settings.cluster, volume),
  ).catch((error: unknown) => {
    node.log.warn({ volumeId: volume.id, err: error }, 'its snapshot is not begun yet: it will be tried again');
    return undefined;
  });
  node.log.info(
    { volumeId: volume.id, snapshotId },
    'the name is free: the volume is deleted once its snapshot is complete',
  );
  node.finishRemoval(volume.id, snapshotId);
}

/**
 * Puts a volume of another zone into the trash, as a snapshot. That goes on when its caller has left, and the volume keeps
 * its name until then.
 */
async function depart(node: Node, name: string, volume: EbsVolume): Promise<void> {
  if (!node.departures.has(name)) await refuseWithoutPermission(node, name, volume);
  const done = new AbortController();
  const late = sleep(departMs, undefined, { signal: done.signal }).then(() => {
    throw new DriverError('STILL_WORKING', {
      volume: name,
      tried: `remove ${volume.id}, which is in ${volume.zone}, so soon`,
      why: node.waits.get(name) === undefined ? 'it takes longer' : `it waits for ${node.waits.get(name)}`,
      todo: `That goes on, and nobody can mount it meanwhile: remove it again to see whether it is done. docker-volume-ebs undelete ${name} on a node in ${volume.zone} calls it off`,
    });
  });
  late.catch(() => undefined);
  try {
    await Promise.race([node.departures.remove(name, volume), late]);
  } finally {
    done.abort();
  }
}

/** Once the name is off nobody would be told. */
async function refuseWithoutPermission({ ec2, settings }: Node, name: string, { id }: EbsVolume): Promise<void> {
  const tags = { [tagKeys.cluster]: settings.cluster };
  const [why] = await Promise.all([
    ec2.denied({ action: 'CreateSnapshot', volumeId: id, tags }),
    ec2.findSnapshots(tagKeys.removalOf, id),
  ]);
  if (why === undefined) return;
  throw new DriverError('EC2_DENIED', {
    volume: name,
    tried: `snapshot ${id} before removing it`,
    why,
    todo: 'Allow ec2:CreateSnapshot in the IAM policy of the role (docs/iam.md), then remove it again',
  });
}
