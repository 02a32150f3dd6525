import { once } from 'node:events';
import { readFile, readlink } from 'node:fs/promises';
import type { Server } from 'node:net';
import { DriverError } from '../errors.ts';

/** The first socket that is handed over (sd_listen_fds(3), SD_LISTEN_FDS_START). */
const firstFd = 3;

/**
 * The file descriptor of the listening socket that systemd hands to this process (socket activation, sd_listen_fds(3));
 * undefined where it hands none. Takes the variables that say so out of `env`: children inherit no such socket.
 * @throws DriverError HOST_FAILED for more than one socket.
 */
export function takeInheritedFd(env: NodeJS.ProcessEnv): number | undefined {
  const { LISTEN_PID: pid, LISTEN_FDS: count = '0' } = env;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[name];
  if (pid !== String(process.pid) || count === '0') return undefined;
  if (count === '1') return firstFd;
  throw refusal(`there are ${count} of them`, 'Give the socket unit a single ListenStream');
}

/**
 * Makes a server accept on a listening socket that this process was given. The socket file stays whatever happens: it is
 * systemd's, and whoever connects while no daemon runs is answered by the next.
 * @returns the path that the socket is bound to; undefined where it has none.
 * @throws DriverError HOST_FAILED where the descriptor is no listening socket.
 */
export async function listenOnInherited(server: Server, fd: number): Promise<string | undefined> {
  try {
    // Fastify's own listen() fails on a socket that it did not bind.
    server.listen({ fd });
    await once(server, 'listening');
    return await boundTo(fd);
  } catch (error) {
    server.close();
    const why = error instanceof Error ? error.message : String(error);
    throw refusal(why, 'Give the socket unit a ListenStream and no Accept=yes', error);
  }
}

/** Node knows the path of a socket only where it has bound it itself. */
async function boundTo(fd: number): Promise<string | undefined> {
  const [, inode] = /^socket:\[(\d+)\]$/.exec(await readlink(`/proc/self/fd/${fd}`)) ?? [];
  // proc_net(5): Num RefCount Protocol Flags Type St Inode Path
  const lines = (await readFile('/proc/net/unix', 'utf8')).split('\n');
  return lines.find((line) => line.split(/ +/)[6] === inode)?.replace(/^(\S+ +){7}/, '');
}

function refusal(why: string, todo: string, cause?: unknown): DriverError {
  return new DriverError('HOST_FAILED', { tried: 'listen on the socket that systemd handed over', why, todo, cause });
}
