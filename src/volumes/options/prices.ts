/**
 * What storage costs a GiB and month in USD: AWS's list prices of us-east-1 (aws.amazon.com/ebs/pricing). Other Regions cost
 * up to twice that, and provisioned IOPS and throughput come on top.
 */
const perGibMonth: Readonly<Record<string, number>> = {
  gp3: 0.08,
  gp2: 0.1,
  io1: 0.125,
  io2: 0.125,
  st1: 0.045,
  sc1: 0.015,
  standard: 0.05,
  snapshot: 0.05,
};

/** Roughly what a month of storage costs, in USD. @param type an EBS volume type, or `snapshot`. */
export const monthlyCost = (type: string, gib: number): number =>
  Math.round((perGibMonth[type] ?? 0) * gib * 100) / 100;
