import { nameOf } from './disk-names.ts';
import type { DiskWork } from './disk-work.ts';
import { createDiskWorkers } from './disk-workers.ts';
import { ownProgram } from './own-program.ts';
import type { AbsentDirectory, BlockDevice, DirectoryOwner, DiskContent, FilesystemType } from './types.ts';
import { asked } from './unanswered.ts';

/**
 * Disks and mounted volumes as the daemon touches them: in a process apart, because a disk that does not answer holds
 * the thread that asked it, and all file access of a process shares four. Each may take for ever.
 */
const workers = createDiskWorkers([...ownProgram(), 'disk-worker']);

/** Some reads of a few KiB: of a disk that answers they take milliseconds. */
const fewReadsMs = 5_000;
/** The slowest an EBS volume may be read (st1 at its baseline: 40 MiB/s a TiB), and less. */
const slowestBytesPerMs = 4 * 1024;

/** Starts a worker for work that is about to come. */
export const expectDiskWork = (): void => workers.expectWork();

/** What the disk holds, see content.ts: looked at in samples first, whose answer is awaited less long than a whole disk's. */
export async function readContent(
  device: BlockDevice,
  parts: 'samples' | 'all',
  made?: FilesystemType,
): Promise<DiskContent> {
  const read = (which: 'samples' | 'all', patienceMs: number) =>
    asked(
      nameOf(device),
      'to read what it holds',
      patienceMs,
      workers.work(nameOf(device), 'readContent', device, which, ...(made === undefined ? [] : [made])),
    );
  const sampled = await read('samples', fewReadsMs);
  if (parts === 'samples' || sampled.kind !== 'blank') return sampled;
  return read('all', fewReadsMs + device.sizeBytes / slowestBytesPerMs);
}

/** Something of which a disk or filesystem that answers gives account at once. */
function askAtOnce<M extends keyof DiskWork>(
  subject: string,
  doing: string,
  method: M,
  ...args: Parameters<DiskWork[M]>
): Promise<Awaited<ReturnType<DiskWork[M]>>> {
  return asked(subject, doing, fewReadsMs, Promise.resolve(workers.work(subject, method, ...args)));
}

const askSuperblock = <
  M extends 'wasEverMounted' | 'readFilesystemSize' | 'readNewFeatures' | 'isCleanExt4' | 'soundExt4',
>(
  method: M,
  ...args: Parameters<DiskWork[M]>
) => askAtOnce(nameOf(args[0]), 'to read its superblock', method, ...args);

/** See content.ts. */
export const wasEverMounted = (device: BlockDevice): Promise<boolean> => askSuperblock('wasEverMounted', device);

/** See superblock.ts. */
export const readFilesystemSize = (device: BlockDevice, type: FilesystemType): Promise<number | undefined> =>
  askSuperblock('readFilesystemSize', device, type);

/** See superblock.ts. */
export const readNewFeatures = (device: BlockDevice, type: FilesystemType): Promise<string[]> =>
  askSuperblock('readNewFeatures', device, type);

/** See superblock.ts. */
export const isCleanExt4 = (device: BlockDevice): Promise<boolean> => askSuperblock('isCleanExt4', device);

/** See sound-ext4.ts. */
export const soundExt4 = (device: BlockDevice): Promise<string | undefined> => askSuperblock('soundExt4', device);

/** See busy.ts. */
export const isDeviceBusy = (device: BlockDevice): Promise<boolean> =>
  askAtOnce(nameOf(device), 'to open it', 'isDeviceBusy', device);

/** See directory.ts. */
export const openSubdirectory = (
  mountpoint: string,
  subdirectory: string,
  owner: DirectoryOwner,
  absent: AbsentDirectory,
): Promise<string> =>
  askAtOnce(mountpoint, 'to open its directory', 'openSubdirectory', mountpoint, subdirectory, owner, absent);
