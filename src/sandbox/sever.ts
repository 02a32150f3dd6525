import { mkdtemp, rmdir, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { attempt, command } from './command.ts';
import { isLoopBusy, type Loop, releaseFreeLoop, releaseLoopLater, resizeLoop } from './loops.ts';
import { reachPrefix } from './mounts.ts';
import type { VolumeFiles } from './volume-files.ts';

/**
 * Reaches the filesystem that someone has mounted from this device, in whatever mount namespace: mounting the device
 * again gives the same superblock.
 * @returns what `work` gives, or undefined when there is no mounted filesystem
 */
async function reach<T>(loop: Loop, dir: string, work: (mountpoint: string) => Promise<T>): Promise<T | undefined> {
  if (!(await isLoopBusy(loop))) return undefined;
  const mountpoint = await mkdtemp(join(dir, reachPrefix));
  try {
    // A filesystem mounted read-only can only be mounted again read-only.
    const mounted = (await attempt('mount', loop.path, mountpoint)).code === 0;
    if (!mounted && (await attempt('mount', '-o', 'ro', loop.path, mountpoint)).code !== 0) return undefined;
    try {
      return await work(mountpoint);
    } finally {
      await attempt('umount', '--lazy', mountpoint);
    }
  } finally {
    await rmdir(mountpoint);
  }
}

/**
 * Makes the filesystem on a device refuse all I/O at once; what was not synced is lost. xfs_io serves ext4 and XFS and
 * answers EIO; without it ext4 is aborted, which leaves reading possible. Does nothing to other filesystems.
 */
export async function haltFilesystem(loop: Loop, dir: string): Promise<void> {
  await reach(loop, dir, async (mountpoint) => {
    const shutdown = await attempt('xfs_io', '-x', '-c', 'shutdown', mountpoint).catch(() => undefined);
    if (shutdown?.code === 0 && shutdown.stderr === '') return;
    await attempt('mount', '-o', 'remount,abort', mountpoint);
  });
}

/** Runs `work` while the filesystem on the device, if one is mounted, is flushed and stands still. */
export async function whileFrozen<T>(loop: Loop, dir: string, work: () => Promise<T>): Promise<T> {
  const outcome = await reach(loop, dir, async (mountpoint) => {
    const frozen = (await attempt('fsfreeze', '--freeze', mountpoint)).code === 0;
    try {
      return { value: await work() };
    } finally {
      if (frozen) await attempt('fsfreeze', '--unfreeze', mountpoint);
    }
  });
  return outcome === undefined ? await work() : outcome.value;
}

/** Writes everything that the filesystem on the device still holds back. */
export async function syncFilesystem(loop: Loop, dir: string): Promise<void> {
  await reach(loop, dir, (mountpoint) => command('sync', '--file-system', mountpoint));
}

interface Cut {
  readonly loop: Loop;
  readonly files: VolumeFiles;
  /** The volume's file. */
  readonly file: string;
  /** For temporary mounts. */
  readonly dir: string;
  /** Makes this file the volume's, for good, before the old one is emptied. */
  readonly adopt: (file: string) => void;
}

/**
 * Takes the volume away from a device whoever holds it: nothing its holders do afterwards can reach the volume. A
 * device in use gets no free file back: the volume goes on in a copy, and the device is left with an empty file, so
 * that all further I/O on it fails.
 */
export async function cutLoop(cut: Cut): Promise<void> {
  const { loop, files, file } = cut;
  if (await releaseFreeLoop(loop, async () => {})) return;
  await whileFrozen(loop, cut.dir, async () => {
    cut.adopt(await files.duplicate(file));
    await truncate(files.path(file), 0);
    // Fails only on a device that has been let go since: then nothing is left to cut.
    await resizeLoop(loop).catch(() => {});
  });
  await releaseLoopLater(loop).catch(() => {});
  await files.remove(file);
}
