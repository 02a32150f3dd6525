import { type Query, text } from './query.ts';

/** A token bucket: `size` calls at once, `refill` a second. */
interface BucketSize {
  readonly size: number;
  readonly refill: number;
}

const mutating: BucketSize = { size: 50, refill: 5 };
const listing: BucketSize = { size: 100, refill: 20 };
const unfiltered: BucketSize = { size: 50, refill: 10 };

/** The buckets EC2 documents per account, Region and API ("Request throttling for the Amazon EC2 API"). */
const special: Readonly<Record<string, BucketSize>> = {
  CreateVolume: { size: 100, refill: 5 },
  DeleteVolume: { size: 100, refill: 5 },
  CreateSnapshot: { size: 100, refill: 5 },
  DeleteSnapshot: { size: 100, refill: 5 },
  CreateTags: { size: 100, refill: 10 },
  DeleteTags: { size: 100, refill: 10 },
  TerminateInstances: { size: 100, refill: 5 },
  RunInstances: { size: 5, refill: 2 },
  StartInstances: { size: 5, refill: 2 },
};

/** The bucket a call draws from; a Describe without filter and MaxResults has a smaller one of its own. */
export function bucketOf(action: string, query: Query): { readonly name: string; readonly bucket: BucketSize } {
  if (!action.startsWith('Describe')) return { name: action, bucket: special[action] ?? mutating };
  const narrowed = query['Filter'] !== undefined || text(query, 'MaxResults') !== undefined;
  return narrowed ? { name: action, bucket: listing } : { name: `${action} unfiltered`, bucket: unfiltered };
}

/** All token buckets of the account, filled at first. Times are in milliseconds. */
export class Throttle {
  readonly #levels = new Map<string, { level: number; at: number }>();

  /** Takes one token; false when the bucket is empty, which EC2 answers with RequestLimitExceeded. */
  take(action: string, query: Query, now: number): boolean {
    const { name, bucket } = bucketOf(action, query);
    const before = this.#levels.get(name) ?? { level: bucket.size, at: now };
    const level = Math.min(bucket.size, before.level + ((now - before.at) / 1000) * bucket.refill);
    const granted = level >= 1;
    this.#levels.set(name, { level: granted ? level - 1 : level, at: now });
    return granted;
  }
}
