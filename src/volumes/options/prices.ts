/**
 * What a type costs: dollars for a month, by GiB, by IOPS and by MiB/s beyond what is free. From AWS's Price List API, us-east-1,
 * as of early 2026 (usage types EBS:VolumeUsage.*, EBS:VolumeP-IOPS.*, EBS:VolumeP-Throughput.gp3, which is 40.96 for 1024 MiB/s);
 * docs/grow.md has the same table. Other Regions cost up to twice that. The higher steps of io2 and requests to standard are
 * left out.
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

/** A GiB of a snapshot for a month, from the same list (standard tier). */
const snapshotGib = 0.05;

interface Priced {
  readonly type: string;
  readonly sizeGiB: number;
  readonly iops: number | undefined;
  /** MiB/s. */
  readonly throughput: number | undefined;
}

/** Dollars a month, roughly; undefined for a type that has no price here. */
export function monthlyCost({ type, sizeGiB, iops = 0, throughput = 0 }: Priced): number | undefined {
  const price = prices[type];
  if (price === undefined) return undefined;
  const paidIops = Math.max(0, iops - (price.freeIops ?? 0)) * (price.iops ?? 0);
  const paidThroughput = Math.max(0, throughput - (price.freeThroughput ?? 0)) * (price.throughput ?? 0);
  return sizeGiB * price.gib + paidIops + paidThroughput;
}

/** Dollars a month for a snapshot, at most: it costs what was written and is in no earlier snapshot, which EC2 does not tell. */
export const snapshotCost = (sizeGiB: number): number => sizeGiB * snapshotGib;
