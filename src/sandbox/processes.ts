import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

const goneWaitMs = 5000;

async function processIds(): Promise<number[]> {
  return (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
}

/** When a process started, in clock ticks since boot (proc(5), field 22): with its id it names a process for good. */
export async function startTimeOf(pid: number): Promise<string | undefined> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The second field is the program's name in brackets and may itself hold brackets and blanks.
  return line?.slice(line.lastIndexOf(')') + 2).split(' ')[19];
}

async function isZombie(pid: number): Promise<boolean> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
  return line.slice(line.lastIndexOf(')') + 2).startsWith('Z');
}

/** Every process whose environment has DVE_ROOT below `dir`: node daemons and what they started. */
export async function processesOfNodes(dir: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of await processIds()) {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    const root = environment.split('\0').find((line) => line.startsWith('DVE_ROOT='));
    if (root?.startsWith(`DVE_ROOT=${dir}/`) && pid !== process.pid) found.push(pid);
  }
  return found;
}

/** Every process in the mount namespace of `pid`; none when that is this process's own. */
export async function processesBeside(pid: number): Promise<number[]> {
  const namespace = (id: number | 'self'): Promise<string | undefined> =>
    readlink(`/proc/${id}/ns/mnt`).catch(() => undefined);
  const theirs = await namespace(pid);
  if (theirs === undefined || theirs === (await namespace('self'))) return [];
  const found: number[] = [];
  for (const id of await processIds()) if ((await namespace(id)) === theirs) found.push(id);
  return found;
}

/** Of these processes, those that have the block device open ("major:minor"), by whatever name. */
export async function processesWithOpen(pids: readonly number[], number: string): Promise<number[]> {
  const [major = 0, minor = 0] = number.split(':').map(Number);
  const found: number[] = [];
  for (const pid of pids) {
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const stats = await stat(`/proc/${pid}/fd/${fd}`).catch(() => undefined);
      if (!stats?.isBlockDevice() || stats.rdev !== major * 256 + minor) continue;
      found.push(pid);
      break;
    }
  }
  return found;
}

/** Sends a signal to processes; those that are gone do not matter. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** Kills processes and waits, at most 5 s, until they are gone: one that waits for a disk may take its time. */
export async function killAll(pids: readonly number[]): Promise<void> {
  signalAll(pids, 'SIGKILL');
  const deadline = Date.now() + goneWaitMs;
  for (const pid of pids) {
    while (Date.now() < deadline && !(await isZombie(pid))) await delay(5);
  }
}
