import { tmpdir } from 'node:os';
import { DriverError } from '../errors.ts';
import { isCleanExt4, isDeviceBusy, readContent, readNewFeatures, soundExt4 } from './disk.ts';
import { nameOf, withoutPath } from './disk-names.ts';
import type { CommandResult } from './run.ts';
import { hostFailed, runTool, wordsOf } from './tools.ts';
import type { BlockDevice, FilesystemType } from './types.ts';

// Inode tables and journal are zeroed by the kernel after the first mount: seconds, not minutes, on a large disk.
const extended = 'lazy_itable_init=1,lazy_journal_init=1,nodiscard';

/** No force flags here: mkfs.xfs and mkfs.btrfs then refuse a disk they recognise something on. Discarding a new EBS volume gains nothing. */
const makers: Readonly<Record<FilesystemType, readonly string[]>> = {
  ext4: ['-q', '-m', '0', '-E', extended],
  xfs: ['-q', '-K'],
  btrfs: ['-q', '--nodiscard'],
};

/**
 * Formats a disk after looking once more that there is nothing on it (unless an interrupted mkfs of ours is): mkfs.ext4
 * itself asks nobody when there is no terminal and overwrites what it finds (measured, e2fsprogs 1.47).
 * @throws DriverError NOT_BLANK naming what is there; HOST_FAILED with mkfs's own words, or when it made nothing.
 */
export async function makeFilesystem(
  device: BlockDevice,
  type: FilesystemType,
  options: readonly string[],
  over: 'nothing' | 'unfinished',
): Promise<void> {
  const tried = `format ${nameOf(device)} with ${type}`;
  if (over === 'nothing') await refuseContent(device, tried);
  const program = `mkfs.${type}`;
  // mkfs.ext4 needs no force to overwrite what an interrupted mkfs left; the others recognise their own beginnings.
  const force = over === 'unfinished' && type !== 'ext4' ? ['-f'] : [];
  const result = await runTool(program, [...force, ...formatWords(type, options), device.path], tried);
  // Options such as mkfs.ext4 -n end well and make nothing.
  const content = result.code === 0 ? await readContent(device, 'samples') : undefined;
  if (content?.kind === 'filesystem' && content.type === type) return;
  const words = withoutPath(wordsOf(result), device);
  const why = new Error(`${program} ${content === undefined ? 'failed' : `made no ${type}`}: ${words}`);
  throw hostFailed(tried, why, 'Correct the mkfsOptions of the volume and try again');
}

/** What a mkfs is told, but for the disk: our own words, and the options that are asked for. */
export const formatWords = (type: FilesystemType, options: readonly string[]): string[] => [
  ...makers[type],
  ...withExtended(options),
];

/** mke2fs heeds the last -E alone (measured, 1.47): one that is asked for says ours, too, which it may contradict. */
function withExtended(options: readonly string[]): string[] {
  return options.map((word, index) => (options[index - 1] === '-E' ? `${extended},${word}` : word));
}

async function refuseContent(device: BlockDevice, tried: string): Promise<void> {
  const content = await readContent(device, 'samples');
  if (content.kind === 'blank' || (content.kind === 'other' && content.noise === true)) return;
  throw new DriverError('NOT_BLANK', {
    tried,
    why: `it holds ${content.kind === 'other' ? content.what : `a filesystem (${content.type})`}`,
    todo: 'Find out whose data it is (docker-volume-ebs rescue gives its disk a path to look at it), or use another volume',
  });
}

/**
 * Makes an ext4 consistent before it is mounted: e2fsck -p replays the journal and mends only what loses nothing. XFS
 * and btrfs need nothing: their log is replayed by the mount, which also finds damage, and xfs_repair -L or btrfs
 * check --repair would lose data.
 * One that is sound by its own account (sound-ext4.ts) needs neither: then e2fsck -p looks at no more than that.
 * A disk that is mounted elsewhere in this kernel (a container that still runs) is left alone: its filesystem is live.
 * @throws DriverError FILESYSTEM_DAMAGED saying what a person must run; HOST_FAILED.
 */
