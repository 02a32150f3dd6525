/**
 * How a name comes to mean another volume and means one at every moment: which of those that bear it counts. The one that
 * has it says what takes its place ({@link tagKeys.replacedBy}), and counts until its name is off; the other says what it
 * is to replace ({@link tagKeys.replaces}), and counts for nothing until that tag is off. Pure.
 */
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume, Tags } from '../../ebs/types.ts';
import { isGone } from '../../ebs/volume-record.ts';

/** What a volume says of the one that is to take its place before there is one. */
export const announced = '-';

type Tagged = Pick<EbsVolume, 'id' | 'tags'>;

/** Of volumes, those that count for what their name tags say. */
export function bearers<T extends Tagged>(volumes: readonly T[]): T[] {
  const counting = volumes.filter(({ tags }) => tags[tagKeys.replaces] === undefined);
  const chosen = new Set(
    counting.flatMap(({ tags }) => (tags[tagKeys.name] === undefined ? [] : (tags[tagKeys.replacedBy] ?? []))),
  );
  return counting.filter(({ id }) => !chosen.has(id));
}

/** Whether another volume was to take its place, when this was read. */
export const isReplaced = ({ tags }: Pick<Tagged, 'tags'>): boolean => tags[tagKeys.replacedBy] !== undefined;

/** What it is replaced by, if that is decided and can be had; undefined where it stays what it is. */
export function successorOf(volume: Tagged, found: EbsVolume | undefined): EbsVolume | undefined {
  if (found === undefined || found.id !== volume.tags[tagKeys.replacedBy]) return undefined;
  const usable = found.state !== 'error' && !isGone(found);
  return usable && found.tags[tagKeys.name] === volume.tags[tagKeys.name] ? found : undefined;
}

/** Of volumes of one name, those that were made to take the place of this one and never will. */
export const leftBy = <T extends Tagged>(volume: Tagged, listed: readonly T[]): T[] =>
  listed.filter(({ id, tags }) => tags[tagKeys.replaces] === volume.id || id === volume.tags[tagKeys.replacedBy]);

/** The tags by which a volume says that it is replaced, and is kept then. */
export const replacedTags = (tags: Tags): Tags =>
  Object.fromEntries(
    Object.entries(tags).filter(([key]) =>
      [tagKeys.replacedBy, tagKeys.retained, tagKeys.trash].some((each) => each === key),
    ),
  );
