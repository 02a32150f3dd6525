import { syncBuiltinESMExports } from 'node:module';
import promises from 'node:timers/promises';

interface Timer {
  readonly at: number;
  readonly place: number;
  readonly run: () => void;
  ended: boolean;
}

/**
 * Runs work on a clock of its own: timers go off in their order, each as soon as nothing before it is left to do. Covers
 * the global timers, node:timers/promises, performance.now and Date.now; chance is drawn from the seed.
 * @param longestMs virtual milliseconds. @returns what the work gives. @throws what it throws; an Error when it takes longer.
 */
export async function inVirtualTime<T>(seed: number, longestMs: number, work: () => Promise<T>): Promise<T> {
  const turn = setImmediate;
  const queue = new TimerQueue();
  const restore = install(queue, seed);
  try {
    let settled = false;
    const done = work().finally(() => {
      settled = true;
    });
    done.catch(() => undefined);
    for (;;) {
      // Promises that can go on do so before the next timer.
      await new Promise<void>((resolve) => void turn(resolve));
      if (settled) return await done;
      const timer = queue.next();
      if (timer === undefined) throw new Error('nothing is left to happen, and the work is not done');
      if (timer.at > longestMs) throw new Error(`the work is not done after ${longestMs / 1000} s of virtual time`);
      timer.run();
    }
  } finally {
    restore();
  }
}

/** Puts virtual time in place of the real; the result takes it away again. */
function install(queue: TimerQueue, seed: number): () => void {
  const epoch = Date.parse('2026-01-01T00:00:00Z');
  const { random } = Math;
  const { now: today } = Date;
  const { setTimeout, clearTimeout, setImmediate } = globalThis;
  const sleep = promises.setTimeout;
  const steady = Object.getOwnPropertyDescriptor(performance, 'now');
  const start = (run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => queue.add(ms, () => run(...args));
  const later = (ms = 0, value?: unknown, { signal }: { signal?: AbortSignal } = {}) =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const timer = queue.add(ms, () => resolve(value));
      const leave = () => {
        timer.ended = true;
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', leave, { once: true });
    });
  Object.assign(globalThis, {
    setTimeout: start,
    setImmediate: (run: (...args: unknown[]) => void, ...args: unknown[]) => start(run, 0, ...args),
    clearTimeout: (timer: Timer | undefined) => {
      if (timer !== undefined) timer.ended = true;
    },
  });
  Object.defineProperty(performance, 'now', { value: () => queue.now, configurable: true, writable: true });
  Math.random = generator(seed);
  Date.now = () => epoch + queue.now;
  Object.assign(promises, { setTimeout: later });
  syncBuiltinESMExports();
  return () => {
    Object.assign(globalThis, { setTimeout, clearTimeout, setImmediate });
    if (steady === undefined) Reflect.deleteProperty(performance, 'now');
    else Object.defineProperty(performance, 'now', steady);
    Math.random = random;
    Date.now = today;
    Object.assign(promises, { setTimeout: sleep });
    syncBuiltinESMExports();
  };
}

/** Numbers from 0 to 1 (mulberry32). */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A binary heap of timers, by time and then by place. */
class TimerQueue {
  now = 0;
  readonly #heap: Timer[] = [];
  #places = 0;

  add(ms: number, run: () => void): Timer {
    this.#places += 1;
    const timer = { at: this.now + Math.max(0, ms), place: this.#places, run, ended: false, unref: () => timer };
    const heap = this.#heap;
    heap.push(timer);
    for (let at = heap.length - 1; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (!isBefore(heap[at], heap[parent])) break;
      swap(heap, at, parent);
      at = parent;
    }
    return timer;
  }

  /** The next one that has not been cleared; time moves to it. */
  next(): Timer | undefined {
    for (let timer = this.#pop(); timer !== undefined; timer = this.#pop()) {
      if (timer.ended) continue;
      this.now = timer.at;
      return timer;
    }
    return undefined;
  }

  #pop(): Timer | undefined {
    const heap = this.#heap;
    swap(heap, 0, heap.length - 1);
    const top = heap.pop();
    for (let at = 0; ; ) {
      const left = 2 * at + 1;
      const least = isBefore(heap[left + 1], heap[left]) ? left + 1 : left;
      if (!isBefore(heap[least], heap[at])) return top;
      swap(heap, at, least);
      at = least;
    }
  }
}

const isBefore = (one: Timer | undefined, other: Timer | undefined): boolean =>
  one !== undefined && (other === undefined || one.at < other.at || (one.at === other.at && one.place < other.place));

function swap(heap: Timer[], one: number, other: number): void {
  const [a, b] = [heap[one], heap[other]];
  if (a === undefined || b === undefined) return;
  heap[one] = b;
  heap[other] = a;
}
