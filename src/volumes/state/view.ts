import { setTimeout as sleep } from 'node:timers/promises';
import { isCode, toDriverError } from '../../errors.ts';

/**
 * An answer this young is given again. EC2's own reads lag by more, so that nobody can count on a younger one; a storm
 * of requests costs one call a second.
 */
const freshMs = 1000;
/** Whoever asks is a person, or dockerd with a container to start or stop: after this an old answer is the better one. */
const patienceMs = 2000;

/** Names come and go: what nobody asked about for this long is forgotten. */
const keptMs = 3_600_000;

/** What EC2 said, and why it may not be so any more. */
export interface Seen<T> {
  readonly value: T;
  /** A clause with the age in seconds; absent for what EC2 has just said. */
  readonly stale?: string;
}

/** Reads of one kind for callers who only show them. */
export interface View<T> {
  /**
   * What a read says now, which callers at the same time share; where it takes long or fails, the last positive answer.
   * @param earlier the answer to fall back on when none was given since the start.
   * @returns undefined only when EC2 itself says that there is nothing.
   * @throws what the read throws, when there is no answer to fall back on, or it is EC2's answer that is wrong.
   */
  look(key: string, earlier?: T): Promise<Seen<T> | undefined>;
  /** Notes what is known from elsewhere, to fall back on; undefined forgets it. */
  saw(key: string, value: T | undefined): void;
}

/** A view with `read` as its source. @param now gives milliseconds that never step back. */
export function createView<T>(read: (key: string) => Promise<T | undefined>, now: () => number): View<T> {
  const last = new Map<string, { value: T; at: number; read: boolean }>();
  const reading = new Map<string, Promise<T | undefined>>();

  const note = (key: string, value: T | undefined, read: boolean) => {
    last.delete(key);
    if (value !== undefined) last.set(key, { value, at: now(), read });
    for (const [oldest, answer] of last) {
      if (now() - answer.at <= keptMs) break;
      last.delete(oldest);
    }
  };
  const shared = (key: string): Promise<T | undefined> => {
    const under = reading.get(key);
    if (under !== undefined) return under;
    const began = now();
    const begun = read(key)
      .then((value) => {
        // What was learnt during the read is younger.
        if ((last.get(key)?.at ?? 0) <= began) note(key, value, true);
        return value;
      })
      .finally(() => reading.delete(key));
    reading.set(key, begun);
    return begun;
  };
  const fallback = (key: string, earlier: T | undefined, why: string): Seen<T> | undefined => {
    const answer = last.get(key);
    if (answer !== undefined) {
      return { value: answer.value, stale: `${why}; this was seen ${Math.round((now() - answer.at) / 1000)} s ago` };
    }
    return earlier === undefined
      ? undefined
      : { value: earlier, stale: `${why}; this was seen before the daemon started` };
  };

  return {
    async look(key, earlier) {
      const answer = last.get(key);
      if (answer?.read && now() - answer.at < freshMs) return { value: answer.value };
      const late = new AbortController();
      const patience = sleep(patienceMs, undefined, { signal: late.signal, ref: false }).then(
        () => fallback(key, earlier, `EC2 has not answered for ${patienceMs / 1000} s`) ?? shared(key).then(asSeen),
      );
      patience.catch(() => undefined);
      try {
        return await Promise.race([shared(key).then(asSeen), patience]);
      } catch (error) {
        if (isCode(error, 'AMBIGUOUS_NAME', 'INVALID_NAME')) throw error;
        const old = fallback(key, earlier, `EC2 cannot be asked: ${toDriverError(error, 'look').parts.why}`);
        if (old === undefined) throw error;
        return old;
      } finally {
        late.abort();
      }
    },
    saw: (key, value) => note(key, value, false),
  };
}

const asSeen = <T>(value: T | undefined): Seen<T> | undefined => (value === undefined ? undefined : { value });
