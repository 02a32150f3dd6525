import { readdir, readFile, readlink, realpath, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Settings } from '../../config.ts';
import { DriverError } from '../../errors.ts';
import { attachedVolumeIds, findDevice } from '../../host/devices.ts';
import { isInstanceLocked } from '../../host/instance-lock.ts';
import { parseMountinfo } from '../../host/mountinfo.ts';
import { run } from '../../host/run.ts';
import { runTool, wordsOf } from '../../host/tools.ts';
import { filesystemUsage } from '../../host/usage.ts';
import { type MountPoint, mountOf, readMountPoints } from './mountpoints.ts';

/** An EBS disk that the kernel describes. */
interface SeenDisk {
  readonly volumeId: string;
  /** Its node below the device root; undefined where there is none. */
  readonly path: string | undefined;
  /** Why its node cannot be opened for reading; undefined when it can. */
  readonly refused: string | undefined;
}

export interface Tool {
  readonly program: string;
  /** Its own words; undefined where it does not run. */
  readonly version: string | undefined;
  /** What to do where it does not run. */
  readonly todo: string | undefined;
}

/** The directory of the mountpoints and the journal, or, while it is not made, the directory that it will be in. */
interface RootSpace {
  readonly path: string;
  readonly exists: boolean;
  readonly freeBytes: number;
  /** Undefined on filesystems that make them as they need them. */
  readonly freeInodes: number | undefined;
  readonly mount: MountPoint;
}

/** A record of this node's journal. */
interface JournalRecord {
  readonly name: string;
  readonly volumeId: string;
  readonly phase: string;
}

/** This machine, as far as it can be seen from this process. */
export interface Machine {
  /** The effective capabilities of this process as Linux's bits (capabilities(7)). */
  capabilities(): Promise<bigint>;
  /** Whether this process sees all processes of the machine. */
  seesAllProcesses(): Promise<boolean>;
  /** Runs each program with the argument that makes it tell its version. */
  tools(programs: Readonly<Record<string, string>>): Promise<readonly Tool[]>;
  disks(): Promise<readonly SeenDisk[]>;
  /** The mount that the device root is on. */
  deviceMount(): Promise<MountPoint>;
  /** Seconds after which the NVMe driver gives a request up; undefined where that driver is not loaded. */
  nvmeTimeout(): Promise<number | undefined>;
  root(): Promise<RootSpace>;
  /** The mounts that process 1 sees; undefined where they are its own affair or cannot be read. */
  hostMounts(): Promise<readonly MountPoint[] | undefined>;
  /** Where a volume of the journal is mounted on this host beside the driver's own mountpoint. */
  foreignMounts(): Promise<readonly ForeignMount[]>;
  /** Readable records of the journal; empty while there is none. */
  records(): Promise<readonly JournalRecord[]>;
  /** Whether a daemon serves the cluster of the settings here, as this instance. */
  isServed(instanceId: string): Promise<boolean>;
}

export interface ForeignMount {
  /** The volume. */
  readonly name: string;
  readonly mountpoint: string;
}

/** Opening a disk that answers takes no time. */
const openMs = 5_000;

/** The first PID namespace has this number on every Linux (include/linux/proc_ns.h, PROC_PID_INIT_INO). */
const firstPidNamespace = 'pid:[4026531836]';

