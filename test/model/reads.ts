/**
 * What EC2's reads may answer: not the truth but any version of a record that has not expired, the newest, the one before,
 * and next time the newest again.
 */

/** Versions of one record, newest first. Each is the number of a value and, below it, who has begun to wait since it was superseded. */
export type History = readonly number[];

const waiterBits = 3;
export const valueIn = (version: number): number => version >> waiterBits;

export function begun(value: number): History {
  return [value << waiterBits];
}

/** The record changes, of which reads go on to answer one of the last `depth` versions. An older version with the same value is forgotten: whoever reads it cannot tell. */
export function publish(history: History, value: number, depth: number): History {
  if (valueIn(history[0]!) === value) return history;
  const changed = [value << waiterBits];
  for (const version of history) {
    if (valueIn(version) !== value && changed.length < depth) changed.push(version);
  }
  return changed;
}

/** Somebody begins to wait as long as it takes until every change made so far is visible. */
export function startWait(history: History, waiter: number): History {
  if (history.length === 1) return history;
  return history.map((version, index) => (index === 0 ? version : version | (1 << waiter)));
}

/** The wait is over: versions superseded before it began are read by nobody any more. */
export function endWait(history: History, waiter: number): History {
  return history.some((version) => version & (1 << waiter))
    ? history.filter((version) => !(version & (1 << waiter)))
    : history;
}

/** The one who waited has given up. */
export function dropWait(history: History, waiter: number): History {
  return history.some((version) => version & (1 << waiter))
    ? history.map((version) => version & ~(1 << waiter))
    : history;
}

/** How a trace names the version that a read answered. */
export const ages = ['', ' (one change ago)', ' (two changes ago)', ' (three changes ago)'] as const;
