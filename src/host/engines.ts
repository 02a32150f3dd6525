import { readdir, readFile } from 'node:fs/promises';
import { errnoOf, hostFailed } from './tools.ts';
import type { ProcessIdentity } from './types.ts';

/** Stands for a process that is there and that this one cannot see: it is in a PID namespace beside or above ours. */
const unseen: ProcessIdentity = { pid: 0, startedAt: 0 };
/** The programs that mount volumes under ids of their own, as /proc/PID/comm has them. */
const engineNames = ['dockerd', 'podman', 'balenad'];

/**
 * The engine behind a mount.
 * @param pid the process that asked for it, 0 where it cannot be seen; undefined where that is not known: then an
 * engine that runs on this machine is taken for it, the oldest of several. @returns undefined where none runs.
 * @throws DriverError HOST_FAILED
 */
export async function engineOf(pid: number | undefined): Promise<ProcessIdentity | undefined> {
  try {
    if (pid === 0) return unseen;
    if (pid === undefined) return (await enginesByName()).sort((a, b) => a.startedAt - b.startedAt)[0];
    const startedAt = await startOf(pid);
    return startedAt === undefined ? unseen : { pid, startedAt };
  } catch (error) {
    throw notRead(error);
  }
}

/** True until the process has ended; of one that cannot be seen always. @throws DriverError HOST_FAILED */
export async function isRunning({ pid, startedAt }: ProcessIdentity): Promise<boolean> {
  try {
    return pid === unseen.pid || (await startOf(pid)) === startedAt;
  } catch (error) {
    throw notRead(error);
  }
}

async function enginesByName(): Promise<ProcessIdentity[]> {
  const found: ProcessIdentity[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const name = await ifAlive(readFile(`/proc/${entry}/comm`, 'utf8'));
    if (!engineNames.includes(name?.trim() ?? '')) continue;
    const startedAt = await startOf(Number(entry));
    if (startedAt !== undefined) found.push({ pid: Number(entry), startedAt });
  }
  return found;
}

/** Field 22 of proc_pid_stat(5); undefined once it has ended. The name before may hold spaces and parentheses. */
async function startOf(pid: number): Promise<number | undefined> {
  const text = await ifAlive(readFile(`/proc/${pid}/stat`, 'utf8'));
  const [state = 'X', ...fields] = text?.slice(text.lastIndexOf(')') + 2).split(' ') ?? [];
  return state === 'Z' || state === 'X' ? undefined : Number(fields[18]);
}

async function ifAlive(reading: Promise<string>): Promise<string | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

const notRead = (error: unknown) =>
  hostFailed('tell which process asked for a mount', error, 'Check that /proc is mounted and readable');
