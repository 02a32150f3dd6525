import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume, Tags } from '../../ebs/types.ts';
import { attachmentOf, isGone, ownerText } from '../../ebs/volume-record.ts';
import { DriverError, isCode } from '../../errors.ts';
import { readOwner } from '../../fencing/records.ts';
import { operation } from '../../log.ts';
import { type Locked, takeName } from '../names/take-name.ts';
import { decodeName } from '../options/names.ts';
import { createAlarms } from '../state/alarms.ts';
import type { Node } from '../state/node.ts';

/** The whole trash is looked through at most this often, with a removal. */
const sweepMs = 3_600_000;
/** What another node has put there is purged this long after its time: until then that node does it. */
const graceMs = 3_600_000;
/** A purge that did not come through is tried again: soon at first, as its disk may still be on its way, and then seldom. */
const retryMs = 60_000;
const soonMs = 600_000;
/**
 * A purge looks, and then deletes within half the time that reads may lag or not at all. Whoever takes a volume out of the
 * trash keeps it attached for twice that time after the name is on it, and EC2 deletes nothing that is attached: a deletion
 * that goes by an older look always meets that attachment.
 */
const purgeMs = ({ visibleMs }: Pick<Node, 'visibleMs'>): number => visibleMs / 2;

/** What the tag of a volume in the trash says. Times are RFC 3339. */
export interface TrashMark {
  readonly expires: string;
  readonly removed: string;
  /** The instance that put it there. */
  readonly by: string;
  /** Since when its last owner had it: whoever has had it since has taken it out of the trash. `-` where nobody ever had it. */
  readonly owned: string;
}

const attached = 'it is attached';

const since = (tags: Tags): string => readOwner(tags)?.attachTime ?? '-';

/** The value of the trash tag. */
export const trashTag = ({ expires, removed, by, owned }: TrashMark): string => [expires, removed, by, owned].join(' ');

/** The trash tag of a volume that this node puts there. Times are milliseconds of the wall clock. */
export const trashMark = ({ instanceId }: Pick<Node, 'instanceId'>, tags: Tags, removed: number, expires: number) =>
  trashTag({
    expires: new Date(expires).toISOString(),
    removed: new Date(removed).toISOString(),
    by: instanceId,
    owned: since(tags),
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
  if (found.mark.owned !== since(volume.tags)) return 'somebody has had it since it was removed';
  return undefined;
}

/**
 * Puts a volume into the trash: its name is free at once, and its data stays for the time that the settings say. One that
 * nobody has ever used has nothing to keep, and is deleted as soon as no read shows its name.
 * @throws DriverError as {@link takeName}.
 */
export async function putIntoTrash(node: Node, name: string, volume: EbsVolume): Promise<void> {
  const now = Date.now();
  const expires = now + node.settings.trash * 1000;
  let due = expires;
  await takeName(node, name, volume, (locked: Locked) => {
    if (locked.unused) due = now;
    return { [tagKeys.trash]: trashMark(node, locked.volume.tags, now, due) };
  });
  node.trash.purgeLater(volume.id, due);
}

/**
 * Deletes a volume of the trash, by a look that is seconds old at most.
 * @throws DriverError INVALID_REQUEST where it is not to be purged; EC2_*.
 */
export async function purge(node: Pick<Node, 'ec2' | 'log' | 'visibleMs'>, volumeId: string): Promise<void> {
  const { ec2, log } = node;
  const looked = performance.now();
  const volume = await ec2.describeVolume(volumeId, { lane: 'list' });
  if (volume === undefined || isGone(volume)) return;
  const why = whyKept(volume);
  if (why !== undefined) throw notPurged(volume, why);
  const stillValid = () => performance.now() - looked < purgeMs(node);
  await ec2.deleteVolume(volumeId, { lane: 'list', stillValid }).catch((error: unknown) => {
    if (isCode(error, 'EC2_VOLUME_IN_USE')) throw notPurged(volume, attached);
    if (!isCode(error, 'EC2_NO_SUCH_VOLUME')) throw error;
  });
  log.info({ volumeId, name: volume.tags[tagKeys.displayName] }, 'deleted from the trash');
}

function notPurged({ id, tags }: EbsVolume, why: string): DriverError {
  return new DriverError('INVALID_REQUEST', {
    volume: tags[tagKeys.displayName],
    tried: `delete ${id} from the trash`,
    why,
    todo: 'Look at docker-volume-ebs ls',
  });
}

/** The trash of this node, until the signal is aborted: what it has put there it deletes itself, and the rest once an hour. */
export function createTrash(
  node: Pick<Node, 'ec2' | 'log' | 'instanceId' | 'visibleMs'>,
  signal: AbortSignal,
): Node['trash'] & {
  /** Takes up what a listing of the cluster shows in the trash. */
  found(listed: readonly EbsVolume[]): void;
} {
  const { ec2, log, instanceId } = node;
  let sweptAt = performance.now();
  const alarms = createAlarms(signal, (volumeId, at) =>
    operation
      .run({ op: 'purge' }, () => purge(node, volumeId))
      .catch((error: unknown) => {
        if (signal.aborted || isSettled(error)) return;
        log.warn({ volumeId, err: error }, 'a volume stays in the trash for now');
        alarms.set(volumeId, Date.now() + (Date.now() - at < soonMs ? retryMs : sweepMs));
      }),
  );
  const found = (listed: readonly EbsVolume[]) => {
    for (const volume of listed) {
      const mark = trashed(volume)?.mark;
      if (mark === undefined || alarms.has(volume.id)) continue;
      const expires = Date.parse(mark.expires);
      if (mark.by === instanceId || Date.now() > expires + graceMs) alarms.set(volume.id, expires);
    }
  };
  const sweepNow = async () => {
    sweptAt = performance.now();
    found(await ec2.findTagged(tagKeys.trash, { lane: 'list' }));
  };
  const sweep = () =>
    void operation
      .run({ op: 'purge' }, sweepNow)
      .catch((error: unknown) => log.warn({ err: error }, 'the trash was not looked through'));

  return {
    purgeLater: alarms.set,
    sweep() {
      if (performance.now() - sweptAt > sweepMs) sweep();
    },
    found,
  };
}

/** Taken out of the trash meanwhile. What is attached may only be on its way to be free. */
const isSettled = (error: unknown): boolean =>
  isCode(error, 'INVALID_REQUEST') && !error.parts.why.startsWith(attached);
