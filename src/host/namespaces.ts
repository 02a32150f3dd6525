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
  const users = await filesystemUsers();
  return async (number, ourMountpoint) => {
    const [user] = users(number, ourMountpoint);
    return user && describeUser(user);
  };
}

interface User {
  readonly pid: string;
  readonly entry: MountEntry;
}

/** One look at all mounts, and by it the users of a filesystem, one for each mount namespace: see {@link lookElsewhere}. */
async function filesystemUsers(): Promise<(number: string, ourMountpoint: string) => readonly User[]> {
  try {
    const byFilesystem = new Map<string, User[]>();
    for (const pid of representatives()) {
      const text = await ifAlive(readFile(`/proc/${pid}/mountinfo`, 'utf8'));
      for (const entry of parseMountinfo(text ?? '')) {
        const found = byFilesystem.get(entry.number) ?? [];
        if (found.push({ pid, entry }) === 1) byFilesystem.set(entry.number, found);
      }
    }
    return (number, ourMountpoint) => {
      const suffix = ourMountpoint.split('/').slice(-2).join('/');
      const isCopy = ({ root, mountpoint }: MountEntry) =>
        mountpoint === ourMountpoint || (root === '/' && mountpoint.endsWith(`/${suffix}`));
      return byFilesystem.get(number)?.filter(({ entry }) => !isCopy(entry)) ?? [];
    };
  } catch (error) {
    throw hostFailed('look into the other mount namespaces', error, 'Check that /proc is mounted and readable');
  }
}

/**
 * One look at all mounts: who uses the filesystem that is mounted at a place of ours, as "container 3f2a9c0b1d4e (process 4711,
 * postgres)", one text each. Nobody seen proves nothing. @throws DriverError HOST_FAILED
 */
export async function lookAtUsers(): Promise<(target: string) => Promise<string[]>> {
  const users = await filesystemUsers();
  const ours = parseMountinfo(await readFile('/proc/self/mountinfo', 'utf8'));
  return async (target) => {
    const mounted = ours.findLast(({ mountpoint }) => mountpoint === target);
    if (mounted === undefined) return [];
    return [...new Set(await Promise.all(users(mounted.number, target).map(describeUser)))];
  };
}

const describeUser = ({ pid, entry }: User): string | Promise<string> =>
  hostProcesses.has(pid) ? describeMount(entry) : describeProcess(pid);

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
  const name = comm?.trim() ?? 'ended by now';
  const container = containerOf(cgroup);
  return container === undefined ? `process ${pid} (${name})` : `${container} (process ${pid}, ${name})`;
}

/** The container that a text of /proc/PID/cgroup names, with its ECS task; or a container of Mesos. Pure. */
export function containerOf(cgroup: string): string | undefined {
  const [, mesos] = /\/mesos\/([0-9a-f-]{36})/.exec(cgroup) ?? [];
  if (mesos !== undefined) return `Mesos container ${mesos}`;
  // Docker, containerd and Podman all put the 64 digits of the container's id into the path.
  const [, container] = /([0-9a-f]{12})[0-9a-f]{52}/.exec(cgroup) ?? [];
  // The ECS agent makes /ecs/TASK/CONTAINER, with cgroups 2 ecstasks-TASK.slice (amazon-ecs-agent, taskresource/cgroup).
  const [, task] = /\/ecs(?:\/|\.slice\/ecstasks-)([0-9a-f]{32})(?![0-9a-f])/.exec(cgroup) ?? [];
  if (container === undefined) return task && `ECS task ${task}`;
  return task === undefined ? `container ${container}` : `container ${container} of ECS task ${task}`;
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
