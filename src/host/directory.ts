import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, opendir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { DriverError } from '../errors.ts';
import { errnoOf, hostFailed } from './tools.ts';
import type { AbsentDirectory, DirectoryOwner } from './types.ts';

const openDirectory = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const defaultMode = 0o755;
const namedEntries = 4;
const cannotMake = new Map([
  ['ENOSPC', 'it is not there, and there is no room on the filesystem to make it'],
  ['EDQUOT', 'it is not there, and a quota of the filesystem leaves no room to make it'],
  ['EROFS', 'it is not there, and the filesystem is mounted read-only'],
]);

/**
 * The directory of a mounted volume that callers get: "" and "/" are the mountpoint itself; missing parts are made, the
 * last one with `owner`. A directory that is there keeps its owner, but for the root of an empty filesystem. Containers write to the volume, so nothing in it is
 * trusted: every part is opened without following links, from the directory opened before it.
 * @param absent what to do about a missing part: "make" it, or "make in empty": only where nothing else is in the volume.
 * @throws DriverError HOST_FAILED for "..", a symbolic link, a file, or another filesystem on the way; NO_SUBDIRECTORY for
 * one that is missing in a volume that holds something else; UNMADE_SUBDIRECTORY for one that cannot be made.
 */
export async function openSubdirectory(
  mountpoint: string,
  subdirectory: string,
  owner: DirectoryOwner,
  absent: AbsentDirectory,
): Promise<string> {
  const tried = `open the directory ${JSON.stringify(subdirectory)} of the volume at ${mountpoint}`;
  try {
    const parts = splitSubdirectory(subdirectory);
    const root = await realpath(mountpoint);
    if (parts.length === 0) {
      await ownFreshRoot(root, owner);
      return root;
    }
    if (absent === 'make in empty') await refuseBesideContent(root, parts, tried);
    await walk(root, parts, owner);
    const path = join(root, ...parts);
    if ((await realpath(path)) !== path) throw new Error('a part of it was replaced meanwhile');
    return path;
  } catch (error) {
    const why = cannotMake.get(errnoOf(error) ?? '');
    if (why !== undefined) {
      throw new DriverError('UNMADE_SUBDIRECTORY', {
        tried,
        why,
        todo: 'Hand out a directory that is there',
        cause: error,
      });
    }
    const todo = `Look at ${mountpoint} on this host, or choose another directory with the subdirectory option`;
    throw hostFailed(tried, error, todo);
  }
}

/** The root of a filesystem that nobody has written to yet gets the owner; later it is its users' business. */
async function ownFreshRoot(root: string, owner: DirectoryOwner): Promise<void> {
  if (owner.uid === undefined && owner.gid === undefined && owner.mode === undefined) return;
  if (!(await holdsOnly(root, 'lost+found'))) return;
  const directory = await open(root, openDirectory);
  try {
    const { uid, gid, mode } = await directory.stat();
    await directory.chown(owner.uid ?? uid, owner.gid ?? gid);
    await directory.chmod(owner.mode ?? mode & 0o7777);
  } finally {
    await directory.close();
  }
}

/** A new directory beside somebody's data would be handed out as if the data were gone. @throws DriverError NO_SUBDIRECTORY */
async function refuseBesideContent(root: string, parts: readonly string[], tried: string): Promise<void> {
  const there: string[] = [];
  let directory = await open(root, openDirectory);
  try {
    for (const part of parts) {
      const path = `/proc/self/fd/${directory.fd}`;
      there.push(...(await firstEntries(path, ['lost+found', part], namedEntries + 1)));
      const next = await open(join(path, part), openDirectory).catch((error: unknown) => {
        if (errnoOf(error) === 'ENOENT') return undefined;
        throw error;
      });
      if (next === undefined) break;
      await directory.close();
      directory = next;
      if (part === parts.at(-1)) return;
    }
  } catch (error) {
    // What is in the way there, a file or a link, is refused and named by the walk.
    if (['ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) return;
    throw error;
  } finally {
    await directory.close();
  }
  if (there.length === 0) return;
  const named = there.slice(0, namedEntries).map((entry) => JSON.stringify(entry));
  const more = there.length > namedEntries ? ', …' : '';
  throw new DriverError('NO_SUBDIRECTORY', {
    tried,
    why: `the volume holds ${named.join(', ')}${more}, and no such directory: it was not made by this driver for this name, and an empty directory would hide its data`,
    todo: 'Have its root given out instead, with the option subdirectory=/',
  });
}

/** True for a directory with none but these entries. */
const holdsOnly = async (path: string, ...entries: readonly string[]): Promise<boolean> =>
  (await firstEntries(path, entries, 1)).length === 0;

/** A few names of what is in a directory, which may have millions: up to so many. */
async function firstEntries(path: string, except: readonly string[], atMost: number): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of await opendir(path, { bufferSize: atMost + except.length })) {
    if (!except.includes(name)) found.push(name);
    if (found.length >= atMost) break;
  }
  return found;
}

function splitSubdirectory(subdirectory: string): string[] {
  const parts = subdirectory.split('/').filter((part) => part !== '' && part !== '.');
  if (subdirectory.includes('\0') || parts.includes('..')) {
    throw new Error('a directory inside a volume has no ".." and no NUL character in its name');
  }
  return parts;
}

async function walk(root: string, parts: readonly string[], owner: DirectoryOwner): Promise<void> {
  let directory = await open(root, openDirectory);
  try {
    const { dev } = await directory.stat();
    for (const [index, part] of parts.entries()) {
      const next = await openPart(directory, part, index === parts.length - 1 ? owner : undefined);
      await directory.close();
      directory = next;
      if ((await next.stat()).dev !== dev) throw new Error(`${part} is on another filesystem`);
    }
  } finally {
    await directory.close();
  }
}

/** Opens a part relative to its parent's descriptor (Node has no openat), making it if it is absent. */
async function openPart(parent: FileHandle, part: string, owner: DirectoryOwner | undefined): Promise<FileHandle> {
  const path = `/proc/self/fd/${parent.fd}/${part}`;
  // Mode 0 marks a directory that is not finished: a crash before the owner is set leaves it to the next caller.
  await mkdir(path, 0).catch((error: unknown) => {
    if (errnoOf(error) !== 'EEXIST') throw error;
  });
  const directory = await openNoFollow(path, part);
  try {
    if (await isUnfinished(directory)) await finish(directory, owner);
    return directory;
  } catch (error) {
    await directory.close();
    throw error;
  }
}

async function openNoFollow(path: string, part: string): Promise<FileHandle> {
  try {
    return await open(path, openDirectory);
  } catch (error) {
    if (!['ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) throw error;
    throw new Error(`${JSON.stringify(part)} in it is a symbolic link or a file, not a directory`, { cause: error });
  }
}

async function isUnfinished(directory: FileHandle): Promise<boolean> {
  const { mode } = await directory.stat();
  return (mode & 0o7777) === 0 && (await holdsOnly(`/proc/self/fd/${directory.fd}`));
}

async function finish(directory: FileHandle, owner: DirectoryOwner | undefined): Promise<void> {
  const { uid, gid } = await directory.stat();
  await directory.chown(owner?.uid ?? uid, owner?.gid ?? gid);
  await directory.chmod(owner?.mode ?? defaultMode);
}
