import { once } from 'node:events';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { errnoOf } from './tools.ts';

/**
 * Takes the lock by which daemons of version 0.1.0 see each other, so that a host may have one of each version for the
 * length of an upgrade. It is an abstract Unix socket (unix(7)), which any process in the host's network can make: one
 * that is no daemon of ours does not stop us.
 * @param onWarning told of such a process.
 * @returns false where a daemon has it, or whoever has it cannot be seen.
 */
export async function lockAsBefore(name: string, onWarning: (message: string) => void): Promise<boolean> {
  const server = createServer((connection) => connection.destroy());
  try {
    server.listen(`\0${name}`);
    await once(server, 'listening');
    server.unref();
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EADDRINUSE') return !(await isDaemons(name, onWarning));
    onWarning(`a daemon of version 0.1.0 will not see this one: ${(error as Error).message}`);
    return true;
  }
}

async function isDaemons(name: string, onWarning: (message: string) => void): Promise<boolean> {
  const holder = await holderOf(name);
  if (holder === undefined || (await mayMount(holder))) return true;
  onWarning(
    `process ${holder}, which is none of ours, has the socket @${name}: a daemon of version 0.1.0 will not see this one`,
  );
  return false;
}

/** The process that listens on an abstract socket; undefined where we see none. */
async function holderOf(name: string): Promise<string | undefined> {
  const sockets = await readFile('/proc/net/unix', 'utf8');
  const line = sockets.split('\n').find((each) => each.endsWith(` @${name}`));
  const inode = line?.trim().split(/\s+/)[6];
  if (inode === undefined) return undefined;
  for (const pid of (await readdir('/proc')).filter((each) => /^\d+$/.test(each))) {
    const files = await readdir(`/proc/${pid}/fd`).catch(() => []);
    const targets = await Promise.all(files.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')));
    if (targets.includes(`socket:[${inode}]`)) return pid;
  }
  return undefined;
}

/** As a daemon must: as root, with CAP_SYS_ADMIN (capabilities(7), bit 21), and not in a user namespace of its own. */
async function mayMount(pid: string): Promise<boolean> {
  try {
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    const [, user] = /^Uid:\s+\d+\s+(\d+)/m.exec(status) ?? [];
    const [, capabilities = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(status) ?? [];
    const isPlain = (await readlink(`/proc/${pid}/ns/user`)) === (await readlink('/proc/self/ns/user'));
    return user === '0' && (BigInt(`0x${capabilities}`) & (1n << 21n)) !== 0n && isPlain;
  } catch {
    // It has ended, or cannot be looked at: nothing says that it is not a daemon.
    return true;
  }
}
