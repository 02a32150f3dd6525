/** When a volume's snapshots are taken, and how many are kept: the option `snapshots`. Pure. */
import { bad } from './bad-value.ts';

/** How often, the shortest first. */
export const slotClasses = ['hourly', 'daily', 'weekly'] as const;
export type SlotClass = (typeof slotClasses)[number];

/** How many snapshots of each class are kept; a class that is not there takes none. */
export type Schedule = { readonly [K in SlotClass]?: number };

/** AWS's own schedules keep no more of one volume either (DLM, RetainRule.Count). */
const mostKept = 1000;

const taken = `takes ${slotClasses.join(', ')}, each with how many are kept (1 to ${mostKept}), as hourly:24,daily:7,weekly:4`;

/** Reads a schedule, as "hourly:24,daily:7". @throws BadValue */
export function readSchedule(text: string): Schedule {
  const schedule: { [K in SlotClass]?: number } = {};
  for (const part of text.split(',')) {
    const [, word, digits] = /^(\w+):(\d{1,4})$/.exec(part.trim().toLowerCase()) ?? [];
    const known = slotClasses.find((each) => each === word);
    const count = Number(digits);
    if (known === undefined || !(count >= 1 && count <= mostKept)) return bad(taken);
    if (schedule[known] !== undefined) return bad(`takes each class once: ${known} is there twice`);
    schedule[known] = count;
  }
  return schedule;
}

/** The schedule as it is kept in a tag: one text for one meaning. */
export const scheduleText = (schedule: Schedule): string =>
  slotClasses.flatMap((each) => (schedule[each] === undefined ? [] : [`${each}:${schedule[each]}`])).join(',');

/** The classes of a schedule, the shortest first. */
export const classesOf = (schedule: Schedule): SlotClass[] =>
  slotClasses.filter((each) => schedule[each] !== undefined);
