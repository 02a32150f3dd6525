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
  /** That refusal was the first since the rate was whole: it told this one's share. */
  readonly sharing: boolean;
}

/** The least rate, as a part of the allowance's: of two hundred daemons that share what one is allowed. */
const leastRate = 0.005;
/** The least share that a first refusal tells: one whose only call is refused, since others were busy just then, waits for seconds. */
const leastShare = 0.02;
/** The first refusal is followed by another try within this time: whoever has one call to make waits no longer for it. */
const firstWaitSeconds = 2;
/** What one refusal leaves of the rate. Small steps: the first refusal has told the share already. */
const slowing = 0.85;
/**
 * The rate grows the faster the higher it is: by r' = 2 g r^1.5, so that it doubles within this time where twenty share an
 * allowance, within 45 s where a hundred do. Of daemons that share, each is refused as often as its rate grows: slower
 * growth means fewer refused calls, and more of the budget left unused when others have finished.
 */
const doublingOfTwentiethMs = 20_000;
/** The g above, for rates in calls a second and times in seconds. */
const growth = ({ perSecond }: Allowance): number =>
  Math.LN2 / ((2 * doublingOfTwentiethMs) / 1000) / Math.sqrt(perSecond / 20);

export const fullBucket = (allowance: Allowance, now: number): Bucket => ({
  allowance,
  level: allowance.burst,
  rate: allowance.perSecond,
  at: now,
  refusedAt: Number.NEGATIVE_INFINITY,
  sharing: false,
});

/** So near to a whole call that only rounding is missing. */
const almostOne = 1 - 1e-9;

/** After how many whole milliseconds a call may go for certain, unless one is refused meanwhile; 0 for now. */
export function readyIn(bucket: Bucket, now: number): number {
  const { level, rate, allowance } = advanced(bucket, now);
  return level >= almostOne ? 0 : Math.ceil(secondsFor(1 - level, rate, allowance) * 1000);
}

/** The bucket after a call has gone; only when {@link readyIn} is 0. */
export function spent(bucket: Bucket, now: number): Bucket {
  const current = advanced(bucket, now);
  return { ...current, level: Math.max(0, current.level - 1) };
}

/**
 * The bucket after EC2 refused a call for its rate: slower, empty, and by chance up to a call in debt, so that daemons that
 * were refused together do not come again together. The first refusal shows that the account's bucket, full before, is
 * empty: what this one has had of it is its share, of the flow too. A call sent before the last refusal tells only
 * that it was not among those.
 * @param random from 0 to 1.
 */
export function refused(bucket: Bucket, sentAt: number, now: number, random: number): Bucket {
  const { perSecond, burst } = bucket.allowance;
  if (sentAt <= bucket.refusedAt) {
    const rate = Math.max(perSecond * leastShare, bucket.rate - perSecond / burst);
    return bucket.sharing ? { ...bucket, rate } : bucket;
  }
  const { rate, level } = advanced(bucket, now);
  const sharing = rate === perSecond;
  const share = Math.min(slowing, Math.max(leastShare, (burst - level - 1) / burst));
  const slower = sharing ? perSecond * share : Math.max(perSecond * leastRate, rate * slowing);
  const lowest = sharing ? 1 - slower * firstWaitSeconds * (0.5 + random / 2) : -1;
  return { ...bucket, level: Math.max(-random, lowest), rate: slower, at: now, refusedAt: now, sharing };
}

/** Its rate grows by time alone, so that a quiet hour heals too; how often it is looked at makes no difference. */
function advanced(bucket: Bucket, now: number): Bucket {
  const { allowance, level, rate, at } = bucket;
  const elapsed = Math.max(0, now - at) / 1000;
  const g = growth(allowance);
  const growing = Math.min(elapsed, growthTime(rate, allowance));
  const grown =
    growing < elapsed
      ? allowance.perSecond
      : Math.min(allowance.perSecond, 1 / (1 / Math.sqrt(rate) - g * growing) ** 2);
  const flow = (Math.sqrt(grown) - Math.sqrt(rate)) / g + allowance.perSecond * (elapsed - growing);
  return { ...bucket, level: Math.min(allowance.burst, level + flow), rate: grown, at: Math.max(at, now) };
}

/** Seconds until the rate is the allowance's. */
const growthTime = (rate: number, allowance: Allowance): number =>
  (1 / Math.sqrt(rate) - 1 / Math.sqrt(allowance.perSecond)) / growth(allowance);

/** Seconds until so many calls have flowed in. */
function secondsFor(calls: number, rate: number, allowance: Allowance): number {
  const { perSecond } = allowance;
  const g = growth(allowance);
  const whileGrowing = (Math.sqrt(perSecond) - Math.sqrt(rate)) / g;
  if (calls > whileGrowing) return growthTime(rate, allowance) + (calls - whileGrowing) / perSecond;
  return (1 / Math.sqrt(rate) - 1 / (Math.sqrt(rate) + g * calls)) / g;
}
