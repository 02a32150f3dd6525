import { setTimeout as delay } from 'node:timers/promises';

/** Work that goes on after a call is answered: it can sleep, and everything ends when the sandbox does. */
export class Tasks {
  readonly #running = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #log: (line: string) => void;

  constructor(log: (line: string) => void) {
    this.#log = log;
  }

  /** Starts work in the background; a failure is logged under `name`. */
  start(name: string, work: () => Promise<void>): void {
    const task = this.#guard(name, work).finally(() => this.#running.delete(task));
    this.#running.add(task);
  }

  async #guard(name: string, work: () => Promise<void>): Promise<void> {
    try {
      await delay(0);
      await work();
    } catch (error) {
      if (!this.stopping) this.#log(`${name}: ${error instanceof Error ? (error.stack ?? error.message) : error}`);
    }
  }

  /** Waits; throws when the sandbox stops meanwhile. */
  async sleep(milliseconds: number): Promise<void> {
    await delay(milliseconds, undefined, { signal: this.#stop.signal });
  }

  get stopping(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Wakes all sleepers with an error and waits until nothing runs any more. */
  async close(): Promise<void> {
    this.#stop.abort();
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }
}
