import { setTimeout as sleep } from 'node:timers/promises';
import { createSlots } from '../../fencing/slots.ts';
import type { FilesystemUsage, Host } from '../../host/types.ts';

/** One that does not answer keeps a thread of the four that the daemon's file access has: the rest stay free. */
const mostAtOnce = 2;
const patienceMs = 1000;

/** How full the filesystem at a directory is; undefined when it cannot be told, or not within a second. */
export type UsageReader = (target: string) => Promise<FilesystemUsage | undefined>;

interface Reading {
  readonly answer: Promise<FilesystemUsage | undefined>;
  isLate: boolean;
}

/** Reads few filesystems at once, and none that has not answered yet a second time: after the first, nobody waits for it. */
export function createUsageReader(host: Pick<Host, 'filesystemUsage'>): UsageReader {
  const slots = createSlots(mostAtOnce);
  const underWay = new Map<string, Reading>();
  const place = async (): Promise<() => void> => {
    for (;;) {
      const leave = slots.take();
      if (leave !== undefined) return leave;
      await slots.freed();
    }
  };
  const read = async (target: string): Promise<FilesystemUsage | undefined> => {
    const leave = await place();
    try {
      return await host.filesystemUsage(target);
    } catch {
      return undefined;
    } finally {
      leave();
      underWay.delete(target);
    }
  };
  return async (target) => {
    const reading = underWay.get(target) ?? { answer: read(target), isLate: false };
    underWay.set(target, reading);
    // Each who waits leaves something in memory until it answers, and scrapes come for days.
    if (reading.isLate) return undefined;
    const answered = new AbortController();
    const late = sleep(patienceMs, undefined, { signal: answered.signal, ref: false }).then(
      () => {
        reading.isLate = true;
        return undefined;
      },
      () => undefined,
    );
    return Promise.race([reading.answer, late]).finally(() => answered.abort());
  };
}
