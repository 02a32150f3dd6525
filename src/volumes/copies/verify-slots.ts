/** When the newest snapshot of a volume is verified by itself. Pure; all times are UTC, by the wall clock, in milliseconds. */
import type { VerifyEvery } from '../options/verify.ts';
import { spreadOf } from '../state/alarms.ts';
import { type Slot, slotOf } from './schedule.ts';

/** Verifications spread over this part of their slot: a fleet does not make its scratch volumes at midnight. */
const spread = 0.5;

/** A stretch of time in which one verification is due, as "weekly/2026-11-30", its Monday. */
export type VerifySlot = Pick<Slot, 'id' | 'begin' | 'end'>;

/** The slot that a time is in. */
export function verifySlot(every: VerifyEvery, time: number): VerifySlot {
  if (every !== 'monthly') return slotOf(every, time);
  const date = new Date(time);
  const month = (offset: number) => Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + offset);
  return { id: `monthly/${new Date(month(0)).toISOString().slice(0, 10)}`, begin: month(0), end: month(1) };
}

/** When in its slot a volume's verification is due: in the first half, for each volume at another time. */
export const dueAt = ({ id, begin, end }: VerifySlot, volumeId: string): number =>
  begin + spreadOf(`${id} ${volumeId}`) * spread * (end - begin);

/** How old the last proof of a volume may be before it counts as overdue, in milliseconds: two slots, the later one whole. */
export const patienceOf = (every: VerifyEvery): number => {
  const slot = verifySlot(every, Date.UTC(2026, 0, 15));
  return 2 * (slot.end - slot.begin);
};
