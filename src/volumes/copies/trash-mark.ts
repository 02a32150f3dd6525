/** What lies in the trash, and what its tags say. Pure. */
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsSnapshot, EbsVolume, Tags } from '../../ebs/types.ts';
import { attachmentOf, isGone, ownerText } from '../../ebs/volume-record.ts';
import { readOwner } from '../../fencing/records.ts';
import { decodeName } from '../options/names.ts';
import { leavingMark, readLeaving } from '../state/leaving.ts';

/** What the tag of a volume in the trash says. Times are RFC 3339. */
export interface TrashMark {
  readonly expires: string;
  readonly removed: string;
  /** The instance that put it there. */
  readonly by: string;
  /** Since when its last owner had it: whoever has had it since has taken it out of the trash. `-` where nobody ever had it. */
  readonly owned: string;
}

/** How {@link whyKept} begins for what is attached. */
export const attached = 'it is attached';

/** Since when the last owner of a volume had it; `-` where nobody ever had it. */
export const ownedSince = (tags: Tags): string => readOwner(tags)?.attachTime ?? '-';

/** The value of the trash tag. */
export const trashTag = ({ expires, removed, by, owned }: TrashMark): string => [expires, removed, by, owned].join(' ');

/** The trash tag of a volume that this node puts there. Times are milliseconds of the wall clock. */
export const trashMark = (
  { instanceId }: { readonly instanceId: string },
  tags: Tags,
  removed: number,
  expires: number,
): string =>
  trashTag({
    expires: new Date(expires).toISOString(),
    removed: new Date(removed).toISOString(),
    by: instanceId,
    owned: ownedSince(tags),
  });

/** What the trash tag says; undefined where there is none, or one that this driver did not write. Pure. */
export function readTrash(tags: Tags): TrashMark | undefined {
  const [expires = '', removed = '', by = '', owned = '', ...more] = tags[tagKeys.trash]?.split(' ') ?? [];
  const times = [expires, removed].every((time) => !Number.isNaN(Date.parse(time)));
  return times && by !== '' && owned !== '' && more.length === 0 ? { expires, removed, by, owned } : undefined;
}

/** A volume of the trash. */
export interface Trashed {
  readonly volume: EbsVolume;
  /** The name that it had. */
  readonly name: string;
  readonly mark: TrashMark;
}

/** The volume as one of the trash; undefined for one that has a name, or is not there. Pure. */
export function trashed(volume: EbsVolume): Trashed | undefined {
  const { tags } = volume;
  const mark = readTrash(tags);
  const name = decodeName(tags[tagKeys.retained] ?? '');
  if (mark === undefined || name === undefined || tags[tagKeys.name] !== undefined || isGone(volume)) return undefined;
  return { volume, name, mark };
}

/**
 * Why a volume is not to be purged, as a clause; undefined where it may be. One that somebody has had since it was put into
 * the trash was taken out of it, and has lost its name since. Pure.
 */
export function whyKept(volume: EbsVolume): string | undefined {
  const found = trashed(volume);
  if (found === undefined) return 'it is not in the trash';
  const attachment = attachmentOf(volume);
  if (attachment !== undefined) return `${attached} to ${ownerText(attachment)}`;
  if (found.mark.owned !== ownedSince(volume.tags)) return 'somebody has had it since it was removed';
  return undefined;
}

/** A snapshot that is all there is of a removed volume. */
export interface TrashedSnapshot {
  readonly snapshot: EbsSnapshot;
  /** The name that its volume had, and which one that was. */
  readonly name: string;
  readonly volumeId: string;
  readonly mark: TrashMark;
}

/**
 * The snapshot as one of the trash; undefined for any other, also one that a tool took of a volume in the trash and copied the
 * tags to. Pure.
 */
export function trashedSnapshot(snapshot: EbsSnapshot): TrashedSnapshot | undefined {
  const { tags } = snapshot;
  const mark = readTrash(tags);
  const name = decodeName(tags[tagKeys.retained] ?? '');
  const volumeId = tags[tagKeys.trashOf];
  return mark === undefined || name === undefined || volumeId === undefined
    ? undefined
    : { snapshot, name, volumeId, mark };
}

/** Whether its volume is there still and is about to be deleted, since this snapshot holds all of it. Pure. */
export function isOnItsWay({ mark }: TrashedSnapshot, volume: EbsVolume | undefined): boolean {
  const leaving = volume === undefined || isGone(volume) ? undefined : readLeaving(volume.tags);
  return leaving !== undefined && leavingMark(leaving) === leavingMark({ by: mark.by, since: mark.removed });
}
