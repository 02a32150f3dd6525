import { readFileSync } from 'node:fs';
import { mkdir, realpath, rmdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DriverError } from '../errors.ts';
import { readFilesystemSize } from './disk.ts';
import { nameOf, withoutPath } from './disk-names.ts';
import { damaged, whyRefused } from './filesystems.ts';
import { parseMountinfo } from './mountinfo.ts';
import { shutdownFilesystem } from './shutdown.ts';
import { blockDeviceNumber, ifThere } from './sysfs.ts';
import { errnoOf, hostFailed, runTool, wordsOf } from './tools.ts';
import type { BlockDevice, FilesystemType, MountEntry, MountedAt } from './types.ts';

const mountinfo = '/proc/self/mountinfo';

/**
 * The mounts this process sees. Read until two readings agree: the file comes in pieces, and kernels before 5.8 skip
 * entries when a mount goes between two of them.
 * @throws DriverError HOST_FAILED
 */
export async function readMounts(): Promise<MountEntry[]> {
  try {
    let text = readFileSync(mountinfo, 'utf8');
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const again = readFileSync(mountinfo, 'utf8');
      if (again === text) break;
      text = again;
    }
    return parseMountinfo(text);
  } catch (error) {
    throw hostFailed('read the mount table', error, `Check that ${mountinfo} is readable`);
  }
}

/** The path as mountinfo writes it. The last part is not followed: it may be the root of a filesystem that is shut down. */
async function resolveTarget(target: string): Promise<string | undefined> {
  const parent = await ifThere(realpath(dirname(target)));
  return parent === undefined ? undefined : join(parent, basename(target));
}

/** What is mounted at a path, the topmost last. @throws DriverError HOST_FAILED */
export async function mountsAt(target: string): Promise<MountEntry[]> {
  const path = await resolveTarget(target);
  return path === undefined ? [] : (await readMounts()).filter((entry) => entry.mountpoint === path);
}

/** Whether a mount is that of a disk. @throws DriverError HOST_FAILED */
// btrfs shows an anonymous number, so its source is asked as well.
export const isMountOf = async (entry: MountEntry, device: BlockDevice): Promise<boolean> =>
  entry.number === device.number ||
  (entry.source.startsWith('/') && (await blockDeviceNumber(entry.source)) === device.number);

/**
 * What is mounted at `target`: the disk, something else (also an earlier attachment of the same volume), or nothing.
 * @throws DriverError HOST_FAILED
 */
export async function mountedAt(target: string, device: BlockDevice | undefined): Promise<MountedAt> {
  const top = (await mountsAt(target)).at(-1);
  if (top === undefined) return { what: 'nothing' };
  const ours = device !== undefined && (await isMountOf(top, device));
  return { what: ours ? 'disk' : 'other', number: top.number };
}

/**
 * Takes away a mount whose disk is gone: it refuses all I/O from now on, also for those who still have it open, and
 * leaves this namespace although it may be busy. Success when nothing is mounted.
 * @throws DriverError HOST_FAILED
 */
export async function abandonMount(target: string): Promise<void> {
  const tried = `take away the mount at ${target}, whose disk is gone`;
  try {
    for (let left = await mountsAt(target); left.length > 0; left = await mountsAt(target)) {
      // The filesystem may have noticed by itself and refuse to be opened: the unmount is what counts.
      await shutdownFilesystem(target).catch(() => undefined);
      const result = await runTool('umount', ['--lazy', '--', target], tried);
      if (result.code !== 0 && (await mountsAt(target)).length >= left.length) throw new Error(wordsOf(result));
    }
    await removeEmpty(target);
  } catch (error) {
    throw hostFailed(tried, error, `Run umount --lazy ${target} by hand to see why, and try again`);
  }
}

/**
 * Mounts a disk at `target`, which is made if absent and removed again if the mount fails. Success when the disk is
 * mounted there already.
 * @returns the size of its filesystem as the superblock says, in bytes: read before the mount, while the disk is at rest.
 * Undefined where it is mounted already, or only to be read.
 * @throws DriverError TARGET_BUSY when something else is mounted there; FILESYSTEM_DAMAGED; HOST_FAILED with mount's words.
 */
export async function mountDevice(
  device: BlockDevice,
  target: string,
  type: FilesystemType,
  options: readonly string[],
): Promise<number | undefined> {
  const tried = `mount ${nameOf(device)} at ${target}`;
  try {
    await makeTarget(target);
    if (await isMountedAlready(device, target, tried)) return undefined;
    const filesystemBytes = options.includes('ro') ? undefined : await readFilesystemSize(device, type);
    await runMount(device, target, type, options, tried);
    return filesystemBytes;
  } catch (error) {
    throw hostFailed(
      tried,
      error,
      `Check ${target} on this host and what the kernel says about the disk (dmesg), and try again`,
    );
  }
}

