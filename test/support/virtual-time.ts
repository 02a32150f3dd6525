import { onTestFinished, vi } from 'vitest';

/**
 * `setTimeout` of node:timers/promises on the global timers, so that fake ones cover it too. Use as
 * `vi.mock('node:timers/promises', () => import('./virtual-time.ts'))`.
 */
export function setTimeout<T>(delayMs: number, value?: T, options: { signal?: AbortSignal } = {}): Promise<T> {
  const { signal } = options;
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const abort = () => {
    globalThis.clearTimeout(timer);
    reject(signal?.reason);
  };
  const timer = globalThis.setTimeout(() => {
    signal?.removeEventListener('abort', abort);
    resolve(value as T);
  }, delayMs);
  if (signal?.aborted) abort();
  else signal?.addEventListener('abort', abort, { once: true });
  return promise;
}

/** Fake timers for the length of the test. */
export function useVirtualTime(): void {
  vi.useFakeTimers();
  onTestFinished(() => {
    vi.clearAllTimers();
    vi.useRealTimers();
  });
}

const stepMs = 50;
const longestMs = 300_000;

/** Lets virtual time run until the promise has settled, and gives its outcome. */
export async function played<T>(promise: Promise<T>): Promise<T> {
  let settled = false;
  promise.then(
    () => {
      settled = true;
    },
    () => {
      settled = true;
    },
  );
  await vi.advanceTimersByTimeAsync(0);
  for (let spent = 0; !settled && spent < longestMs; spent += stepMs) await vi.advanceTimersByTimeAsync(stepMs);
  if (!settled) throw new Error(`nothing came of it in ${longestMs / 1000} s of virtual time`);
  return promise;
}

/** What the promise fails with, in virtual time. */
export async function failure(promise: Promise<unknown>): Promise<unknown> {
  return played(
    promise.then(
      (value) => {
        throw new Error(`it succeeded: ${JSON.stringify(value)}`);
      },
      (error: unknown) => error,
    ),
  );
}

/** Lets this much virtual time pass. */
export const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
