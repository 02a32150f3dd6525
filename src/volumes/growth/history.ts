import { tagKeys } from '../../ebs/tags.ts';
import type { Tags } from '../../ebs/types.ts';

/** One time that a volume grew by itself, or was to. */
export interface Growth {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly fromGib: number;
  readonly toGib: number;
  /** How much was used then, GiB. */
  readonly usedGib: number;
}

/** As many as EC2 takes in its 24 hours. */
const keptAtMost = 4;

/** What EBS volumes cannot have more of (64 TiB), and the last date that can be written. */
const [mostGib, lastDate] = [65_536, 8.64e15];

/**
 * The last growths of a volume, the oldest first. What a person has spoilt is left out; what a newer version may add to one
 * is not looked at.
 */
export function readGrowths(tags: Tags): Growth[] {
  return (tags[tagKeys.growth] ?? '').split(' ').flatMap((text) => {
    const numbers = text.split(':').map((part) => (/^\d+(\.\d+)?$/.test(part) ? Number(part) : Number.NaN));
    const [at = Number.NaN, fromGib = Number.NaN, toGib = Number.NaN, usedGib = Number.NaN] = numbers;
    const isWhole = [at, fromGib, toGib, usedGib].every((number) => Number.isFinite(number));
    const isSane = toGib > fromGib && toGib <= mostGib && at * 1000 <= lastDate;
    return isWhole && isSane ? [{ at: at * 1000, fromGib, toGib, usedGib }] : [];
  });
}

/** What this node and EC2 know of a volume's growths, either of which may lag: all of them, the oldest first. */
export function allGrowths(...tags: readonly Tags[]): Growth[] {
  const byTime = new Map(tags.flatMap(readGrowths).map((growth) => [growth.at, growth]));
  return [...byTime.values()].sort((a, b) => a.at - b.at);
}

/** The tag's value: the last growths, as many as fit the 256 characters of a tag. */
export function growthsTag(growths: readonly Growth[]): string {
  return growths
    .slice(-keptAtMost)
    .map(({ at, fromGib, toGib, usedGib }) => [Math.floor(at / 1000), fromGib, toGib, usedGib.toFixed(2)].join(':'))
    .join(' ');
}
