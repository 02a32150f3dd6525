import { readdirSync, readlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { shellWord } from '../errors.ts';
import { parseMountinfo } from './mountinfo.ts';
import { errnoOf, hostFailed } from './tools.ts';
import type { MountEntry, UserElsewhere } from './types.ts';

// A process may end while we read about it, and a zombie has no namespace any more.
const endedCodes = new Set<string | undefined>(['ENOENT', 'ESRCH', 'EINVAL', 'EACCES', 'EPERM']);

/** What the promise gives, or undefined when the process it reads about has ended or hides it. */
export function ifAlive<T>(promise: Promise<T>): Promise<T | undefined> {
  return promise.catch((error: unknown) => {
    if (endedCodes.has(errnoOf(error))) return undefined;
    throw error;
  });
}

/**
 * One look at the mount namespaces of all processes that we see, our own included. It then tells who has a filesystem mounted at
 * a place of its own: a container that uses the volume, or somebody who mounted it on this host by another path. Copies that
 * propagation made of our own mount (an engine's namespace, the host's view of a plugin) end with ours and do not count.
 * Undefined proves nothing where other processes cannot be seen, as in a plugin's own PID namespace: an exclusive open
 * decides there (see busy.ts).
 * @throws DriverError HOST_FAILED
 */
export async function lookElsewhere(): Promise<UserElsewhere> {
  try {
    const byFilesystem = new Map<string, { readonly pid: string; readonly entry: MountEntry }[]>();
    for (const pid of representatives()) {
      const text = await ifAlive(readFile(`/proc/${pid}/mountinfo`, 'utf8'));
      for (const entry of parseMountinfo(text ?? '')) {
        const found = byFilesystem.get(entry.number) ?? [];
        if (found.push({ pid, entry }) === 1) byFilesystem.set(entry.number, found);
      }
    }
    return async (number, ourMountpoint) => {
      const suffix = ourMountpoint.split('/').slice(-2).join('/');
      const isCopy = ({ root, mountpoint }: MountEntry) =>
        mountpoint === ourMountpoint || (root === '/' && mountpoint.endsWith(`/${suffix}`));
      const user = byFilesystem.get(number)?.find(({ entry }) => !isCopy(entry));
      if (user === undefined) return undefined;
      return hostProcesses.has(user.pid) ? describeMount(user.entry) : describeProcess(user.pid);
    };
  } catch (error) {
    throw hostFailed('look into the other mount namespaces', error, 'Check that /proc is mounted and readable');
  }
}

/** Whose mount namespace is the host's as far as it can be seen from here: this process and the first one. */
const hostProcesses = new Set(['self', '1']);

/**
 * A mount that belongs to no container, with the command that takes it away: mesos-module-dvdi leaves such behind where `/` is
 * a shared mount. The kernel refuses the command while something uses the mount.
 */
function describeMount({ mountpoint }: MountEntry): string {
  return `this host (at ${mountpoint}; when nothing needs it there: umount ${shellWord(mountpoint)})`;
}

/** "container 3f2a9c0b1d4e (process 4711, postgres)", as its engine names it, or "process 4711 (postgres)". */
export async function describeProcess(pid: string): Promise<string> {
  const [comm, cgroup = ''] = await Promise.all(
    ['comm', 'cgroup'].map((file) => ifAlive(readFile(`/proc/${pid}/${file}`, 'utf8'))),
  );
  // Docker, containerd and Podman all put the 64 digits of the container's id into the path.
  const [, container] = /([0-9a-f]{12})[0-9a-f]{52}/.exec(cgroup) ?? [];
  const name = comm?.trim() ?? 'ended by now';
  return container === undefined ? `process ${pid} (${name})` : `container ${container} (process ${pid}, ${name})`;
}

/**
 * One process of each mount namespace; ours is "self", and the host's is named by its first process. A hundred links of
 * /proc, which is memory, are read sooner than a thread is found for one of them.
 */
function representatives(): string[] {
  const byNamespace = new Map<string, string>([[readlinkSync('/proc/self/ns/mnt'), 'self']]);
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const namespace = namespaceOf(entry);
    if (namespace !== undefined && !byNamespace.has(namespace)) byNamespace.set(namespace, entry);
  }
  return [...byNamespace.values()];
}

function namespaceOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch (error) {
    if (endedCodes.has(errnoOf(error))) return undefined;
    throw error;
  }
}
