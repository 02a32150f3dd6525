import { setTimeout as sleep } from 'node:timers/promises';
import { createSlots } from '../fencing/slots.ts';
import type { FilesystemUsage, Host } from '../host/types.ts';

/** One that does not answer keeps a thread of the four that the daemon's file access has: the rest stay free. */
const mostAtOnce = 2;
const patienceMs = 1000;

/** How full the filesystem at a directory is; undefined when it cannot be told, or not within a second. */
export type UsageReader = (target: string) => Promise<FilesystemUsage | undefined>;

/** Reads few filesystems at once, and none that has not answered yet a second time. */
export function createUsageReader(host: Pick<Host, 'filesystemUsage'>): UsageReader {
  const slots = createSlots(mostAtOnce);
  const underWay = new Map<string, Promise<FilesystemUsage | undefined>>();
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
    const reading = underWay.get(target) ?? read(target);
    underWay.set(target, reading);
    const answered = new AbortController();
    const late = sleep(patienceMs, undefined, { signal: answered.signal, ref: false }).catch(() => undefined);
    return Promise.race([reading, late]).finally(() => answered.abort());
  };
}
