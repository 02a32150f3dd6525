/** Which snapshots of a schedule are kept no longer. Pure. */
import { classesOf, type Schedule } from '../options/schedule.ts';
import { readSlots, type Slot } from './schedule.ts';
import type { VolumeSnapshot } from './snapshot-tags.ts';

/** What of a snapshot decides. */
export type Kept = Pick<VolumeSnapshot, 'id' | 'kind' | 'volumeId' | 'state' | 'startedAt' | 'slots'>;

/** A snapshot that data can be had from, as far as anybody knows. */
const isGood = ({ state }: Kept): boolean => state === 'completed';

/**
 * The snapshots of a volume that its schedule keeps no longer, the oldest first: what it has itself taken of this EBS volume,
 * beyond the number that each of its classes keeps. Of a class that the schedule does not name any more all are kept. One
 * that is pending goes never; another only where a newer one is complete, so that the newest complete one always stays.
 * @param snapshots all that are known, whoever took them.
 */
export function expired<T extends Kept>(schedule: Schedule, volumeId: string, snapshots: readonly T[]): T[] {
  const named = new Set<string>(classesOf(schedule));
  const mine = snapshots
    .filter((each) => each.kind === 'scheduled' && each.volumeId === volumeId)
    .map((snapshot) => ({ snapshot, slots: readSlots(snapshot.slots.join(' ')) }))
    .sort((a, b) => newestFirst(a.snapshot, b.snapshot));
  const kept = new Set(classesOf(schedule).flatMap((each) => keptOf(each, schedule[each] ?? 0, mine)));
  const newestGood = mine.find(({ snapshot }) => isGood(snapshot))?.snapshot;
  return mine
    .filter(({ snapshot, slots }) => {
      if (newestGood === undefined || newestFirst(newestGood, snapshot) >= 0) return false;
      if (snapshot.state !== 'completed' && snapshot.state !== 'error') return false;
      const isOfSchedule = slots.length > 0 && slots.every((slot) => named.has(slot.class));
      return isOfSchedule && !kept.has(snapshot.id);
    })
    .map(({ snapshot }) => snapshot)
    .reverse();
}

/** The ids of those that one class keeps: a good one of each of its last slots. */
function keptOf(
  slotClass: string,
  count: number,
  mine: readonly { readonly snapshot: Kept; readonly slots: readonly Slot[] }[],
): string[] {
  const bySlot = new Map<number, string>();
  for (const { snapshot, slots } of mine) {
    const slot = isGood(snapshot) ? slots.find((each) => each.class === slotClass) : undefined;
    if (slot !== undefined && !bySlot.has(slot.begin)) bySlot.set(slot.begin, snapshot.id);
  }
  return [...bySlot]
    .sort(([a], [b]) => b - a)
    .slice(0, count)
    .map(([, id]) => id);
}

/** Below zero where the first is newer. Ids settle what began in one second, so that there is one order. */
function newestFirst(a: Kept, b: Kept): number {
  const times = Date.parse(b.startedAt) - Date.parse(a.startedAt);
  return times !== 0 ? times : a.id < b.id ? 1 : a.id > b.id ? -1 : 0;
}
