/** Runs tasks of one key one after another, in order of arrival, and tasks of different keys side by side. */
export interface KeyedQueue {
  run<T>(key: string, task: () => Promise<T>): Promise<T>;
  /** The keys that have a task running or waiting, each since when without a break. */
  busy(): ReadonlyMap<string, Date>;
  /** Resolves once no task of any key is running or waiting. */
  idle(): Promise<void>;
}

/** A queue whose memory is the tasks under way and nothing else. */
export function createQueue(): KeyedQueue {
  const tails = new Map<string, { readonly tail: Promise<unknown>; readonly since: Date }>();
  return {
    run(key, task) {
      const { tail: before = Promise.resolve(), since = new Date() } = tails.get(key) ?? {};
      const result = before.then(task);
      const tail = result.catch(() => undefined);
      tails.set(key, { tail, since });
      void tail.then(() => {
        if (tails.get(key)?.tail === tail) tails.delete(key);
      });
      return result;
    },
    busy: () => new Map([...tails].map(([key, { since }]) => [key, since])),
    async idle() {
      while (tails.size > 0) await Promise.all([...tails.values()].map(({ tail }) => tail));
    },
  };
}
