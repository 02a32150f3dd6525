import { createHash } from 'node:crypto';

/** How often the newest snapshot of a volume is verified by itself: the option `verify`. Pure. */
export const verifyIntervals = ['daily', 'weekly', 'monthly'] as const;
export type VerifyEvery = (typeof verifyIntervals)[number];

const dayMs = 86_400_000;
/** Weeks begin on Monday: the first one of Unix time. */
const firstMonday = 4 * dayMs;
/** Verifications spread over this part of their slot: a fleet does not make its scratch volumes at midnight. */
const spread = 0.5;

/** A stretch of time, UTC, in which one verification is due. */
export interface VerifySlot {
  /** As "weekly/2026-11-30", its Monday. */
  readonly id: string;
  /** By the wall clock, in milliseconds: from its beginning on, and until its end comes. */
  readonly begin: number;
  readonly end: number;
}

/** The slot that a time is in. @param time by the wall clock, in milliseconds. */
export function verifySlot(every: VerifyEvery, time: number): VerifySlot {
  const begin = beginOf(every, time);
  return { id: `${every}/${new Date(begin).toISOString().slice(0, 10)}`, begin, end: endOf(every, begin) };
}

function beginOf(every: VerifyEvery, time: number): number {
  if (every === 'daily') return Math.floor(time / dayMs) * dayMs;
  if (every === 'weekly') return firstMonday + Math.floor((time - firstMonday) / (7 * dayMs)) * 7 * dayMs;
  const date = new Date(time);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth());
}

function endOf(every: VerifyEvery, begin: number): number {
  if (every === 'daily') return begin + dayMs;
  if (every === 'weekly') return begin + 7 * dayMs;
  const date = new Date(begin);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1);
}

/** When in its slot a volume's verification is due: in the first half, for each volume at another time. */
export function dueAt({ id, begin, end }: VerifySlot, volumeId: string): number {
  const share = createHash('sha256').update(`${id} ${volumeId}`).digest().readUInt32BE() / 2 ** 32;
  return begin + share * spread * (end - begin);
}

/** How old the last proof of a volume may be before it counts as overdue, in milliseconds: two slots, the later one whole. */
export const patienceOf = (every: VerifyEvery): number => {
  const slot = verifySlot(every, Date.UTC(2026, 0, 15));
  return 2 * (slot.end - slot.begin);
};
