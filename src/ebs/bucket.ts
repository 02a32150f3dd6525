/** A token bucket that slows down when it is refused; plain values, all times in milliseconds of one monotonic clock. */

export interface Allowance {
  /** Calls at once. */
  readonly burst: number;
  /** Calls a second in the long run. */
  readonly perSecond: number;
}

export interface Bucket {
  readonly allowance: Allowance;
  /** Calls it holds at `at`; below 0 for a while after a refusal. */
  readonly level: number;
  /** What flows in now, calls a second; at most the allowance's. */
  readonly rate: number;
  readonly at: number;
  /** When the last refusal that counted came. */
  readonly refusedAt: number;
}

/** The least rate, as a part of the allowance's: of fifty daemons that share what one is allowed. */
const leastRate = 0.02;
/**
 * The rate doubles in this time. Of daemons that share a budget each is refused as often as it calls, so that all come to
 * the same rate; slower growth means fewer refused calls, and more of the budget left unused.
 */
const doublingMs = 15_000;
/** In this time the rate grows by the factor e; what flows in is that long the difference between its ends. */
const foldMs = doublingMs / Math.LN2;

export const fullBucket = (allowance: Allowance, now: number): Bucket => ({
  allowance,
  level: allowance.burst,
  rate: allowance.perSecond,
  at: now,
  refusedAt: Number.NEGATIVE_INFINITY,
});

/** So near to a whole call that only rounding is missing. */
const almostOne = 1 - 1e-9;

/** After how many whole milliseconds a call may go for certain, unless one is refused meanwhile; 0 for now. */
export function readyIn(bucket: Bucket, now: number): number {
  const { level, rate, allowance } = advanced(bucket, now);
  return level >= almostOne ? 0 : Math.ceil(timeFor(1 - level, rate, allowance));
}

/** The bucket after a call has gone; only when {@link readyIn} is 0. */
export function spent(bucket: Bucket, now: number): Bucket {
  const current = advanced(bucket, now);
  return { ...current, level: Math.max(0, current.level - 1) };
}

/**
 * The bucket after EC2 refused a call for its rate: half as fast, empty, and by chance up to a call in debt, so that
 * daemons that were refused together do not come again together. A call sent before the last refusal tells nothing new.
 * @param random from 0 to 1.
 */
export function refused(bucket: Bucket, sentAt: number, now: number, random: number): Bucket {
  if (sentAt <= bucket.refusedAt) return bucket;
  const { rate, allowance } = advanced(bucket, now);
  return {
    ...bucket,
    level: -random,
    rate: Math.max(rate / 2, allowance.perSecond * leastRate),
    at: now,
    refusedAt: now,
  };
}

/** Its rate grows by time alone, so that a quiet hour heals too; how often it is looked at makes no difference. */
function advanced(bucket: Bucket, now: number): Bucket {
  const { allowance, level, rate, at } = bucket;
  const elapsed = Math.max(0, now - at);
  const growing = Math.min(elapsed, growthTime(rate, allowance));
  const grown =
    growing < elapsed ? allowance.perSecond : Math.min(allowance.perSecond, rate * Math.exp(growing / foldMs));
  const flow = (grown - rate) * foldMs + allowance.perSecond * (elapsed - growing);
  return { ...bucket, level: Math.min(allowance.burst, level + flow / 1000), rate: grown, at: at + elapsed };
}

/** Milliseconds until the rate is the allowance's. */
const growthTime = (rate: number, { perSecond }: Allowance): number => Math.log(perSecond / rate) * foldMs;

/** Milliseconds until so many calls have flowed in. */
function timeFor(calls: number, rate: number, allowance: Allowance): number {
  const { perSecond } = allowance;
  const whileGrowing = ((perSecond - rate) * foldMs) / 1000;
  if (calls > whileGrowing) return growthTime(rate, allowance) + ((calls - whileGrowing) / perSecond) * 1000;
  return Math.log1p((calls * 1000) / (rate * foldMs)) * foldMs;
}
