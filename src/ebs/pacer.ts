import { type Bucket, fullBucket, readyIn, refused, spent } from './bucket.ts';
import { allowanceOf } from './budgets.ts';
import { first, type Queued } from './lanes.ts';
import type { Lane } from './types.ts';

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
   * @throws the signal's reason once it is aborted.
   */
  turn(action: string, entrant: Queued, signal?: AbortSignal): Promise<void> {
    return this.#gate(action).enter(entrant, signal);
  }

  /** EC2 refused a call of this action for its rate; `sentAt` by performance.now(). */
  refused(action: string, sentAt: number): void {
    this.#gate(action).change((bucket, now) => refused(bucket, sentAt, now, Math.random()));
  }

  #gate(action: string): Gate {
    const gate = this.#gates.get(action) ?? new Gate(fullBucket(allowanceOf(action), performance.now()));
    this.#gates.set(action, gate);
    return gate;
  }
}

/** The calls of one action: its bucket and who waits for it. */
class Gate {
  #bucket: Bucket;
  readonly #queue = new Map<Queued, () => void>();
  #timer: NodeJS.Timeout | undefined;

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  change(next: (bucket: Bucket, now: number) => Bucket): void {
    this.#bucket = next(this.#bucket, performance.now());
  }

  async enter(entrant: Queued, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = () => {
      this.#queue.delete(entrant);
      this.#serve();
      reject(signal?.reason);
    };
    this.#queue.set(entrant, resolve);
    signal?.addEventListener('abort', leave, { once: true });
    this.#serve();
    await promise.finally(() => signal?.removeEventListener('abort', leave));
  }

  #serve(): void {
    clearTimeout(this.#timer);
    for (let next = first(this.#queue.keys()); next !== undefined; next = first(this.#queue.keys())) {
      const now = performance.now();
      const delay = readyIn(this.#bucket, now);
      if (delay > 0) {
        this.#timer = setTimeout(() => this.#serve(), delay);
        return;
      }
      this.#bucket = spent(this.#bucket, now);
      const go = this.#queue.get(next);
      this.#queue.delete(next);
      go?.();
    }
  }
}
