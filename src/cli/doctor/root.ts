import { type Check, failed } from './check.ts';
import type { MountPoint } from './mountpoints.ts';

const mib = 1024 * 1024;
/** The journal of a volume takes a few KiB; below this it may not be written any more. */
const leastBytes = mib;
const fewBytes = 64 * mib;
const fewInodes = 1_000;

/** Room for mountpoints and the journal. */
export const root: Check = {
  title: 'root',
  async run({ machine, settings }) {
    let space: Awaited<ReturnType<typeof machine.root>>;
    try {
      space = await machine.root();
    } catch (error) {
      return { ...failed(error), todo: `Make ${settings.root} (DVE_ROOT) a directory that this process can use` };
    }
    const { freeBytes, freeInodes = Number.POSITIVE_INFINITY, exists, path, mount } = space;
    if (mount.readOnly) {
      const found = `${settings.root} is on a read-only mount (${mount.mountpoint})`;
      return { level: 'fail', found, todo: 'Mount it writable, or choose another directory with DVE_ROOT' };
    }
    const where = exists ? settings.root : `${settings.root}, which the daemon makes in ${path}`;
    const inodes = space.freeInodes === undefined ? '' : ` and ${space.freeInodes} inodes`;
    const found = `${where}: ${sizeOf(freeBytes)}${inodes} free`;
    const todo = `Free space on the filesystem of ${settings.root}: without it no volume is mounted or released`;
    if (freeBytes < leastBytes || freeInodes === 0) return { level: 'fail', found, todo };
    if (freeBytes < fewBytes || freeInodes < fewInodes) return { level: 'warn', found, todo };
    return { level: 'ok', found };
  },
};

const sizeOf = (bytes: number): string =>
  bytes < 1024 * mib ? `${Math.floor(bytes / mib)} MiB` : `${Math.floor(bytes / (1024 * mib))} GiB`;

/** Whether what is mounted below the root shows up where containers are started. */
export const propagation: Check = {
  title: 'propagation',
  async run({ machine, settings }) {
    const [{ mount }, host] = await Promise.all([machine.root(), machine.hostMounts()]);
    const at =
      mount.mountpoint === settings.root ? settings.root : `${mount.mountpoint}, which holds ${settings.root},`;
    if (mount.shared === undefined) return unshared(mount, at, host);
    if (host?.some(({ shared }) => shared === mount.shared)) {
      return { level: 'ok', found: `${at} is shared with the host: containers see what is mounted there` };
    }
    if (mount.master !== undefined || host !== undefined) {
      return {
        level: 'fail',
        found: `${at} gets mounts of the host, and gives none back: containers see empty directories`,
        todo: remedy,
      };
    }
    return { level: 'ok', found: `${at} is shared; with whom cannot be seen from here` };
  },
};

const remedy =
  'Start the daemon in the mount namespace of the host (no PrivateMounts or ProtectSystem without its directory ' +
  'shared), or bind its directory with propagation "shared": in a container, -v DIR:DIR:rshared';

/** A private mount is good enough where this process and those that start containers have one table of mounts. */
function unshared({ mountpoint }: MountPoint, at: string, host: readonly MountPoint[] | undefined) {
  if (host === undefined || !host.some((each) => each.mountpoint === mountpoint)) {
    const found = `${at} is private: containers see empty directories`;
    return { level: 'fail', found, todo: remedy } as const;
  }
  return {
    level: 'warn',
    found: `${at} is private: an engine with a mount namespace of its own does not see what is mounted there`,
    todo: `Make it shared (mount --make-rshared ${mountpoint}), as systemd makes all mounts at boot`,
  } as const;
}
