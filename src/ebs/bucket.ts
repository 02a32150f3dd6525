/** A token bucket that slows down when it is refused; plain values, all times in milliseconds of one monotonic clock. */

export interface Allowance {
  /** Calls at once. */
  readonly burst: number;
  /** Calls a second in the long run. */
  readonly perSecond: number;
}

export interface Bucket {
  readonly allowance: Allowance;
  /** Calls it holds at `at`. */
  readonly level: number;
  /** What flows in now, calls a second; at most the allowance's. */
  readonly rate: number;
  readonly at: number;
  /** Nothing goes before. */
  readonly pausedUntil: number;
  /** When the last refusal that counted came. */
  readonly refusedAt: number;
  /** Refusals since the last call that got through. */
  readonly refusals: number;
}

/** The least rate, as a part of the allowance's. */
const leastRate = 0.2;
/** From nothing back to the allowance's rate. */
const recoveryMs = 60_000;
const firstPauseMs = 250;
const longestPauseMs = 5_000;

export const fullBucket = (allowance: Allowance, now: number): Bucket => ({
  allowance,
  level: allowance.burst,
  rate: allowance.perSecond,
  at: now,
  pausedUntil: now,
  refusedAt: Number.NEGATIVE_INFINITY,
  refusals: 0,
});

/** So near to a whole call that only rounding is missing. */
const almostOne = 1 - 1e-9;

/** After how many whole milliseconds a call may go for certain, with the rate as it is; 0 for now. */
export function readyIn(bucket: Bucket, now: number): number {
  const { level, rate, pausedUntil } = advanced(bucket, now);
  const missing = level >= almostOne ? 0 : 1 - level;
  return Math.ceil(Math.max(0, pausedUntil - now, (missing / rate) * 1000));
}

/** The bucket after a call has gone; only when {@link readyIn} is 0. */
export function spent(bucket: Bucket, now: number): Bucket {
  const current = advanced(bucket, now);
  return { ...current, level: Math.max(0, current.level - 1) };
}

/**
 * The bucket after EC2 refused a call for its rate: empty, half as fast, and paused at random up to a time that doubles
 * with each refusal in a row (full jitter). A call sent before the last refusal tells nothing new.
 * @param random from 0 to 1.
 */
export function refused(bucket: Bucket, sentAt: number, now: number, random: number): Bucket {
  if (sentAt <= bucket.refusedAt) return bucket;
  const { rate, allowance } = advanced(bucket, now);
  const longest = Math.min(longestPauseMs, firstPauseMs * 2 ** bucket.refusals);
  return {
    ...bucket,
    level: 0,
    rate: Math.max(rate / 2, allowance.perSecond * leastRate),
    at: now,
    pausedUntil: now + random * longest,
    refusedAt: now,
    refusals: bucket.refusals + 1,
  };
}

/** The bucket after a call got through. */
export function accepted(bucket: Bucket, sentAt: number): Bucket {
  return sentAt <= bucket.refusedAt ? bucket : { ...bucket, refusals: 0 };
}

/** Its rate grows by time alone, so that a quiet hour heals too; how often it is looked at makes no difference. */
function advanced(bucket: Bucket, now: number): Bucket {
  const { allowance, level, rate, at } = bucket;
  const elapsed = Math.max(0, now - at);
  const growth = allowance.perSecond / recoveryMs;
  const growing = Math.min(elapsed, (allowance.perSecond - rate) / growth);
  const flow = rate * growing + (growth * growing ** 2) / 2 + allowance.perSecond * (elapsed - growing);
  return {
    ...bucket,
    level: Math.min(allowance.burst, level + flow / 1000),
    rate: growing < elapsed ? allowance.perSecond : rate + growth * growing,
    at: at + elapsed,
  };
}
