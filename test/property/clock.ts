import { onTestFinished, vi } from 'vitest';

const { setImmediate } = globalThis;

/** Lets everything run that waits for no timer. */
const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Virtual time that goes from timer to timer. Begins now; `end` before anything else uses timers. */
export function startClock(): { end(): void } {
  vi.useFakeTimers({
    now: 0,
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
  });
  const end = () => {
    vi.clearAllTimers();
    vi.useRealTimers();
  };
  onTestFinished(end);
  return { end };
}

/** Lets virtual time pass and calls back after everything that happens, each timer by itself. */
export async function pass(ms: number, afterEach: () => void): Promise<void> {
  let over = false;
  setTimeout(() => {
    over = true;
  }, ms);
  for (;;) {
    await settled();
    afterEach();
    if (over) return;
    vi.advanceTimersToNextTimer();
  }
}

/** This much virtual time. */
export const delay = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

/** Numbers from 0 to 1 that only the seed decides. */
export function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