/** What is mounted there already is not looked at: its filesystem may not answer. */
async function makeTarget(target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true, mode: 0o700 });
  await mkdir(target).catch((error: unknown) => {
    if (errnoOf(error) !== 'EEXIST') throw error;
  });
}

async function isMountedAlready(device: BlockDevice, target: string, tried: string): Promise<boolean> {
  const top = (await mountsAt(target)).at(-1);
  if (top === undefined) return false;
  if (await isMountOf(top, device)) return true;
  throw new DriverError('TARGET_BUSY', {
    tried,
    why: `${top.source} (${top.type}) is mounted there`,
    todo: `Unmount it (umount ${target}) if it does not belong there, and try again`,
  });
}

async function runMount(
  device: BlockDevice,
  target: string,
  type: FilesystemType,
  options: readonly string[],
  tried: string,
): Promise<void> {
  // A volume made from a snapshot has the UUID of its source, which may be mounted on this node too.
  const all = type === 'xfs' && !options.includes('nouuid') ? [...options, 'nouuid'] : options;
  // Without -w mount falls back to read-only on a write-protected disk, and callers would find out by EROFS.
  const mode = options.includes('ro') ? [] : ['-w'];
  const list = all.length === 0 ? [] : ['-o', all.join(',')];
  try {
    const result = await runTool('mount', [...mode, '-t', type, ...list, '--', device.path, target], tried);
    if (result.code !== 0) throw await mountFailure(device, type, options, tried, withoutPath(wordsOf(result), device));
  } catch (error) {
    await removeEmpty(target);
    throw error;
  }
}

async function mountFailure(
  device: BlockDevice,
  type: FilesystemType,
  options: readonly string[],
  tried: string,
  words: string,
): Promise<DriverError> {
  if (/structure needs cleaning|bad message|can't read superblock|xfs_repair/i.test(words)) {
    return damaged(type, tried, words);
  }
  const mode = options.includes('ro') ? 'ro' : 'rw';
  const reason = /wrong fs type|bad superblock/i.test(words) ? await whyRefused(device, type, mode, tried) : undefined;
  if (reason instanceof DriverError) return reason;
  const given = reason === 'options' ? ` the mount options (${options.join(',')}) and` : '';
  return new DriverError('HOST_FAILED', {
    tried,
    why: words,
    todo: `Check${given} the last lines of dmesg, which name the reason, and try again`,
  });
}

/**
 * Unmounts everything stacked at `target` and removes the directory if it is empty. Success when nothing is mounted.
 * Removing the directory also ends copies of the mount at the same place in other mount namespaces (Linux ≥ 3.18), as
 * of a monitoring container that sees the whole host; a container's own mount of the volume is at another place and stays.
 * @throws DriverError TARGET_BUSY; HOST_FAILED.
 */
export async function unmountTarget(target: string): Promise<void> {
  const tried = `unmount ${target}`;
  try {
    for (let left = await mountsAt(target); left.length > 0; left = await mountsAt(target)) {
      // A frozen filesystem would be unmounted and live on, frozen, without a place where it can be thawed.
      await runTool('fsfreeze', ['--unfreeze', target], tried).catch(() => undefined);
      const result = await runTool('umount', ['--', target], tried);
      if (result.code !== 0 && (await mountsAt(target)).length >= left.length) {
        throw unmountFailure(target, tried, wordsOf(result));
      }
    }
    await removeEmpty(target);
  } catch (error) {
    throw hostFailed(tried, error, `Run umount ${target} by hand to see why, and try again`);
  }
}

function unmountFailure(target: string, tried: string, words: string): DriverError {
  const busy = /busy/i.test(words);
  return new DriverError(busy ? 'TARGET_BUSY' : 'HOST_FAILED', {
    tried,
    why: busy ? 'a process on this host still uses it' : words,
    todo: busy
      ? `Find the process with lsof +f -- ${target}, stop it or its container, and try again`
      : `Run umount ${target} by hand to see why, and try again`,
  });
}

/** Removes a directory only if it is empty; one with entries stays, since they belong to somebody. */
async function removeEmpty(target: string): Promise<void> {
  try {
    await ifThere(rmdir(target));
  } catch (error) {
    if (!['ENOTEMPTY', 'EBUSY'].includes(errnoOf(error) ?? '')) throw error;
  }
}
