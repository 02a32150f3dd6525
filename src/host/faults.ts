import { setTimeout as sleep } from 'node:timers/promises';
import { mountsAt } from './mounts.ts';
import type { FilesystemFault } from './types.ts';
import { askUsage } from './usage.ts';

/** A directory in the kernel's memory is looked at in no time. */
const patienceMs = 5_000;

/**
 * What keeps the filesystem mounted at `target` from being written to; undefined when nothing does, or nothing is mounted.
 * The mount table tells of all but XFS: "ro" after an I/O error, of ext4 since Linux 6.15 also "emergency_ro" and
 * "shutdown". An XFS that was shut down stays "rw" there and refuses to be looked at (all measured, Linux 6.18).
 * @throws DriverError HOST_FAILED
 */
export async function filesystemFault(target: string): Promise<FilesystemFault | undefined> {
  const top = (await mountsAt(target)).at(-1);
  if (top === undefined) return undefined;
  if (top.superOptions.includes('shutdown')) return 'shut down';
  if (top.superOptions.some((option) => option === 'ro' || option === 'emergency_ro')) return 'read-only';
  return top.type === 'xfs' ? faultOfXfs(target) : undefined;
}

async function faultOfXfs(target: string): Promise<FilesystemFault | undefined> {
  const answered = new AbortController();
  const late = sleep(patienceMs, undefined, { signal: answered.signal, ref: false }).catch(() => undefined);
  const result = await Promise.race([askUsage(target), late]).finally(() => answered.abort());
  if (result === undefined) return 'silent';
  return result.code !== 0 && /input\/output error/i.test(result.stderr) ? 'shut down' : undefined;
}
