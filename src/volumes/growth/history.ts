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

/** The last growths of a volume, the oldest first. What a person has spoilt is left out. */
export function readGrowths(tags: Tags): Growth[] {
  return (tags[tagKeys.growth] ?? '').split(' ').flatMap((text) => {
    const numbers = text.split(':').map((part) => (/^\d+(\.\d+)?$/.test(part) ? Number(part) : Number.NaN));
    const [at = Number.NaN, fromGib = Number.NaN, toGib = Number.NaN, usedGib = Number.NaN] = numbers;
    const isWhole = numbers.length === 4 && numbers.every((number) => Number.isFinite(number)) && toGib > fromGib;
    return isWhole ? [{ at: at * 1000, fromGib, toGib, usedGib }] : [];
  });
}

/** The tag's value with one more: fits the 256 characters of a tag. */
export function growthsTag(growths: readonly Growth[], next: Growth): string {
  return [...growths, next]
    .slice(-keptAtMost)
    .map(({ at, fromGib, toGib, usedGib }) => [Math.floor(at / 1000), fromGib, toGib, usedGib.toFixed(2)].join(':'))
    .join(' ');
}
