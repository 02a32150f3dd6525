/** When the schedule of a volume that is held here wants its next snapshot. Pure. */
import { tagKeys } from '../../ebs/tags.ts';
import type { Tags } from '../../ebs/types.ts';
import { readFenceLog } from '../../fencing/records.ts';
import { BadValue } from '../options/bad-value.ts';
import { readSchedule, type Schedule } from '../options/schedule.ts';
import { spreadOf } from '../state/alarms.ts';
import type { Held } from '../state/held.ts';
import type { ScheduleFault } from '../state/local.ts';
import { dueSlots, nextBegin, readSlots, type Slot } from './schedule.ts';

/** Volumes take their snapshots in the first minutes of a slot, each at a moment of its own: a fleet's calls are spread. */
const spreadMs = 300_000;

/** What a schedule wants. Times are by the wall clock, in milliseconds. */
export interface Dues {
  readonly schedule: Schedule;
  /** The slots that have no snapshot yet, as far as is known. */
  readonly slots: readonly Slot[];
  /** When the next snapshot is to be taken while the volume stays in use: a time that is over, where one is due. */
  readonly at: number;
}

/** The schedule that a volume's tags say; undefined for none, and for one that cannot be read. */
export function scheduleOf(tags: Tags): Schedule | undefined {
  const text = tags[tagKeys.snapshots];
  if (text === undefined) return undefined;
  try {
    return readSchedule(text);
  } catch (error) {
    // Anybody who may tag volumes can write there.
    if (error instanceof BadValue) return undefined;
    throw error;
  }
}

/** Whether an attachment began by a takeover: its last owner has not given it back. The log has whole seconds. */
export function isTakenOver({ volume, attachTime }: Pick<Held, 'volume' | 'attachTime'>): boolean {
  const second = Math.floor(Date.parse(attachTime ?? '') / 1000) * 1000;
  return readFenceLog(volume.tags).some(({ at }) => Date.parse(at) === second);
}

/**
 * What the schedule of a volume in use wants; undefined where it has none. A slot that has begun while it was attached here is
 * due; so is the one in which it was taken from another owner, who cannot have given it back. Any other is due at the volume's
 * release, or is served with the next one.
 * @param done the slots that have their snapshots.
 */
export function duesOf(
  held: Pick<Held, 'volume' | 'attachTime'>,
  done: readonly Slot[],
  now: number,
): Dues | undefined {
  const { volume, attachTime } = held;
  const schedule = scheduleOf(volume.tags);
  const next = schedule && nextBegin(schedule, now);
  if (schedule === undefined || next === undefined) return undefined;
  const since = isTakenOver(held) ? 0 : Date.parse(attachTime ?? '');
  const slots = dueSlots(schedule, done, now);
  const begins = slots.map(({ begin }) => begin).filter((begin) => begin >= since);
  const begin = begins.length === 0 ? next : Math.min(...begins);
  return { schedule, slots, at: begin + spreadMs * spreadOf(volume.id) };
}

/** The slots that a volume's tags say are done. */
export const doneIn = (tags: Tags): Slot[] => readSlots(tags[tagKeys.slotsDone]);

/** When the last snapshot of the schedule was begun, by the volume's tags: RFC 3339; undefined where there was none. */
export function lastTaken(tags: Tags): string | undefined {
  return tags[tagKeys.slotsDone]?.split(' ').find((word) => /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(word));
}

/** The tag once a snapshot of these slots is begun: the last slot of each class. */
export function slotsTag(tags: Tags, slots: readonly Slot[], now: number): string {
  const last = new Map([...doneIn(tags), ...slots].map((slot) => [slot.class, slot.id]));
  return [...last.values(), new Date(now).toISOString()].join(' ');
}

/** A schedule of snapshots as people are told of it. Times are RFC 3339. */
export interface ScheduleStatus {
  /** As "hourly:24,daily:7". */
  readonly schedule: string;
  /** When its last snapshot was begun; undefined where there was none. */
  readonly lastAt: string | undefined;
  /** When the next one is to be taken, if the volume is in use then; undefined unless it is in use here. */
  readonly nextAt: string | undefined;
  /** Since when one is due that has not been taken; undefined where none is. */
  readonly dueSince: string | undefined;
  /** Why it cannot be kept at present, as a clause. */
  readonly warning: string | undefined;
}

/** The schedule of a volume; undefined where it has none. @param held where it is in use here. */
export function scheduleStatus(
  tags: Tags,
  held: Pick<Held, 'volume' | 'attachTime'> | undefined,
  fault: ScheduleFault | undefined,
  now: number,
): ScheduleStatus | undefined {
  const schedule = tags[tagKeys.snapshots];
  if (schedule === undefined) return undefined;
  const done = doneIn(tags).filter(({ id }) => fault?.slots.includes(id) !== true);
  const at = held && duesOf(held, done, now)?.at;
  const isDue = at !== undefined && at <= now;
  const isRead = scheduleOf(tags) !== undefined;
  return {
    schedule,
    lastAt: lastTaken(tags),
    nextAt: at === undefined || isDue ? undefined : new Date(at).toISOString(),
    dueSince: isDue ? new Date(at).toISOString() : undefined,
    warning: isRead ? fault?.why : 'its tag is no schedule; docker-volume-ebs set --snapshots corrects it',
  };
}
