import { constants, existsSync } from 'node:fs';
import { type FileHandle, open, readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { command } from './command.ts';

/** A loop device with a file behind it. */
export interface Loop {
  /** As "/dev/loop3". */
  readonly path: string;
  /** As "7:3". */
  readonly number: string;
  /** The file behind it. */
  readonly file: string;
}

const pollMs = 5;
const releaseWaitMs = 2000;

const backingFileOf = (path: string): string => `/sys/block/${path.slice('/dev/'.length)}/loop/backing_file`;

const numberOf = async (path: string): Promise<string> =>
  (await readFile(`/sys/block/${path.slice('/dev/'.length)}/dev`, 'utf8')).trim();

/** The file behind a device, without the mark that it was deleted; undefined when there is none. */
async function boundFile(path: string): Promise<string | undefined> {
  const text = await readFile(backingFileOf(path), 'utf8').catch(() => undefined);
  return text?.trim().replace(/ \(deleted\)$/, '');
}

/** Puts a loop device in front of a file. */
export async function bindLoop(file: string): Promise<Loop> {
  const path = await command('losetup', '--find', '--show', file);
  return { path, number: await numberOf(path), file };
}

/** Every loop device of this machine whose file is, or was until it was deleted, below `dir`. */
export async function loopsBelow(dir: string): Promise<Loop[]> {
  const found: Loop[] = [];
  for (const name of await readdir('/sys/block')) {
    if (!name.startsWith('loop')) continue;
    const path = `/dev/${name}`;
    const file = (await boundFile(path)) ?? '';
    if (file.startsWith(`${dir}/`)) found.push({ path, number: await numberOf(path), file });
  }
  return found;
}

/** Tells the kernel that the file behind the device has another size now. */
export async function resizeLoop(loop: Loop): Promise<void> {
  await command('losetup', '--set-capacity', loop.path);
}

/** The device opened exclusively; undefined while anyone, in any mount namespace, has it mounted or opened so. */
async function openExclusively(loop: Loop): Promise<FileHandle | undefined> {
  try {
    return await open(loop.path, constants.O_RDONLY | constants.O_EXCL);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EBUSY') return undefined;
    throw error;
  }
}

export async function isLoopBusy(loop: Loop): Promise<boolean> {
  const handle = await openExclusively(loop);
  await handle?.close();
  return handle === undefined;
}

/**
 * Takes the file away from a device that nobody uses; everything written to it is in the file then. `beforeRelease`
 * runs while the device is held exclusively: nobody can mount it between that and its end.
 * @returns false, with nothing done, when the device is in use
 */
export async function releaseFreeLoop(loop: Loop, beforeRelease: () => Promise<void>): Promise<boolean> {
  // A device that was let go earlier may have another file by now, which is none of ours.
  if ((await boundFile(loop.path)) !== loop.file) {
    await beforeRelease();
    return true;
  }
  const handle = await openExclusively(loop);
  if (handle === undefined) return false;
  try {
    await beforeRelease();
    // The handle keeps the device open, so the kernel lets go of the file when the last opener closes.
    await command('losetup', '--detach', loop.path);
  } finally {
    await handle.close();
  }
  return await becameUnbound(loop);
}

/** True once the device has no file; programs that probe new disks may hold it for a moment. */
async function becameUnbound(loop: Loop): Promise<boolean> {
  for (let waited = 0; waited < releaseWaitMs; waited += pollMs) {
    if (!existsSync(backingFileOf(loop.path))) return true;
    await delay(pollMs);
  }
  return false;
}

/** Makes the kernel let go of the file as soon as the last user leaves. */
export async function releaseLoopLater(loop: Loop): Promise<void> {
  await command('losetup', '--detach', loop.path);
}
