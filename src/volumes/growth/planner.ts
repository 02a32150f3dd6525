import type { AutoGrow } from '../options/growth-options.ts';
import type { Growth } from './history.ts';

/** A volume with less room does not wait until it is known how fast it fills: the usual step is better than none. */
const nearlyFull = 0.95;
const hourMs = 3600_000;
const dayMs = 24 * hourMs;
/** EC2 takes so many modifications of a volume in 24 hours (API reference of ModifyVolume). */
export const mostADay = 4;
/** One of them is left for a person, unless the volume would be full before the next. */
const automatic = mostADay - 1;
/** Waiting so long for EC2 is nothing to be told of, where the volume is not full before. */
const soonMs = 10 * 60_000;
/** Clocks of nodes differ by less; what is dated later still was written by a clock that was wrong, and would count for ever. */
const skewMs = hourMs;
/** Who fills so slowly is taken not to fill: a date that far cannot be written. */
const farMs = 3650 * dayMs;
/**
 * How long EC2 optimizes a volume before it takes the next change: a full TiB takes about six hours, and none is sure to take
 * less (user guide, "Monitor the progress of volume modifications"); more than a day was seen with none of this size.
 */
export const optimizeMs = (gib: number): number => Math.min(dayMs, 6 * hourMs * Math.max(1, Math.ceil(gib / 1024)));

/** A volume that grows by itself, as it is seen now. Sizes are GiB, times milliseconds since 1970. */
export interface GrowthView {
  readonly now: number;
  readonly sizeGib: number;
  /** Of bytes or inodes, whichever is the larger part; inodes as that part of the size. */
  readonly usedGib: number;
  /** How fast it has been filling lately, GiB a millisecond; undefined while that is not known, as soon after a start of the daemon. */
  readonly rate: number | undefined;
  readonly auto: AutoGrow;
  /** The largest size of its type. */
  readonly mostGib: number;
  readonly growths: readonly Growth[];
  /** Before this EC2 takes no change, as it said, or is not to be asked again. */
  readonly blockedUntil: number;
  /** Until when EC2 is expected to be at work on a change that is known to be under way; 0 where none is. */
  readonly busyUntil: number;
  /** How many GiB more this node may add today. */
  readonly nodeGib: number;
}

type Rated = GrowthView & { readonly rate: number };

export interface GrowthPlan {
  /** Undefined where nothing is to be done now; with what it goes on with, where it was begun. */
  readonly grow: { readonly toGib: number; readonly begun?: Growth } | undefined;
  /** Modifications that EC2 would still take in these 24 hours, as far as this driver has made them. */
  readonly left: number;
  /** Why it will be full although it grows by itself, as a clause; undefined while nothing speaks for that. */
  readonly warning: string | undefined;
  /** When it will be full at this rate; infinite while it does not fill. */
  readonly fullAt: number;
}

/**
 * Whether a volume grows now, and to what size. Each step carries it, at the rate at which it has been filling, until EC2 is
 * sure to take the next. A growth that was begun and has not arrived is gone on with, to the same size. Pure.
 */
export function planGrowth(given: GrowthView): GrowthPlan {
  const { now, sizeGib, usedGib, rate = 0, auto, growths, blockedUntil, busyUntil } = given;
  const view = { ...given, rate };
  const recent = growths.filter(({ at }) => at > now - dayMs && at < now + skewMs);
  const fullAt = whenFull(view, sizeGib);
  const left = Math.max(0, mostADay - recent.length);
  const answer = (grow: GrowthPlan['grow'], warning?: string): GrowthPlan => ({ grow, left, warning, fullAt });
  const limit = Math.min(auto.maxGib, view.mostGib);
  const begun = recent.at(-1);
  // The maximum may have been lowered since.
  if (begun !== undefined && begun.toGib > sizeGib && begun.toGib <= limit)
    return answer(...onward(begun, view, fullAt));
  const isDue = usedGib >= auto.at * sizeGib;
  if (sizeGib >= limit) {
    const near = isDue || fullAt < now + dayMs;
    return answer(undefined, near ? `it has ${sizeGib} GiB, and may not have more than ${limit}` : undefined);
  }
  const allowedAt = Math.max(blockedUntil, nextAllowed(recent, fullAt));
  if (isDue && given.rate === undefined && usedGib < nearlyFull * sizeGib) return answer(undefined);
  const busy =
    fullAt < busyUntil ? fills(fullAt, `EC2 may work on another change until ${timeOf(busyUntil)}`) : undefined;
  if (isDue && allowedAt <= now) {
    const [grow, warning = busy] = step(view, recent, limit);
    return answer(grow, warning);
  }
  const isLate = fullAt < allowedAt || (isDue && allowedAt > now + soonMs);
  return answer(undefined, isLate ? noneBefore(fullAt, allowedAt) : busy);
}

