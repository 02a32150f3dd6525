export const timingNames = ['none', 'bench', 'aws'] as const;
export type TimingName = (typeof timingNames)[number];

type Step =
  | 'roundTrip'
  | 'create'
  | 'attach'
  | 'detach'
  | 'stop'
  | 'start'
  | 'modify'
  | 'optimize'
  | 'snapshot'
  | 'snapshotGib'
  | 'delete';

/** How long EC2 takes, and whether it counts calls against token buckets. */
export interface Timing {
  readonly throttled: boolean;
  /** Milliseconds this step takes this time. */
  draw(step: Step): number;
}

const bench: Readonly<Record<Step, number>> = {
  roundTrip: 60,
  create: 600,
  attach: 2000,
  detach: 2000,
  stop: 1000,
  start: 1000,
  modify: 1000,
  optimize: 1000,
  snapshot: 1000,
  snapshotGib: 0,
  delete: 500,
};

/** Median and 99th percentile, milliseconds: create as the EBS CSI driver's scale tests saw it, the rest by experience. */
const aws: Readonly<Record<Step, readonly [median: number, p99: number]>> = {
  roundTrip: [35, 80],
  create: [1500, 4000],
  attach: [2000, 8000],
  detach: [2000, 10_000],
  stop: [30_000, 60_000],
  start: [15_000, 30_000],
  modify: [5000, 20_000],
  // Hours on EC2; nobody waits for that here.
  optimize: [20_000, 120_000],
  snapshot: [10_000, 60_000],
  // All of it was written, and none is in an earlier snapshot.
  snapshotGib: [500, 2000],
  delete: [3000, 30_000],
};

const z99 = 2.326;

/** A log-normal draw with this median and 99th percentile, never under half the median. */
export function logNormal(median: number, p99: number, random: () => number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Math.max(median / 2, median * Math.exp((normal * Math.log(p99 / median)) / z99));
}

/** Milliseconds that some steps take each time, whatever the model says. */
export type FixedTimes = Readonly<Partial<Record<Step, number>>>;

/** The named timing model; `random` gives numbers from 0 up to, not including, 1. */
export function timingOf(name: TimingName, fixed: FixedTimes = {}, random: () => number = Math.random): Timing {
  const model = modelOf(name, random);
  return { ...model, draw: (step) => fixed[step] ?? model.draw(step) };
}

function modelOf(name: TimingName, random: () => number): Timing {
  if (name === 'none') return { throttled: false, draw: () => 0 };
  if (name === 'bench') return { throttled: true, draw: (step) => bench[step] };
  return { throttled: true, draw: (step) => logNormal(...aws[step], random) };
}
