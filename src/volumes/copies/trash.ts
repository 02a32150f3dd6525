import { tagKeys } from '../../ebs/tags.ts';
import type { EbsSnapshot, EbsVolume } from '../../ebs/types.ts';
import { isGone } from '../../ebs/volume-record.ts';
import { DriverError, isCode } from '../../errors.ts';
import { publish } from '../../events.ts';
import { operation } from '../../log.ts';
import { type Locked, takeName } from '../names/take-name.ts';
import { createAlarms } from '../state/alarms.ts';
import type { SavedTrash as Saved } from '../state/journal.ts';
import type { Node } from '../state/node.ts';
import { takenHere } from './find.ts';
import { attached, isOnItsWay, type TrashMark, trashed, trashedSnapshot, trashMark, whyKept } from './trash-mark.ts';

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
  node.trash.added(volume, due);
}

type Purging = Pick<Node, 'ec2' | 'log' | 'visibleMs'>;

/**
 * Deletes a volume or a snapshot of the trash by its id: a volume by a look that is seconds old at most.
 * @throws DriverError INVALID_REQUEST where it is not to be purged; EC2_*.
 */
export async function purge(node: Purging, id: string): Promise<void> {
  await (id.startsWith('snap-') ? purgeSnapshot : purgeVolume)(node, id);
}

async function purgeVolume(node: Purging, volumeId: string): Promise<void> {
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
  publish('purge', { id: volumeId });
  log.info({ volumeId, name: volume.tags[tagKeys.displayName] }, 'deleted from the trash');
}

/** A volume that was made of it does not need it any more; one that it was taken of is gone, or is not removed. */
async function purgeSnapshot({ ec2, log }: Purging, snapshotId: string): Promise<void> {
  const snapshot = await ec2.describeSnapshot(snapshotId, { lane: 'list' });
  if (snapshot === undefined) return;
  const found = trashedSnapshot(snapshot);
  if (found === undefined) throw notPurged(snapshot, 'it is not in the trash');
  const volume = await ec2.describeVolume(found.volumeId, { lane: 'list' });
  if (isOnItsWay(found, volume)) {
    const why = `${found.volumeId}, which it was taken of, is not deleted yet`;
    throw new DriverError('STILL_WORKING', {
      volume: found.name,
      tried: `delete ${snapshotId}`,
      why,
      todo: 'Try again',
    });
  }
  await ec2.deleteSnapshot(snapshotId, { lane: 'list' }).catch((error: unknown) => {
    if (!isCode(error, 'EC2_NO_SUCH_SNAPSHOT')) throw error;
  });
  publish('purge', { id: snapshotId });
  log.info({ snapshotId, name: found.name }, 'deleted from the trash');
}

function notPurged({ id, tags }: Pick<EbsVolume | EbsSnapshot, 'id' | 'tags'>, why: string): DriverError {
  return new DriverError('INVALID_REQUEST', {
    volume: tags[tagKeys.displayName],
    tried: `delete ${id} from the trash`,
    why,
    todo: 'Look at docker-volume-ebs ls',
  });
}

/** A volume, or a snapshot, of the trash. */
type Item = Pick<EbsVolume | EbsSnapshot, 'id' | 'sizeGib'>;

/** The trash of this node, until the signal is aborted: what it has put there it deletes itself, and the rest once an hour. */
export function createTrash(
  node: Pick<Node, 'ec2' | 'log' | 'instanceId' | 'visibleMs' | 'journal'>,
  signal: AbortSignal,
): Node['trash'] & {
  /** Takes up what a listing of the cluster's volumes shows in the trash, and the snapshots that this node had put there. */
  found(listed: readonly EbsVolume[]): void;
} {
  const { ec2, log, instanceId, journal } = node;
  const known = new Map<string, Item>();
  let sweptAt = performance.now();
  const ring = async (id: string, at: number) => {
    try {
      await operation.run({ op: 'purge' }, () => purge(node, id));
      forget(id);
    } catch (error) {
      if (isSettled(error)) forget(id);
      if (signal.aborted || isSettled(error)) return;
      log.warn({ id, err: error }, 'it stays in the trash for now');
      alarms.set(id, Date.now() + (Date.now() - at < soonMs ? retryMs : sweepMs));
    }
  };
  const alarms = createAlarms(signal, ring);
  /** No listing of volumes shows a snapshot after a restart, and one of snapshots at each start would cost a call. */
  const saved = new Map<string, Saved>();
  const save = () =>
    void journal.saveTrash([...saved.values()]).catch((error: unknown) => {
      log.warn({ err: error }, 'what this node has put into the trash could not be written down');
    });
  const size = () => ({
    count: known.size,
    gib: [...known.values()].reduce((sum, { sizeGib }) => sum + sizeGib, 0),
  });
  const forget = (id: string) => {
    if (known.delete(id)) publish('trash', size());
    if (saved.delete(id)) save();
  };
  const see = (item: Item, { by, expires }: TrashMark) => {
    known.set(item.id, item);
    const at = Date.parse(expires);
    const isOurs = by === instanceId || Date.now() > at + graceMs;
    if (isOurs && !alarms.has(item.id)) alarms.set(item.id, at);
  };
  const found = (listed: readonly EbsVolume[]) => {
    known.clear();
    for (const volume of listed) {
      const mark = trashed(volume)?.mark;
      if (mark !== undefined) see(volume, mark);
    }
    publish('trash', size());
  };
  const findSnapshots = async () => {
    for (const snapshot of await takenHere(ec2, { lane: 'list' })) {
      const mark = trashedSnapshot(snapshot)?.mark;
      if (mark !== undefined) see(snapshot, mark);
    }
    publish('trash', size());
  };
  const look = async () => {
    found(await ec2.findTagged(tagKeys.trash, { lane: 'list' }));
    await findSnapshots();
  };
  const added = ({ id, sizeGib }: Item, at: number) => {
    known.set(id, { id, sizeGib });
    alarms.set(id, at);
    publish('trash', size());
  };

  return {
    added(item, at) {
      added(item, at);
      if (!item.id.startsWith('snap-')) return;
      saved.set(item.id, { id: item.id, sizeGib: item.sizeGib, expires: new Date(at).toISOString() });
      save();
    },
    takenOut: forget,
    size,
    sweep() {
      if (performance.now() - sweptAt <= sweepMs) return;
      sweptAt = performance.now();
      void operation.run({ op: 'purge' }, look).catch((error: unknown) => {
        log.warn({ err: error }, 'the trash was not looked through');
      });
    },
    found(listed) {
      found(listed);
      void journal.loadTrash().then((earlier) => {
        for (const each of earlier) {
          saved.set(each.id, each);
          added(each, Date.parse(each.expires));
        }
      });
    },
  };
}

/** Taken out of the trash meanwhile. What is attached may only be on its way to be free. */
const isSettled = (error: unknown): boolean =>
  isCode(error, 'INVALID_REQUEST') && !error.parts.why.startsWith(attached);
