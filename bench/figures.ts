/** Of several measurements: the middle one and the worst. */
export interface Spread {
  readonly median: number;
  readonly max: number;
}

/** The value that `share` (0 to 1) of the values do not exceed, by nearest rank; NaN without values. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** The middle value; of an even number of values, the mean of the two in the middle. NaN without values. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  const upper = sorted[Math.floor(half)] ?? Number.NaN;
  return Number.isInteger(half) ? ((sorted[half - 1] ?? Number.NaN) + upper) / 2 : upper;
}

/** The spread of at least one value; when one is NaN, so is all of it. */
export function spreadOf(values: readonly number[]): Spread {
  const max = Math.max(...values);
  return { median: Number.isNaN(max) ? max : median(values), max };
}
