import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume } from '../../ebs/types.ts';
import { isGone } from '../../ebs/volume-record.ts';
import { DriverError } from '../../errors.ts';
import { readTrash } from '../copies/trash.ts';
import { giveName } from '../names/give-name.ts';
import { decodeName } from '../options/names.ts';
import { heldAs } from '../state/held.ts';
import { findVolume, type Node } from '../state/node.ts';

const lookMs = 1000;

/** What an undelete has brought back. */
export interface Undeleted {
  readonly volumeId: string;
  /** The name that it has now. */
  readonly name: string;
  /** When it was removed, RFC 3339; undefined for one that was kept for good. */
  readonly removed: string | undefined;
  /** Others that had the same name, and are in the trash still. */
  readonly others: readonly string[];
}

/** A volume that was removed and is kept, and whose name it was. */
interface Kept {
  readonly volume: EbsVolume;
  readonly name: string;
}

/**
 * Finds what was removed and is kept, in the trash or for good: the one that was removed last of a name, or the one of an id.
 * @throws DriverError NO_SUCH_VOLUME, EC2_*.
 */
export async function findKept(node: Node, which: string): Promise<Kept & Pick<Undeleted, 'others'>> {
  const isMeant = ({ volume, name }: Kept) => volume.id === which || name === which;
  const look = async () => (await node.ec2.findTagged(tagKeys.retained)).flatMap((each) => asKept(each) ?? []);
  let matching = (await look()).filter(isMeant);
  // What this node has just removed is there, whatever EC2 lists.
  while (matching.length === 0 && [...node.held.values()].some((held) => held.removing && isMeant(held))) {
    await sleep(lookMs);
    matching = (await look()).filter(isMeant);
  }
  const [last, ...others] = matching.sort((a, b) => (removedAt(a.volume) < removedAt(b.volume) ? 1 : -1));
  if (last !== undefined) return { ...last, others: others.map(({ volume }) => volume.id) };
  throw new DriverError('NO_SUCH_VOLUME', {
    volume: which,
    tried: 'undelete it',
    why: 'there is no such volume in the trash of this cluster',
    todo: `Look at docker-volume-ebs trash ls; what another node has removed may be listed ${node.visibleMs / 1000} s later`,
  });
}

function asKept(volume: EbsVolume): Kept | undefined {
  const { tags } = volume;
  const name = decodeName(tags[tagKeys.retained] ?? '');
  const isKept = tags[tagKeys.name] === undefined && tags[tagKeys.removing] === undefined && !isGone(volume);
  return name === undefined || !isKept ? undefined : { volume, name };
}

const removedAt = ({ tags, createdAt }: EbsVolume): string => readTrash(tags)?.removed ?? createdAt;

/**
 * Gives a removed volume a name again, and with it its data. Runs in the queue of that name.
 * @throws DriverError EXISTS_DIFFERENT where the name is taken; as {@link giveName}.
 */
export async function undelete(
  node: Node,
  name: string,
  { volume, others }: Pick<Undeleted, 'others'> & Kept,
): Promise<Undeleted> {
  const taken = heldAs(node.held, name)?.volume ?? (await findVolume(node, name));
  if (taken !== undefined && taken.id !== volume.id) {
    throw new DriverError('EXISTS_DIFFERENT', {
      volume: name,
      tried: `undelete ${volume.id}`,
      why: `${taken.id} has this name`,
      todo: 'Choose another name with --as',
    });
  }
  const removed = readTrash(volume.tags)?.removed;
  const { id } = await giveName(node, name, volume);
  node.log.info({ volume: name, volumeId: id, removed }, 'undeleted');
  return { volumeId: id, name, removed, others };
}
