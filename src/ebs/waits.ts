import { setTimeout as sleep } from 'node:timers/promises';
import pRetry from 'p-retry';
import { DriverError } from '../errors.ts';
import type { Attachment, CallOptions, EbsVolume } from './types.ts';

/** The lane is that of the reads; the signal ends the wait. */
export interface WaitOptions extends CallOptions {
  /** After this the wait ends with STILL_WORKING. */
  readonly timeoutMs: number;
  /** From one look to the next; 500 ms unless told. It does not grow: growth is what makes waits notice late. */
  readonly intervalMs?: number | undefined;
  /** Before the first look, where EC2 is known to take its time; none unless told. */
  readonly delayMs?: number | undefined;
}

interface VolumeWait<T> extends WaitOptions {
  /** What is waited for, to complete "cannot …". */
  readonly tried: string;
  readonly read: (signal: AbortSignal) => Promise<EbsVolume | undefined>;
  /** Gives the result once it is there, undefined to wait on; throws to give up. */
  readonly until: (volume: EbsVolume | undefined) => T | undefined;
}

const notYet = new Error('not yet');

/**
 * Reads a volume at a flat interval until `until` gives a result. Reads that fail for now are repeated.
 * @throws DriverError STILL_WORKING after the timeout, saying what was seen last; what `until` or a read that failed for
 * good throws; the signal's reason when aborted.
 */
export async function waitForVolume<T>(wait: VolumeWait<T>): Promise<T> {
  const { intervalMs = 500, delayMs = 0 } = wait;
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(notYet), wait.timeoutMs);
  const signal = wait.signal === undefined ? deadline.signal : AbortSignal.any([wait.signal, deadline.signal]);
  let lastSeen = 'it could not be read yet';
  const look = async (): Promise<T> => {
    const volume = await wait.read(signal).catch((error: unknown) => {
      if (!(error instanceof DriverError && error.transient)) throw error;
      lastSeen = `it could not be read: ${error.parts.why}`;
      throw notYet;
    });
    lastSeen = `EC2 ${sightOf(volume)}`;
    const result = wait.until(volume);
    if (result === undefined) throw notYet;
    return result;
  };
  try {
    if (delayMs > 0) await sleep(delayMs, undefined, { signal }).catch(() => signal.throwIfAborted());
    return await pRetry(look, {
      retries: Number.POSITIVE_INFINITY,
      factor: 1,
      minTimeout: intervalMs,
      signal,
      shouldRetry: ({ error }) => error === notYet,
    });
  } catch (error) {
    if (error !== notYet) throw error;
    throw new DriverError('STILL_WORKING', {
      tried: wait.tried,
      why: `after ${wait.timeoutMs / 1000} s ${lastSeen}`,
      todo: 'Try again: it may be done by then',
    });
  } finally {
    clearTimeout(timer);
  }
}

/** What a person reads about a volume in an error: "shows vol-1 as in-use, on i-1 as /dev/xvdba (attaching)". */
function sightOf(volume: EbsVolume | undefined): string {
  if (volume === undefined) return 'lists no such volume';
  return [`shows ${volume.id} as ${volume.state}`, ...volume.attachments.map(placeOf)].join(', ');
}

/** As "on i-1 as /dev/xvdba (attaching)". */
function placeOf({ state, instanceId, device }: Attachment): string {
  return instanceId === undefined
    ? `on a resource that AWS manages (${state})`
    : `on ${instanceId} as ${device} (${state})`;
}