/** A growth that was begun: EC2 is asked for it again, which is harmless, until the disk has it. */
function onward(
  begun: Growth,
  { now, blockedUntil }: GrowthView,
  fullAt: number,
): [GrowthPlan['grow'], string | undefined] {
  const warning = fullAt < blockedUntil ? noneBefore(fullAt, blockedUntil) : undefined;
  return [now >= blockedUntil ? { toGib: begun.toGib, begun } : undefined, warning];
}

/** The growth that is due and allowed, or why there is none. */
function step(view: Rated, recent: readonly Growth[], limit: number): [GrowthPlan['grow'], string | undefined] {
  const { sizeGib, nodeGib } = view;
  const toGib = Math.min(limit, wanted(view, recent), sizeGib + Math.floor(nodeGib));
  if (toGib > sizeGib) return [{ toGib }, toGib === limit ? undefined : tooLittle(view, toGib)];
  return [undefined, 'this node has added as many GiB in 24 hours as DVE_GROW_PER_DAY allows'];
}

/** The size that is due. */
function wanted({ now, sizeGib, usedGib, rate, auto }: Rated, recent: readonly Growth[]): number {
  const least = 'part' in auto.by ? sizeGib * (1 + auto.by.part) : sizeGib + auto.by.gib;
  const after = [...recent.map(({ at }) => at), now];
  const slotAt = after.length < automatic ? now : (after[after.length - automatic] ?? now) + dayMs;
  const horizonMs = Math.max(optimizeMs(least), slotAt - now);
  // It is due again before it is full: what fills it meanwhile is to leave room for that.
  return Math.ceil(Math.max(least, (usedGib + rate * horizonMs) / auto.at));
}

/** When the next growth is allowed; the last place of the day only where the volume would be full before the next. */
function nextAllowed(recent: readonly Growth[], fullAt: number): number {
  const freeAt = (places: number) => (recent.length < places ? 0 : (recent[recent.length - places]?.at ?? 0) + dayMs);
  return fullAt < freeAt(automatic) ? freeAt(mostADay) : freeAt(automatic);
}

function whenFull({ now, usedGib, rate }: Rated, sizeGib: number): number {
  const inMs = rate > 0 ? Math.max(0, sizeGib - usedGib) / rate : Number.POSITIVE_INFINITY;
  return inMs < farMs ? now + inMs : Number.POSITIVE_INFINITY;
}

function tooLittle(view: Rated, toGib: number): string | undefined {
  const { now, sizeGib } = view;
  const fullAt = whenFull(view, toGib);
  const nextAt = now + optimizeMs(sizeGib);
  return fullAt < nextAt ? noneBefore(fullAt, nextAt) : undefined;
}

const timeOf = (ms: number): string => new Date(ms).toISOString();
const fills = (fullAt: number, why: string): string => `it will be full at ${timeOf(fullAt)} at this rate, and ${why}`;
const noneBefore = (fullAt: number, allowedAt: number): string =>
  Number.isFinite(fullAt)
    ? fills(fullAt, `EC2 takes its next change at ${timeOf(allowedAt)}`)
    : `EC2 takes its next change at ${timeOf(allowedAt)}`;
