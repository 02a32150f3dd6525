import { setTimeout as sleep } from 'node:timers/promises';
import { createSlots } from '../../fencing/slots.ts';
import type { FilesystemUsage, Host } from '../../host/types.ts';

/** Each is a process: so many are waited for at once. One that does not answer in its time gives its place to others. */
const mostAtOnce = 2;
const patienceMs = 1000;

/** How full the filesystem at a directory is; undefined when it cannot be told, or not within a second. */
export type UsageReader = (target: string) => Promise<FilesystemUsage | undefined>;

/** Reads few filesystems at once, and none that has not answered yet a second time: after the first, nobody waits for it. */
export function createUsageReader(host: Pick<Host, 'filesystemUsage'>): UsageReader {
  const slots = createSlots(mostAtOnce);
  /** What each who asks is given: once it is late, nothing; each who waits would stay in memory until it answers. */
  const underWay = new Map<string, Promise<FilesystemUsage | undefined>>();
  const place = async (): Promise<() => void> => {
    for (;;) {
      const leave = slots.take();
      if (leave !== undefined) return leave;
      await slots.freed();
    }
  };
  const read = async (target: string, answer: (usage: FilesystemUsage | undefined) => void): Promise<void> => {
    const leave = await place();
    const late = setTimeout(() => {
      answer(undefined);
      leave();
    }, patienceMs).unref();
    answer(await host.filesystemUsage(target).catch(() => undefined));
    clearTimeout(late);
    leave();
    underWay.delete(target);
  };
  const begin = (target: string): Promise<FilesystemUsage | undefined> => {
    const { promise, resolve } = Promise.withResolvers<FilesystemUsage | undefined>();
    underWay.set(target, promise);
    void read(target, resolve);
    return promise;
  };
  return (target) => {
    const answer = underWay.get(target) ?? begin(target);
    const answered = new AbortController();
    // It may stand in line behind others that do not answer.
    const late = sleep(patienceMs, undefined, { signal: answered.signal, ref: false }).catch(() => undefined);
    return Promise.race([answer, late]).finally(() => answered.abort());
  };
}
