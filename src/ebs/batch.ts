import { DriverError } from '../errors.ts';
import type { Call } from './attempts.ts';
import { bestLane } from './lanes.ts';
import type { Lane } from './types.ts';

interface Waiter<Item> {
  readonly key: string;
  readonly call: Call;
  readonly resolve: (items: readonly Item[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Reads of several askers in one call. It can be joined until its keys are taken, which is when it is sent. */
export class Batch<Item> implements Call {
  readonly #waiters = new Set<Waiter<Item>>();
  readonly #abandoned = new AbortController();
  #tried = '';
  #keys: readonly string[] | undefined;

  /** As the log names it. */
  get tried(): string {
    return this.#waiters.size > 1 ? `${this.#tried} and ${this.#waiters.size - 1} more` : this.#tried;
  }

  /** Aborted once every asker has left. */
  get signal(): AbortSignal {
    return this.#abandoned.signal;
  }

  get lane(): Lane {
    return bestLane([...this.#waiters].map(({ call }) => call.lane ?? 'mount'));
  }

  /** True while it can be joined with this key: not sent, not abandoned, and at most `limit` keys with it. */
  takes(key: string, limit: number): boolean {
    const asked = this.#asked();
    return this.#keys === undefined && !this.signal.aborted && (asked.has(key) || asked.size < limit);
  }

  /** The different keys that are asked for; from now on nobody joins. */
  takeKeys(): readonly string[] {
    this.#keys ??= [...this.#asked()];
    return this.#keys;
  }

  /** Gives what was read for this key, among others; the asker's own signal ends its wait alone. */
  join(key: string, call: Call): Promise<readonly Item[]> {
    const { promise, resolve, reject } = Promise.withResolvers<readonly Item[]>();
    const waiter: Waiter<Item> = { key, call, resolve, reject };
    const leave = () => {
      reject(call.signal?.reason);
      this.#waiters.delete(waiter);
      if (this.#waiters.size === 0) this.#abandoned.abort();
    };
    if (this.#waiters.size === 0) this.#tried = call.tried;
    this.#waiters.add(waiter);
    call.signal?.addEventListener('abort', leave, { once: true });
    return promise.finally(() => call.signal?.removeEventListener('abort', leave));
  }

  /** Answers those who asked for these keys. */
  resolve(keys: readonly string[], items: readonly Item[]): void {
    for (const { key, resolve } of this.#waiters) if (keys.includes(key)) resolve(items);
  }

  /** Fails those who asked for these keys, each with the error as that of its own read. */
  reject(keys: readonly string[], error: unknown): void {
    for (const { key, call, reject } of this.#waiters) {
      if (!keys.includes(key)) continue;
      const { tried } = call;
      reject(error instanceof DriverError ? new DriverError(error.code, { ...error.parts, tried }) : error);
    }
  }

  #asked(): Set<string> {
    return new Set([...this.#waiters].map(({ key }) => key));
  }
}
