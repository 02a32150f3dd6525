import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';

const unit = '/etc/systemd/system/docker-volume-ebs.service';

/**
 * What to say of a daemon that takes connections and answers nothing: what can be seen of its process and its journal, and how to
 * restart it. Never throws.
 * @param root its DVE_ROOT. @param seconds how long it was waited for.
 */
export function silentDaemon(socket: string, root: string, seconds: number): Error {
  const pid = listenerOf(socket);
  const seen = [...(pid === undefined ? [] : [`its process ${pid} ${stateOf(pid)}`]), ...lastSign(join(root, 'state'))];
  const facts = seen.length === 0 ? '' : `: ${seen.join(', ')}`;
  return new Error(
    `the daemon at ${socket} does not answer, for ${seconds} s now${facts}. ` +
      `${restartOf(pid)}; what is mounted stays mounted, and containers go on.`,
  );
}

function restartOf(pid: number | undefined): string {
  if (existsSync(unit)) return 'Restart it with systemctl restart docker-volume-ebs';
  if (pid === undefined) return 'Restart it by what supervises it';
  return `End it with kill -9 ${pid}, and start it again if nothing that supervises it does (Docker does for its managed plugin)`;
}

/** The process that listens on a Unix socket of this machine, as far as this process may see it. */
function listenerOf(path: string): number | undefined {
  try {
    const lines = readFileSync('/proc/net/unix', 'utf8').split('\n');
    const inodes = lines.map((line) => line.split(/\s+/)).filter((words) => words[7] === path);
    const wanted = new Set(inodes.map((words) => `socket:[${words[6]}]`));
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    // systemd has it too where it made it; the daemon is the other.
    const isIts = (fd: string) => wanted.has(linkOf(fd)) || isLock(fd, path);
    const found = pids.find((pid) => pid !== '1' && has(pid, isIts));
    return found === undefined ? undefined : Number(found);
  } catch {
    return undefined;
  }
}

function has(pid: string, isIt: (fd: string) => boolean): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => isIt(`/proc/${pid}/fd/${fd}`));
  } catch {
    return false;
  }
}

/**
 * A daemon that made its socket itself made it under another name, and keeps a lock beside it open (dvdi/socket.ts). A plugin
 * has it under another path, in a namespace of its own.
 */
function isLock(fd: string, path: string): boolean {
  if (!linkOf(fd).endsWith(`/${basename(path)}.lock`)) return false;
  const [open, lock] = [statSync(fd), statSync(`${path}.lock`)];
  return open.ino === lock.ino && open.dev === lock.dev;
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

/** By proc(5). */
const states: Readonly<Record<string, string>> = {
  T: 'is stopped, by SIGSTOP or the like',
  t: 'is stopped by a debugger',
  D: 'waits for a disk that does not answer',
  Z: 'has ended',
  R: 'runs',
  S: 'waits for something',
};

function stateOf(pid: number): string {
  try {
    // The name in parentheses may hold anything.
    const after = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1) ?? '';
    return states[after[0] ?? ''] ?? `is in state ${after[0]}`;
  } catch {
    return 'is gone';
  }
}

/** When the daemon last wrote to its journal, as a clause; nothing where that cannot be told. */
function lastSign(directory: string): string[] {
  try {
    return [`it was last seen to write its journal at ${statSync(directory).mtime.toISOString()}`];
  } catch {
    return [];
  }
}
