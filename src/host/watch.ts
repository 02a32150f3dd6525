import { watch } from 'node:fs';

/** Tells when a directory's entries change, or some time has passed; nothing is missed between two waits. */
interface DirectoryWatch {
  /** Waits for a change since the last wait began, at most `maxMs`; throws the signal's reason when aborted. */
  next(maxMs: number, signal: AbortSignal): Promise<void>;
  close(): void;
}

/**
 * Watches a directory with inotify. Where that is impossible (no such directory, no inotify instances left) every
 * wait just takes its full time.
 */
export function watchDirectory(path: string): DirectoryWatch {
  let changed = false;
  let wake = (): void => {};
  const close = openWatcher(path, () => {
    changed = true;
    wake();
  });
  return {
    close,
    async next(maxMs, signal) {
      signal.throwIfAborted();
      if (!changed) {
        await new Promise<void>((resolve) => {
          const done = (): void => {
            clearTimeout(timer);
            signal.removeEventListener('abort', done);
            wake = () => {};
            resolve();
          };
          const timer = setTimeout(done, maxMs);
          signal.addEventListener('abort', done);
          wake = done;
        });
      }
      changed = false;
      signal.throwIfAborted();
    },
  };
}

/** Tells of every change in a directory, where inotify can; gives what ends it. */
export function openWatcher(path: string, onChange: () => void): () => void {
  try {
    const watcher = watch(path, { persistent: false }, onChange);
    watcher.on('error', () => watcher.close());
    return () => watcher.close();
  } catch {
    return () => {};
  }
}
