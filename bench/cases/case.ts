import type { Lab } from '../lab.ts';
import type { Row } from '../row.ts';

/** A part of the benchmark that can be run alone. */
export interface Case {
  readonly name: string;
  readonly summary: string;
  readonly run: (lab: Lab) => Promise<Row[]>;
}

/** Longer than the driver gives an answer about volumes of others again without asking EC2. */
export const forgottenMs = 1200;

/** Gives what `work` gives in each of `runs` rounds, one after another. */
export async function rounds<T>(runs: number, work: (round: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let round = 0; round < runs; round += 1) results.push(await work(round));
  return results;
}
