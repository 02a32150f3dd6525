import { type Bucket, fullBucket, readyIn, refused, spent } from './bucket.ts';
import { allowanceOf } from './budgets.ts';
import { first, type Queued } from './lanes.ts';
import type { Lane } from './types.ts';

/**
 * So many calls of an action go at once when it was quiet before; each that is over makes room for one more. A volley at
 * full width would empty the account's bucket before anybody in a fleet has heard of a refusal.
 */
const firstWindow = 2;
/** A call that takes longer makes room as if it were over, in milliseconds: a stuck one must not hold up others. */
const longestMs = 1000;

/** Says that an attempt is over, and whether EC2 refused it for its rate. */
export type Over = (outcome: 'refused' | 'served') => void;

/** Lets each EC2 API action go as fast as its budget allows; actions do not slow each other. */
export class Pacer {
  readonly #gates = new Map<string, Gate>();
  #places = 0;

  /** A new call, behind all before it in its lane; the lane is read again at every turn, as it may improve. */
  entrant(call: { readonly lane?: Lane | undefined }): Queued {
    this.#places += 1;
    return {
      get lane() {
        return call.lane;
      },
      place: this.#places,
    };
  }

  /**
   * Resolves when a call of this action may be sent. One that EC2 refused waits again with the same place.
   * @returns what to call once the attempt is over. @throws the signal's reason once it is aborted.
   */
  turn(action: string, entrant: Queued, signal?: AbortSignal): Promise<Over> {
    return this.#gate(action).enter(entrant, signal);
  }

  #gate(action: string): Gate {
    const gate = this.#gates.get(action) ?? new Gate(fullBucket(allowanceOf(action), performance.now()));
    this.#gates.set(action, gate);
    return gate;
  }
}

/** The calls of one action: its bucket, who waits for it, and what is under way. */
class Gate {
  #bucket: Bucket;
  readonly #queue = new Map<Queued, (over: Over) => void>();
  readonly #underWay = new Set<object>();
  #window = firstWindow;
  #timer: NodeJS.Timeout | undefined;

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  async enter(entrant: Queued, signal?: AbortSignal): Promise<Over> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<Over>();
    const leave = () => {
      this.#queue.delete(entrant);
      this.#serve();
      reject(signal?.reason);
    };
    this.#queue.set(entrant, resolve);
    signal?.addEventListener('abort', leave, { once: true });
    this.#serve();
    return promise.finally(() => signal?.removeEventListener('abort', leave));
  }

  #serve(): void {
    clearTimeout(this.#timer);
    for (let next = first(this.#queue.keys()); next !== undefined; next = first(this.#queue.keys())) {
      if (this.#underWay.size >= this.#window) return;
      const now = performance.now();
      const delay = readyIn(this.#bucket, now);
      if (delay > 0) {
        this.#timer = setTimeout(() => this.#serve(), delay);
        return;
      }
      this.#bucket = spent(this.#bucket, now);
      const go = this.#queue.get(next);
      this.#queue.delete(next);
      go?.(this.#begin(now));
    }
  }

  #begin(sentAt: number): Over {
    const call = {};
    this.#underWay.add(call);
    const end = () => {
      clearTimeout(late);
      if (this.#underWay.delete(call)) this.#window += 1;
      if (this.#underWay.size === 0 && this.#queue.size === 0) this.#window = firstWindow;
      this.#serve();
    };
    const late = setTimeout(end, longestMs);
    return (outcome) => {
      const now = performance.now();
      if (outcome === 'refused') this.#bucket = refused(this.#bucket, sentAt, now, Math.random());
      end();
    };
  }
}
