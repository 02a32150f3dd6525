/** The arithmetic of slots: which there are, and which of them want a snapshot now. Pure; all times are UTC. */
import { classesOf, type Schedule, type SlotClass, slotClasses } from '../options/schedule.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const weekMs = 7 * dayMs;
const lengths: Readonly<Record<SlotClass, number>> = { hourly: hourMs, daily: dayMs, weekly: weekMs };
/** Weeks begin on Monday: the first one of Unix time. */
const firstMonday = 4 * dayMs;

/** A stretch of time that is to have one snapshot: an hour, a day or a week. */
export interface Slot {
  readonly class: SlotClass;
  /** As "hourly/2026-11-30T12", "daily/2026-11-30", "weekly/2026-11-30" (its Monday). Those of a class sort by time. */
  readonly id: string;
  /** By the wall clock, in milliseconds: from its beginning on, and until its end comes. */
  readonly begin: number;
  readonly end: number;
}

/** The slot of a class that a time is in. @param time by the wall clock, in milliseconds. */
export function slotOf(slotClass: SlotClass, time: number): Slot {
  const length = lengths[slotClass];
  const origin = slotClass === 'weekly' ? firstMonday : 0;
  const begin = origin + Math.floor((time - origin) / length) * length;
  const text = new Date(begin).toISOString().slice(0, slotClass === 'hourly' ? 13 : 10);
  return { class: slotClass, id: `${slotClass}/${text}`, begin, end: begin + length };
}

/** The slot that a text names; undefined for one that {@link slotOf} does not write. */
export function readSlot(id: string): Slot | undefined {
  const [word, text = ''] = id.split('/');
  const known = slotClasses.find((each) => each === word);
  const time = Date.parse(known === 'hourly' ? `${text}:00Z` : `${text}T00:00Z`);
  if (known === undefined || Number.isNaN(time)) return undefined;
  const slot = slotOf(known, time);
  return slot.id === id ? slot : undefined;
}

/** The slots that a text names, apart by spaces; what is none is passed over. */
export const readSlots = (text: string | undefined): Slot[] =>
  (text ?? '').split(' ').flatMap((each) => readSlot(each) ?? []);

/**
 * The slots that want a snapshot now, of the shortest class first: those that a time is in and that have none.
 * @param done the slots that have one. One slot ahead of the time, by a node whose clock is ahead, counts; what is further ahead
 * does not: anybody who may write tags can write it.
 */
export function dueSlots(schedule: Schedule, done: readonly Slot[], time: number): Slot[] {
  return classesOf(schedule)
    .map((each) => slotOf(each, time))
    .filter(
      (slot) => !done.some((one) => one.class === slot.class && one.begin >= slot.begin && one.begin <= slot.end),
    );
}

/** When the next slot of a schedule begins; undefined for an empty schedule. */
export function nextBegin(schedule: Schedule, time: number): number | undefined {
  const ends = classesOf(schedule).map((each) => slotOf(each, time).end);
  return ends.length === 0 ? undefined : Math.min(...ends);
}
