import type { ModifyReport } from '../../volumes/types.ts';

type Shape = ModifyReport['after'];

/**
 * What a type costs: dollars for a month, by GiB, by IOPS and by MiB/s beyond what is free. AWS's list prices of us-east-1,
 * 2025 ("Amazon EBS pricing"); docs/grow.md has the same table. The higher steps of io2 and requests to standard are left out.
 */
export const prices: Readonly<
  Record<string, { gib: number; iops?: number; freeIops?: number; throughput?: number; freeThroughput?: number }>
> = {
  gp3: { gib: 0.08, iops: 0.005, freeIops: 3000, throughput: 0.04, freeThroughput: 125 },
  gp2: { gib: 0.1 },
  io1: { gib: 0.125, iops: 0.065 },
  io2: { gib: 0.125, iops: 0.065 },
  st1: { gib: 0.045 },
  sc1: { gib: 0.015 },
  standard: { gib: 0.05 },
};

/** Dollars a month; undefined for a type that has no price here. */
export function monthly({ type, sizeGib, iops = 0, throughput = 0 }: Shape): number | undefined {
  const price = prices[type];
  if (price === undefined) return undefined;
  const paidIops = Math.max(0, iops - (price.freeIops ?? 0)) * (price.iops ?? 0);
  const paidThroughput = Math.max(0, throughput - (price.freeThroughput ?? 0)) * (price.throughput ?? 0);
  return sizeGib * price.gib + paidIops + paidThroughput;
}

/** What a change does to the bill, as a sentence; undefined where that is not known. */
export function billText(before: Shape, after: Shape): string | undefined {
  const [was, is] = [monthly(before), monthly(after)];
  if (was === undefined || is === undefined) return undefined;
  const dollars = (amount: number) => `$${amount.toFixed(2)}`;
  return `It costs about ${dollars(was)} a month now and ${dollars(is)} then, by the list prices of us-east-1 (docs/grow.md).`;
}
