import type { ServerResponse } from 'node:http';
import { DriverError } from '../errors.ts';

/** How long a caller is kept waiting, and what it is told then. */
interface Patience {
  readonly ms: number;
  /** Undefined where the work is about no single one. */
  readonly volume: string | undefined;
  /** What was tried, for the error: "mount it". */
  readonly tried: string;
  /** What the work waits for by then, as a clause. */
  waitingFor(): string | undefined;
  /** Told how the work ended when it ended after its caller had been answered or had left. */
  endedLate(outcome: { readonly error?: unknown }): void;
}

/**
 * Does work for a caller that may leave. The work's signal aborts, with a DriverError for its reason, when the
 * caller's connection closes or its time is over; the work itself goes on.
 * @throws what the work throws, or DriverError STILL_WORKING as soon as the signal aborts.
 */
export async function workFor<T>(
  reply: ServerResponse,
  patience: Patience,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const leaving = new AbortController();
  const left = Promise.withResolvers<never>();
  left.promise.catch(() => {});
  const leave = (why: string) => {
    const reason = stillWorking(patience, why);
    left.reject(reason);
    leaving.abort(reason);
  };
  const closed = () => leave('the caller closed its connection');
  const deadline = setTimeout(() => leave(waitText(patience)), patience.ms);
  // The response's close, not the request's: that one comes as soon as the body has been read.
  reply.once('close', closed);
  try {
    if (reply.destroyed) closed();
    leaving.signal.throwIfAborted();
    const result = work(leaving.signal);
    reportLate(result, leaving.signal, patience);
    return await Promise.race([result, left.promise]);
  } finally {
    clearTimeout(deadline);
    reply.off('close', closed);
  }
}

/** Also keeps a late failure, which nobody awaits any more, from being an unhandled rejection. */
function reportLate(result: Promise<unknown>, signal: AbortSignal, patience: Patience): void {
  result.then(
    () => signal.aborted && patience.endedLate({}),
    (error: unknown) => signal.aborted && error !== signal.reason && patience.endedLate({ error }),
  );
}

function waitText({ ms, waitingFor }: Patience): string {
  const what = waitingFor();
  const time = `it is not done after ${ms / 1000} s`;
  return what === undefined ? time : `${time}: waiting for ${what}`;
}

function stillWorking({ volume, tried }: Patience, why: string): DriverError {
  return new DriverError('STILL_WORKING', {
    volume,
    tried,
    why,
    todo: 'The work goes on: try again, and the next call takes it up',
  });
}
