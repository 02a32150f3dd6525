import { once } from 'node:events';
import { lstatSync, unlinkSync } from 'node:fs';
import { chmod, lstat, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import { DriverError } from '../errors.ts';
import { type Lock, takeLock } from '../lock.ts';

/** A socket path that is this process's alone. */
export interface OwnedSocket {
  /** Removes the socket file, if it is still ours: nobody new connects. The server goes on with who is connected. */
  withdraw(): void;
  /** Lets another daemon own the path. The server must be closed by then. */
  release(): void;
}

/** Linux takes no longer path for a Unix socket (unix(7)). */
const maxPathBytes = 107;
/** Where a socket is made before it appears at its path; mkdtemp fills in the rest. */
const workDirectory = (path: string) => `${dirname(path)}/.`;
const workName = '/s';

/**
 * Makes a server listen on a Unix socket that is ours alone, with mode 0600 from the first moment. The directory is made
 * if absent, and a socket file that nobody answers on is replaced.
 * @throws DriverError HOST_FAILED where another daemon answers or is starting there, where the path is something other
 * than a socket, or where it cannot be made. What is at the path then is untouched.
 */
export async function listenOn(server: Server, path: string): Promise<OwnedSocket> {
  refuseLong(path);
  await orRefuse(path, () => mkdir(dirname(path), { recursive: true, mode: 0o755 }));
  const lock = takeLock(`${path}.lock`);
  if (lock === undefined) throw refusal(path, 'another daemon has it', stopOrChoose);
  try {
    await refuseTaken(path);
    const inode = await orRefuse(path, () => publish(server, path));
    return owned(path, inode, lock);
  } catch (error) {
    server.close();
    lock.release();
    throw error;
  }
}

const stopOrChoose = 'Stop the other daemon, or choose another path with --socket';

function refuseLong(path: string): void {
  const longest = Math.max(Buffer.byteLength(path), Buffer.byteLength(`${workDirectory(path)}XXXXXX${workName}`));
  if (longest <= maxPathBytes) return;
  throw refusal(path, `a socket path has at most ${maxPathBytes} bytes`, 'Choose a shorter one with --socket');
}

async function refuseTaken(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket())
    throw refusal(path, 'it is not a socket', 'Find out whose it is, or choose another path with --socket');
  const problem = await connectProblem(path);
  if (problem === undefined) throw refusal(path, 'another daemon answers there', stopOrChoose);
  if (problem !== 'ECONNREFUSED' && problem !== 'ENOENT') {
    throw refusal(path, `there is a socket, and connecting to it fails with ${problem}`, stopOrChoose);
  }
}

/** Undefined where somebody accepts, else the error's code. */
async function connectProblem(path: string): Promise<string | undefined> {
  const probe = connect(path);
  try {
    await once(probe, 'connect');
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  } finally {
    probe.destroy();
  }
}

/**
 * Listens in a private directory and renames the socket into place: it appears with its mode set and somebody
 * answering, and takes a dead one's place in one step. It also keeps libuv, which at close removes the path it was
 * bound to, from removing a socket that has come after ours.
 */
async function publish(server: Server, path: string): Promise<bigint> {
  const directory = await mkdtemp(workDirectory(path));
  const made = directory + workName;
  try {
    server.listen(made);
    await once(server, 'listening');
    await chmod(made, 0o600);
    const { ino } = await lstat(made, { bigint: true });
    await rename(made, path);
    return ino;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function owned(path: string, inode: bigint, lock: Lock): OwnedSocket {
  return {
    withdraw: () => {
      const found = lstatSync(path, { bigint: true, throwIfNoEntry: false });
      if (found?.isSocket() && found.ino === inode) unlinkSync(path);
    },
    release: () => lock.release(),
  };
}

async function orRefuse<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw refusal(
      path,
      why,
      'Make its directory writable for this process, or choose another path with --socket',
      error,
    );
  }
}

function refusal(path: string, why: string, todo: string, cause?: unknown): DriverError {
  return new DriverError('HOST_FAILED', { tried: `listen on ${path}`, why, todo, cause });
}
