import { isCode } from '../errors.ts';
import type { Call } from './attempts.ts';
import { Batch } from './batch.ts';

/** A batch waits for the answer to one sent before it, but no longer than this: a stuck call must not hold up others. */
const longestWaitMs = 100;

interface SharedReadsOptions<Item> {
  /** Keys in one call. */
  readonly limit: number;
  /** Reads what belongs to the keys, in one go. It takes the keys no earlier than it sends. */
  readonly read: (call: Call, takeKeys: () => readonly string[]) => Promise<readonly Item[]>;
}

/**
 * Lets reads of one kind share EC2 calls: the first goes at once, those asked for while one is under way go together in
 * the next. A read is only answered from a call that was sent after it was asked for: it never joins one under way.
 */
export class SharedReads<Item> {
  readonly #options: SharedReadsOptions<Item>;
  /** Batches that wait for those under way, with the timers that end their wait. */
  readonly #waiting = new Map<Batch<Item>, NodeJS.Timeout>();
  readonly #underWay = new Set<Batch<Item>>();
  #open: Batch<Item> | undefined;

  constructor(options: SharedReadsOptions<Item>) {
    this.#options = options;
  }

  /**
   * Gives what was read for this key and others.
   * @throws what the shared call failed with, as an error about this read; the signal's reason when aborted.
   */
  async ask(key: string, call: Call): Promise<readonly Item[]> {
    call.signal?.throwIfAborted();
    if (!this.#open?.takes(key, this.#options.limit)) this.#open = this.#next();
    return this.#open.join(key, call);
  }

  #next(): Batch<Item> {
    const batch = new Batch<Item>();
    // After the events at hand, so that what they ask for goes together.
    if (this.#underWay.size === 0) setImmediate(() => this.#begin(batch));
    else
      this.#waiting.set(
        batch,
        setTimeout(() => this.#begin(batch), longestWaitMs),
      );
    return batch;
  }

  #begin(batch: Batch<Item>): void {
    clearTimeout(this.#waiting.get(batch));
    this.#waiting.delete(batch);
    if (!batch.signal.aborted) void this.#send(batch);
  }

  async #send(batch: Batch<Item>): Promise<void> {
    const takeKeys = () => {
      this.#underWay.add(batch);
      return batch.takeKeys();
    };
    await this.#read(batch, takeKeys);
    this.#underWay.delete(batch);
    for (const next of [...this.#waiting.keys()]) this.#begin(next);
  }

  async #read(batch: Batch<Item>, takeKeys: () => readonly string[]): Promise<void> {
    try {
      const items = await this.#options.read(batch, takeKeys);
      batch.resolve(takeKeys(), items);
    } catch (error) {
      const keys = takeKeys();
      if (keys.length < 2 || !isCode(error, 'EC2_REJECTED', 'EC2_NO_SUCH_INSTANCE')) batch.reject(keys, error);
      else await this.#readHalves(batch, keys);
    }
  }

  /** A key that EC2 does not take must fail only those who asked for it. */
  async #readHalves(batch: Batch<Item>, keys: readonly string[]): Promise<void> {
    const middle = Math.ceil(keys.length / 2);
    const halves = [keys.slice(0, middle), keys.slice(middle)];
    await Promise.all(halves.map((half) => this.#read(batch, () => half)));
  }
}
