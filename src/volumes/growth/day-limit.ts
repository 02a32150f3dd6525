import type { Node } from '../state/node.ts';
import { type Growth, readGrowths } from './history.ts';

const dayMs = 24 * 3600_000;

/** How much this node lets volumes grow by themselves in 24 hours, all together. Times are milliseconds since 1970. */
export interface DayLimit {
  /** GiB that are left of it. */
  left(now: number): number;
  /** Counts a growth before anything is waited for, so that two at once never have the same GiB. */
  take(volumeId: string, growth: Growth): void;
  giveBack(volumeId: string, growth: Growth): void;
}

/** Counts what the tags of the volumes held here say, and what those had grown by that have left since this daemon's start. */
export function createDayLimit({ held, settings }: Pick<Node, 'held' | 'settings'>): DayLimit {
  const counted = new Map<string, Growth>();
  const keyOf = (volumeId: string, { at }: Growth) => `${volumeId} ${at}`;
  return {
    left(now) {
      for (const { volume } of held.values())
        for (const growth of readGrowths(volume.tags)) counted.set(keyOf(volume.id, growth), growth);
      for (const [key, { at }] of counted) if (Math.abs(now - at) >= dayMs) counted.delete(key);
      return [...counted.values()].reduce((left, { fromGib, toGib }) => left - (toGib - fromGib), settings.growPerDay);
    },
    take(volumeId, growth) {
      counted.set(keyOf(volumeId, growth), growth);
    },
    giveBack(volumeId, growth) {
      counted.delete(keyOf(volumeId, growth));
    },
  };
}
