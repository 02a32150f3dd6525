import type { Lane } from './types.ts';

const rank: Readonly<Record<Lane, number>> = { takeover: 0, mount: 1, list: 2 };

/** The lane that is served first. */
export const bestLane = (lanes: readonly Lane[]): Lane =>
  lanes.reduce((best, lane) => (rank[lane] < rank[best] ? lane : best), 'list');

export interface Queued {
  /** Where it waits; may improve while it does. "mount" where it says nothing. */
  readonly lane?: Lane | undefined;
  /** Its place within the lane: the least goes first. */
  readonly place: number;
}

/** The one whose turn it is: of the best lane, the one with the least place. */
export function first<T extends Queued>(queue: Iterable<T>): T | undefined {
  let best: T | undefined;
  for (const each of queue) if (best === undefined || isBefore(each, best)) best = each;
  return best;
}

function isBefore(one: Queued, other: Queued): boolean {
  const difference = rank[one.lane ?? 'mount'] - rank[other.lane ?? 'mount'];
  return difference === 0 ? one.place < other.place : difference < 0;
}
