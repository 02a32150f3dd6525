import { channel, hasSubscribers, subscribe } from 'node:diagnostics_channel';
import type { ErrorCode } from './errors.ts';

/** How something ended: well, or with an error of the catalogue. */
export type Outcome = 'ok' | ErrorCode;

/** What rooms tell about themselves, and nobody needs to hear: by channel of node:diagnostics_channel, without its prefix. */
export interface Events {
  /** A request on the daemon's socket was answered. `verb` in lower case: "mount". */
  readonly operation: { readonly verb: string; readonly outcome: Outcome; readonly seconds: number };
  /**
   * EC2 answered one attempt at a call, or did not: `aborted` when the caller gave up. `waitedSeconds` is what the attempt
   * waited for its turn, `seconds` what it then took.
   */
  readonly 'ec2-call': {
    readonly action: string;
    readonly outcome: Outcome | 'aborted';
    /** What it failed with, as a clause; absent where it did not. */
    readonly why?: string;
    readonly seconds: number;
    readonly waitedSeconds: number;
  };
  /** A volume was attached here and its disk can be used: since AttachVolume was asked for. */
  readonly attach: Took;
  /** A disk is gone from this machine: since DetachVolume was asked for. */
  readonly detach: Took;
  /** Steps on this machine that succeeded. */
  readonly mkfs: Took;
  readonly fsck: Took;
  readonly mount: Took;
  /**
   * A volume that another instance had is free, or cannot be had. `let-go`: the owner gave it back by itself. `fenced`: it
   * was taken.
   */
  readonly takeover: {
    readonly policy: string;
    readonly outcome: 'let-go' | 'fenced' | ErrorCode;
    readonly seconds: number;
  };
  /** A snapshot was begun, or could not be; an old one of a schedule was deleted, or could not be. */
  readonly snapshot: {
    readonly kind: 'manual' | 'scheduled';
    readonly outcome: Outcome | 'deleted' | 'not-deleted';
  };
  /** How long writers stood still for a snapshot. */
  readonly freeze: Took;
  /** A snapshot was verified: it can be restored from, it cannot, or that could not be told. */
  readonly verification: { readonly outcome: 'ok' | 'failed' | 'unknown'; readonly seconds: number };
  /**
   * The filesystem of a mounted volume was to grow to its disk: `grown`, `refused`. A volume was to grow by itself: EC2 was
   * `asked` for a larger disk, or that was `denied`.
   */
  readonly growth: { readonly outcome: 'grown' | 'refused' | 'asked' | 'denied' };
  /** A name means a volume made from a snapshot now, or means still what it meant, after an error of the catalogue. */
  readonly rollback: { readonly outcome: Outcome; readonly seconds: number };
  /** What is in the trash, as far as this node knows, has changed. */
  readonly trash: { readonly count: number; readonly gib: number };
  /** A volume, or a snapshot, was deleted from the trash for good: its id. */
  readonly purge: { readonly id: string };
  /** A disk went from this machine without us, and its mount was taken away. */
  readonly ghost: { readonly volume: string };
}

interface Took {
  readonly seconds: number;
}

const nameOf = (event: keyof Events) => `docker-volume-ebs:${event}`;

/** Tells those who listen; costs nothing when nobody does. */
export function publish<E extends keyof Events>(event: E, message: Events[E]): void {
  if (hasSubscribers(nameOf(event))) channel(nameOf(event)).publish(message);
}

/** Listens for good. What the listener throws ends the process: Node takes it for an error that nobody handled. */
export function listen<E extends keyof Events>(event: E, listener: (message: Events[E]) => void): void {
  subscribe(nameOf(event), (message) => listener(message as Events[E]));
}

/** Starts to measure. @returns a function that gives the seconds since. */
export function stopwatch(): () => number {
  const started = performance.now();
  return () => (performance.now() - started) / 1000;
}

/** Does work, and publishes how long it took if it succeeds. */
export async function timed<T>(event: 'mkfs' | 'fsck' | 'mount', work: () => Promise<T>): Promise<T> {
  const seconds = stopwatch();
  const result = await work();
  publish(event, { seconds: seconds() });
  return result;
}
