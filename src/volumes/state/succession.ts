/**
 * How a name comes to mean another volume and means one at every moment: which of those that bear it counts. The one that
 * has it says that another is being made ({@link tagKeys.replacing}) and which was chosen ({@link tagKeys.replacedBy}), and
 * counts until its name is off; the other says what it is to replace ({@link tagKeys.replaces}), and counts for nothing until
 * that tag is off. Pure.
 */
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume, Tags } from '../../ebs/types.ts';
import { isGone } from '../../ebs/volume-record.ts';

type Tagged = Pick<EbsVolume, 'id' | 'tags'>;

/** Of volumes, those that count for what their name tags say. */
export function bearers<T extends Tagged>(volumes: readonly T[]): T[] {
  const counting = volumes.filter(({ tags }) => tags[tagKeys.replaces] === undefined);
  const chosen = new Set(
    counting.flatMap(({ tags }) => (tags[tagKeys.name] === undefined ? [] : (tags[tagKeys.replacedBy] ?? []))),
  );
  return counting.filter(({ id }) => !chosen.has(id));
}

/** What it says of a volume that is to take its place, if there was one when this was read. */
export const replacementIn = ({ tags }: Pick<Tagged, 'tags'>): string | undefined => {
  const said = [tags[tagKeys.replacing], tags[tagKeys.replacedBy]];
  return said.some((each) => each !== undefined) ? said.join(' ') : undefined;
};

/** What it is replaced by, if that is decided and can be had; undefined where it stays what it is. */
export function successorOf(volume: Tagged, found: EbsVolume | undefined): EbsVolume | undefined {
  if (found === undefined || found.id !== volume.tags[tagKeys.replacedBy]) return undefined;
  const usable = found.state !== 'error' && !isGone(found);
  return usable && found.tags[tagKeys.name] === volume.tags[tagKeys.name] ? found : undefined;
}

/** Of volumes of one name, those that were made to take the place of this one and never will. */
export const leftBy = <T extends Tagged>(volume: Tagged, listed: readonly T[]): T[] =>
  listed.filter(({ id, tags }) => tags[tagKeys.replaces] === volume.id || id === volume.tags[tagKeys.replacedBy]);

/** The tags by which it says so, and with which it would be kept. */
export function replacementTags(tags: Tags): Tags {
  const chosen = tags[tagKeys.replacedBy] === undefined ? [] : [tagKeys.replacedBy, tagKeys.retained, tagKeys.trash];
  const keys: readonly string[] = [tagKeys.replacing, ...chosen];
  return Object.fromEntries(Object.entries(tags).filter(([key]) => keys.includes(key)));
}