/** This very machine. All methods reject with a DriverError or what Node throws. */
export function openMachine(settings: Pick<Settings, 'root' | 'deviceRoot' | 'sysfsRoot' | 'cluster'>): Machine {
  const ownMounts = () => readMountPoints('/proc/self/mountinfo');
  return {
    async capabilities() {
      const [, digits] = /^CapEff:\s*([0-9a-f]+)$/m.exec(await readFile('/proc/self/status', 'utf8')) ?? [];
      if (digits === undefined) throw new Error('/proc/self/status says nothing of them');
      return BigInt(`0x${digits}`);
    },
    seesAllProcesses: async () => (await readlink('/proc/self/ns/pid')) === firstPidNamespace,
    tools: (programs) => Promise.all(Object.entries(programs).map(([program, flag]) => askVersion(program, flag))),
    async disks() {
      const ids = [...(await attachedVolumeIds(settings.sysfsRoot))].sort();
      return Promise.all(ids.map((volumeId) => seeDisk(settings, volumeId)));
    },
    async nvmeTimeout() {
      const file = join(settings.sysfsRoot, 'module/nvme_core/parameters/io_timeout');
      const text = await readFile(file, 'utf8').catch(() => '');
      return /^\d+$/.test(text.trim()) ? Number(text) : undefined;
    },
    deviceMount: async () => mountOf(await ownMounts(), await realpath(settings.deviceRoot)),
    async root() {
      const path = await realpath(await nearest(settings.root));
      const { bytes, inodes } = await filesystemUsage(path);
      return {
        path,
        exists: (await nearest(settings.root)) === settings.root,
        freeBytes: bytes.available,
        freeInodes: inodes.total === 0 ? undefined : inodes.total - inodes.used,
        mount: mountOf(await ownMounts(), path),
      };
    },
    async hostMounts() {
      if ((await readlink('/proc/self/ns/pid')) !== firstPidNamespace) return undefined;
      return readMountPoints('/proc/1/mountinfo').catch(() => undefined);
    },
    async foreignMounts() {
      const records = await readRecords(join(settings.root, 'state/volumes'));
      return foreignMounts(settings, records, await readFile('/proc/self/mountinfo', 'utf8'));
    },
    records: () => readRecords(join(settings.root, 'state/volumes')),
    isServed: (instanceId) => isInstanceLocked({ ...settings, instanceId }),
  };
}

async function foreignMounts(
  settings: Pick<Settings, 'root' | 'deviceRoot' | 'sysfsRoot'>,
  records: readonly JournalRecord[],
  mountinfo: string,
): Promise<ForeignMount[]> {
  const own = `${await realpath(settings.root).catch(() => settings.root)}/`;
  const entries = parseMountinfo(mountinfo).filter(({ mountpoint }) => !mountpoint.startsWith(own));
  const found = records.map(async ({ name, volumeId }) => {
    const disk = await findDevice(settings, volumeId, '').catch(() => undefined);
    return entries.flatMap(({ number, mountpoint }) => (number === disk?.number ? [{ name, mountpoint }] : []));
  });
  return (await Promise.all(found)).flat();
}

async function askVersion(program: string, flag: string): Promise<Tool> {
  try {
    const words = wordsOf(await runTool(program, [flag], `ask ${program} for its version`));
    return { program, version: /\d+(\.\d+)+/.exec(words)?.[0] ?? words.slice(0, 40), todo: undefined };
  } catch (error) {
    const todo = error instanceof DriverError ? error.parts.todo.replace(/ and try again$/, '') : undefined;
    return { program, version: undefined, todo };
  }
}

async function seeDisk(settings: Pick<Settings, 'deviceRoot' | 'sysfsRoot'>, volumeId: string): Promise<SeenDisk> {
  // An NVMe disk is found by its serial, whatever name EC2 has for it.
  const path = (await findDevice(settings, volumeId, '').catch(() => undefined))?.path;
  if (path === undefined) return { volumeId, path, refused: undefined };
  return { volumeId, path, refused: await refusal(path) };
}

/** Why a disk cannot be opened: asked in a process of its own, which one that does not answer holds. */
async function refusal(path: string): Promise<string | undefined> {
  try {
    const asking = run('blockdev', ['--getsize64', path]);
    // Not even a signal ends a process that such a disk holds.
    const result = await Promise.race([asking, sleep(openMs, undefined, { ref: false })]);
    if (result === undefined) return 'it does not answer';
    return result.code === 0 ? undefined : wordsOf(result);
  } catch (error) {
    return (error as Error).message;
  }
}

/** The path, or the nearest directory above it that is there. */
async function nearest(path: string): Promise<string> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return found === undefined ? nearest(dirname(path)) : path;
}

/** Only read: opening the journal would tidy up beside a daemon that writes it. */
async function readRecords(directory: string): Promise<JournalRecord[]> {
  const files = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const records = files
    .filter((file) => file.endsWith('.json'))
    .map(async (file) => {
      try {
        const { name, volume, phase } = JSON.parse(await readFile(join(directory, file), 'utf8'));
        return [{ name: String(name), volumeId: String(volume.id), phase: String(phase) }];
      } catch {
        // It has ended meanwhile, or nobody can read it; the daemon says so at its start.
        return [];
      }
    });
  return (await Promise.all(records)).flat();
}
