import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsSnapshot, EbsVolume } from '../../ebs/types.ts';
import { isGone } from '../../ebs/volume-record.ts';
import { DriverError } from '../../errors.ts';
import { takenHere } from '../copies/find.ts';
import { isOnItsWay, readTrash, trashedSnapshot } from '../copies/trash-mark.ts';
import { giveName } from '../names/give-name.ts';
import { growthTold } from '../options/growth-options.ts';
import { decodeName } from '../options/names.ts';
import { heldAs } from '../state/held.ts';
import { readLeaving } from '../state/leaving.ts';
import { nameOf } from '../state/lookup.ts';
import { findVolume, type Node } from '../state/node.ts';
import { createVolume } from './create.ts';

const lookMs = 1000;

/** What an undelete has brought back. */
export interface Undeleted {
  readonly volumeId: string;
  /** The name that it has now. */
  readonly name: string;
  /** When it was removed, RFC 3339; undefined for one that was kept for good. */
  readonly removed: string | undefined;
  /** The snapshot that it was made from anew; undefined where it is the volume itself. */
  readonly snapshotId: string | undefined;
  /** Others that had the same name, and are in the trash still. */
  readonly others: readonly string[];
}

/** What was removed and is kept: a volume, or all that is left of one, and whose name it was. */
export interface Kept {
  readonly id: string;
  readonly name: string;
  readonly volume: EbsVolume | undefined;
  readonly snapshot: EbsSnapshot | undefined;
  readonly removed: string | undefined;
}

/**
 * Finds what was removed and is kept, in the trash or for good: what was removed last of a name, or what has an id; also what
 * is about to be removed from another zone.
 * @throws DriverError NO_SUCH_VOLUME, EC2_*.
 */
export async function findKept(node: Node, which: string): Promise<Kept & Pick<Undeleted, 'others'>> {
  const isMeant = ({ id, name }: Pick<Kept, 'id' | 'name'>) => id === which || name === which;
  const look = async () => (await allKept(node)).filter(isMeant);
  const justRemoved = () =>
    [...node.held.values()].some(({ removing, name, volume }) => removing && isMeant({ id: volume.id, name }));
  let matching = await look();
  // What this node has just removed is there, whatever EC2 lists.
  while (matching.length === 0 && justRemoved()) {
    await sleep(lookMs);
    matching = await look();
  }
  const [last, ...others] = matching.sort((a, b) => (since(a) < since(b) ? 1 : -1));
  if (last !== undefined) return { ...last, others: others.map(({ id }) => id) };
  throw new DriverError('NO_SUCH_VOLUME', {
    volume: which,
    tried: 'undelete it',
    why: 'there is no such volume in the trash of this cluster',
    todo: `Look at docker-volume-ebs trash ls; what another node has removed may be listed ${node.visibleMs / 1000} s later`,
  });
}

const since = ({ removed, volume }: Kept): string => removed ?? volume?.createdAt ?? '';

async function allKept({ ec2 }: Node): Promise<Kept[]> {
  const [tagged, leaving, taken] = await Promise.all([
    ec2.findTagged(tagKeys.retained),
    ec2.findTagged(tagKeys.leaving),
    takenHere(ec2),
  ]);
  const leavingById = new Map(leaving.map((volume) => [volume.id, volume]));
  return [
    ...tagged.flatMap((volume) => asKept(volume) ?? []),
    ...leaving.flatMap((volume) => asLeaving(volume) ?? []),
    ...taken.flatMap((snapshot) => {
      const found = trashedSnapshot(snapshot);
      if (found === undefined || isOnItsWay(found, leavingById.get(found.volumeId))) return [];
      return [{ id: snapshot.id, name: found.name, snapshot, volume: undefined, removed: found.mark.removed }];
    }),
  ];
}

/** One that is being removed from another zone has its name still. */
function asLeaving(volume: EbsVolume): Kept | undefined {
  const name = nameOf(volume);
  if (name === undefined || isGone(volume)) return undefined;
  return { id: volume.id, name, volume, snapshot: undefined, removed: readLeaving(volume.tags)?.since };
}

function asKept(volume: EbsVolume): Kept | undefined {
  const { id, tags } = volume;
  const name = decodeName(tags[tagKeys.retained] ?? '');
  const isKept = tags[tagKeys.name] === undefined && tags[tagKeys.removing] === undefined && !isGone(volume);
  if (name === undefined || !isKept) return undefined;
  return { id, name, volume, snapshot: undefined, removed: readTrash(tags)?.removed };
}

/**
 * Gives a removed volume a name again, and with it its data. Runs in the queue of that name.
 * @param zone where a volume is made of what is a snapshot; that of this node unless told.
 * @throws DriverError EXISTS_DIFFERENT where the name is taken; WRONG_ZONE where this node cannot attach it; as
 * {@link giveName} and {@link createVolume}.
 */
export async function undelete(
  node: Node,
  name: string,
  kept: Kept & Pick<Undeleted, 'others'>,
  zone: string = node.zone,
): Promise<Undeleted> {
  const { id, volume, snapshot, removed, others } = kept;
  const taken = heldAs(node.held, name)?.volume ?? (await findVolume(node, name));
  if (taken !== undefined && taken.id !== id) {
    throw new DriverError('EXISTS_DIFFERENT', {
      volume: name,
      tried: `undelete ${id}`,
      why: `${taken.id} has this name`,
      todo: 'Choose another name with --as',
    });
  }
  if (volume !== undefined) refuseOtherZone(node, name, volume, zone);
  const back =
    volume === undefined ? await madeAnew({ ...node, zone }, name, snapshot) : await giveName(node, name, volume);
  node.trash.takenOut(id);
  node.log.info({ volume: name, volumeId: back.id, from: id, removed }, 'undeleted');
  return { volumeId: back.id, name, removed, snapshotId: snapshot?.id, others };
}

function refuseOtherZone(node: Node, name: string, { id, zone }: EbsVolume, wanted: string): void {
  if (zone === node.zone && zone === wanted) return;
  throw new DriverError('WRONG_ZONE', {
    volume: name,
    tried: `undelete ${id}`,
    why: `it is a volume in ${zone}, and stays there${zone === node.zone ? '' : `; this node is in ${node.zone}`}`,
    todo: `Run that on a node in ${zone}, without --zone; for a copy in another zone take a snapshot of it then`,
  });
}

/** The create of a name is what keeps it from being given twice; the snapshot is not needed once there is a volume of it. */
async function madeAnew(node: Node, name: string, snapshot: EbsSnapshot | undefined): Promise<EbsVolume> {
  if (snapshot === undefined) throw new Error('neither a volume nor a snapshot');
  // A copy of a volume does not inherit how that grows by itself; this is the volume.
  await createVolume(node, name, { ...growthTold(snapshot.tags), fromSnapshot: snapshot.id });
  const made = await findVolume(node, name);
  if (made?.snapshotId !== snapshot.id) {
    throw new DriverError('EXISTS_DIFFERENT', {
      volume: name,
      tried: `make it of ${snapshot.id}`,
      why:
        made === undefined
          ? 'EC2 does not show the new volume'
          : `${made.id} has this name, and is not of that snapshot`,
      todo: 'Look at docker-volume-ebs ls; the snapshot is still in the trash',
    });
  }
  await node.ec2.deleteSnapshot(snapshot.id).catch((error: unknown) => {
    node.log.warn(
      { volume: name, snapshotId: snapshot.id, err: error },
      'its snapshot stays in the trash until its time is over',
    );
  });
  return made;
}
