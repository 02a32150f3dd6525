import { visibilityMs } from '../ebs/volume-record.ts';

/** A while of looks: the first after a delay, then at a flat interval. */
export interface Looks {
  readonly forMs: number;
  readonly delayMs: number;
  readonly everyMs: number;
}

/** How long each part of a takeover waits, in milliseconds. Tests give their own. */
export interface FenceTimings {
  /** A running owner gets this long to let go: a planned move reaches the new node before the old one has finished. */
  readonly handoverMs: number;
  readonly handoverLookMs: number;
  /** Pauses between looks at an owner that changes; the last one is repeated. */
  readonly waitLooksMs: readonly number[];
  /** An owner that stops, shuts down or lets go gets this long before an operator is asked for. */
  readonly waitMs: number;
  /** Between two looks at a stopped owner. */
  readonly recheckMs: number;
  /** Every change of EC2 older than this is taken to be visible (Δ, ebs/volume-record.ts). */
  readonly visibleMs: number;
  /** A destructive call is sent at most this long after the check that allowed it. */
  readonly sendMs: number;
  /** How long a graceful stop may take before a forced one. */
  readonly gracefulMs: number;
  /** How a detach is looked at: EC2 takes some 2 s for one, and sooner is noticed soon. The sum is how long it may take. */
  readonly detachLooks: readonly Looks[];
  /** The same where EC2 detaches by itself, because the owner is terminated; then it is told to. */
  readonly vanishLooks: readonly Looks[];
  /** The same for a detach by force; after that an operator is needed. */
  readonly forcedDetachLooks: readonly Looks[];
  /** Pauses before a step that EC2 could not be asked for is tried again; when they are used up, the takeover fails. */
  readonly retriesMs: readonly number[];
}

export const fenceTimings: FenceTimings = {
  handoverMs: 10_000,
  handoverLookMs: 2000,
  waitLooksMs: [1000, 1000, 2000, 2000, 2000, 5000, 5000, 5000, 5000, 10_000],
  waitMs: 600_000,
  recheckMs: 5000,
  visibleMs: visibilityMs,
  sendMs: 10_000,
  gracefulMs: 240_000,
  detachLooks: [
    { forMs: 2600, delayMs: 1950, everyMs: 100 },
    { forMs: 7400, delayMs: 300, everyMs: 400 },
    { forMs: 50_000, delayMs: 1000, everyMs: 2000 },
  ],
  vanishLooks: [{ forMs: 15_000, delayMs: 0, everyMs: 1000 }],
  forcedDetachLooks: [
    { forMs: 10_000, delayMs: 500, everyMs: 500 },
    { forMs: 590_000, delayMs: 5000, everyMs: 5000 },
  ],
  retriesMs: [1000, 2000, 4000, 8000, 15_000],
};

/** The pause before look number `look`, which counts from 0. */
export function pauseBefore(looksMs: readonly number[], look: number): number {
  return looksMs[Math.min(look, looksMs.length - 1)] ?? 0;
}