export async function checkFilesystem(device: BlockDevice, type: FilesystemType): Promise<void> {
  if (type !== 'ext4' || (await isDeviceBusy(device))) return;
  if ((await soundExt4(device)) !== undefined) return;
  const tried = `check the ext4 filesystem on ${nameOf(device)}`;
  await refuseUnreadable(device, tried);
  const result = await runTool('e2fsck', ['-p', device.path], tried);
  const words = withoutPath(wordsOf(result), device);
  const output = `${result.stdout}\n${result.stderr}`;
  const unknown = /unsupported feature\(s\):\s*(.*)/.exec(output)?.[1];
  if (unknown !== undefined) return leaveToKernel(device, unknown.trim(), tried);
  const verdict = judgeE2fsck(result.code, output);
  if (verdict === 'fine') return;
  if (verdict === 'damaged') throw damaged(type, tried, words);
  throw hostFailed(tried, new Error(words), 'See what the kernel says about this disk (dmesg), and try again');
}

/**
 * Lets the kernel look first, without writing: on a filesystem whose group descriptors are gone e2fsck -p deletes the
 * journal and writes into the intact copies before it gives up (measured, e2fsprogs 1.47). The mount is made in a
 * namespace of its own and ends with the program, whatever becomes of us.
 */
async function refuseUnreadable(device: BlockDevice, tried: string): Promise<void> {
  const result = await lookByKernel(device, 'ext4', 'ro', tried);
  const words = withoutPath(wordsOf(result), device).replace(`mount: ${tmpdir()}: `, '');
  if (result.code !== 0 && /structure needs cleaning|bad message|can't read superblock/i.test(words)) {
    throw damaged('ext4', tried, words);
  }
}

/** A mount without anybody's options, for writing or only to look, that is gone when this returns. */
function lookByKernel(
  device: BlockDevice,
  type: FilesystemType,
  mode: 'ro' | 'rw',
  tried: string,
): Promise<CommandResult> {
  const options = [...(mode === 'ro' ? ['ro', 'norecovery'] : ['rw']), ...(type === 'xfs' ? ['nouuid'] : [])].join(',');
  const mount = ['mount', '-t', type, '-o', options, '--', device.path, tmpdir()];
  return runTool('unshare', ['--mount', '--', ...mount], tried);
}

/**
 * An ext4 that is newer than this node's e2fsck cannot be checked by it, and is no more damaged for that. In good order it
 * needs no check, and the kernel, which replays the journal itself, says whether it knows its features.
 */
async function leaveToKernel(device: BlockDevice, features: string, tried: string): Promise<void> {
  if (await isCleanExt4(device)) return;
  throw new DriverError('FILESYSTEM_TOO_NEW', {
    tried,
    why: `it was not left in good order, and has features that the e2fsck of this node does not know (${features})`,
    todo: 'Install newer e2fsprogs on this host (or in the plugin image), or mount it on a node that has them; nothing was written to it',
  });
}

/**
 * Why the kernel refused a mount without calling the filesystem damaged: "options" where it takes the filesystem without
 * them; FILESYSTEM_TOO_NEW where that has features which not every kernel knows; undefined for anything else.
 */
export async function whyRefused(
  device: BlockDevice,
  type: FilesystemType,
  mode: 'ro' | 'rw',
  tried: string,
): Promise<'options' | DriverError | undefined> {
  if ((await lookByKernel(device, type, mode, tried)).code === 0) return 'options';
  const features = await readNewFeatures(device, type).catch(() => []);
  if (features.length === 0) return undefined;
  return new DriverError('FILESYSTEM_TOO_NEW', {
    tried,
    why: `the kernel does not take its ${type} filesystem, which newer tools or a newer kernel have made: it uses ${features.join(', ')}. Nothing says that it is damaged`,
    todo: 'Mount it on a node with a newer kernel, as the one that had it last; the last lines of dmesg name what this one lacks',
  });
}

/**
 * What e2fsck's exit code says; its bits add up (e2fsck(8)). 1: mended. 2: mended, reboot if this is the root
 * filesystem, which ours never is. 4: damage left. 8, 16, 32, 128: e2fsck itself failed, by damage only if it says so.
 */
export function judgeE2fsck(code: number, output: string): 'fine' | 'damaged' | 'failed' {
  if ((code & 4) !== 0) return 'damaged';
  if ((code & ~3) === 0) return 'fine';
  return /superblock|super-block|corrupt|inconsisten|unsupported|bad magic/i.test(output) ? 'damaged' : 'failed';
}

/** FILESYSTEM_DAMAGED; whoever knows the volume's name adds how to rescue it. */
export function damaged(type: FilesystemType, tried: string, why: string): DriverError {
  return new DriverError('FILESYSTEM_DAMAGED', {
    tried,
    why: `its ${type} filesystem is damaged: ${why}`,
    todo: 'Run docker-volume-ebs rescue with the name of the volume: it takes a snapshot first, and says which check to run',
  });
}
