/** A timer takes no more than 24 days. */
const longestTimerMs = 86_400_000;

/** Moments at which something is to be done, one for each key. */
export interface Alarms {
  /** In place of an earlier one of the key. @param at by the wall clock, in milliseconds. */
  set(key: string, at: number): void;
  /** Whether one is set that has not rung yet. */
  has(key: string): boolean;
}

/**
 * Alarms that hold up no end of the process, until the signal is aborted.
 * @param ring is called once its moment has come, with the moment; it never fails.
 */
export function createAlarms(signal: AbortSignal, ring: (key: string, at: number) => Promise<void>): Alarms {
  const timers = new Map<string, NodeJS.Timeout>();
  const set = (key: string, at: number): void => {
    clearTimeout(timers.get(key));
    if (signal.aborted) return;
    const delay = Math.max(0, Math.min(at - Date.now(), longestTimerMs));
    timers.set(key, setTimeout(() => void due(key, at), delay).unref());
  };
  const due = async (key: string, at: number): Promise<void> => {
    if (Date.now() < at) return set(key, at);
    timers.delete(key);
    await ring(key, at);
  };
  signal.addEventListener('abort', () => {
    for (const timer of timers.values()) clearTimeout(timer);
  });
  return { set, has: (key) => timers.has(key) };
}

/** From 0 to 1, the same for an id at every start: what many would do at one moment is spread by it. */
export const spreadOf = (id: string): number =>
  [...id].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 997, 0) / 997;
