import { setTimeout as sleep } from 'node:timers/promises';
import { isCode, toDriverError } from '../../errors.ts';

/**
 * An answer this young is given again. EC2's own reads lag by more, so that nobody can count on a younger one; a storm
 * of requests costs one call a second.
 */
const freshMs = 1000;
/** Whoever asks is a person, or dockerd with a container to start or stop: after this an old answer is the better one. */
const patienceMs = 2000;

/** What EC2 said, and why it may not be so any more. */
export interface Seen<T> {
  readonly value: T;
  /** A clause with the age in seconds; absent for what EC2 has just said. */
  readonly stale?: string;
}

/** The last positive answer of a read, as it is remembered. */
export interface Answer<T> {
  readonly value: T;
  /** When it was learnt, by the same clock as the view's; undefined for what an earlier daemon learnt. */
  readonly at: number | undefined;
  /** True when a view's own read gave it, which may be given again for a moment. */
  readonly read: boolean;
}

/** Reads of one kind for callers who only show them. */
interface View<T> {
  /**
   * What a read says now, which callers at the same time share; where it takes long or fails, the last positive answer.
   * @returns undefined only when EC2 itself says that there is nothing.
   * @throws what the read throws, when there is no answer to fall back on, or it is EC2's answer that is wrong.
   */
  look(key: string): Promise<Seen<T> | undefined>;
}

/**
 * A view. It remembers only the reads under way, so that callers share them.
 * @param read reads, and sees to it that `last` gives its answer afterwards.
 * @param last the last positive answer, to fall back on. @param now gives milliseconds that never step back.
 */
export function createView<T>(
  read: (key: string) => Promise<T | undefined>,
  last: (key: string) => Answer<T> | undefined,
  now: () => number,
): View<T> {
  const reading = new Map<string, Promise<T | undefined>>();

  const shared = (key: string): Promise<T | undefined> => {
    const under = reading.get(key);
    if (under !== undefined) return under;
    const begun = read(key).finally(() => reading.delete(key));
    reading.set(key, begun);
    return begun;
  };
  const fallback = (key: string, why: string): Seen<T> | undefined => {
    const answer = last(key);
    if (answer === undefined) return undefined;
    const when =
      answer.at === undefined ? 'before the daemon started' : `${Math.round((now() - answer.at) / 1000)} s ago`;
    return { value: answer.value, stale: `${why}; this was seen ${when}` };
  };

  return {
    async look(key) {
      const answer = last(key);
      if (answer?.read && answer.at !== undefined && now() - answer.at < freshMs) return { value: answer.value };
      const late = new AbortController();
      const patience = sleep(patienceMs, undefined, { signal: late.signal, ref: false }).then(
        () => fallback(key, `EC2 has not answered for ${patienceMs / 1000} s`) ?? shared(key).then(asSeen),
      );
      patience.catch(() => undefined);
      try {
        return await Promise.race([shared(key).then(asSeen), patience]);
      } catch (error) {
        if (isCode(error, 'AMBIGUOUS_NAME', 'INVALID_NAME')) throw error;
        const { why } = toDriverError(error, 'look').parts;
        const old = fallback(key, isCode(error, 'TAGS_LOST') ? why : `EC2 cannot be asked: ${why}`);
        if (old === undefined) throw error;
        return old;
      } finally {
        late.abort();
      }
    },
  };
}

const asSeen = <T>(value: T | undefined): Seen<T> | undefined => (value === undefined ? undefined : { value });
