import { DriverError } from '../errors.ts';
import { type CommandResult, run } from './run.ts';
import type { BlockDevice } from './types.ts';

/** Debian's package of each program we start; what it is told to a person who lacks it. */
const packages: Readonly<Record<string, string>> = {
  blkid: 'util-linux',
  blockdev: 'util-linux',
  mount: 'mount',
  umount: 'mount',
  unshare: 'util-linux',
  flock: 'util-linux',
  e2fsck: 'e2fsprogs',
  'mkfs.ext4': 'e2fsprogs',
  resize2fs: 'e2fsprogs',
  'mkfs.xfs': 'xfsprogs',
  xfs_growfs: 'xfsprogs',
  xfs_io: 'xfsprogs',
  'mkfs.btrfs': 'btrfs-progs',
  btrfs: 'btrfs-progs',
};

/** A disk as people know it: "/dev/nvme1n1 (vol-0123)", or the path alone where the disk has no serial. */
export const nameOf = ({ path, serialVolumeId }: Pick<BlockDevice, 'path' | 'serialVolumeId'>): string =>
  serialVolumeId === undefined ? path : `${path} (${serialVolumeId})`;

/** A command's own words on one line, standard error first; its exit code where it said nothing. */
export function wordsOf({ code, stdout, stderr }: CommandResult): string {
  const words = (stderr.trim() || stdout.trim()).split(/\s*\n\s*/).join('; ');
  return words === '' ? `it ended with exit code ${code} and said nothing` : words.slice(-600).replace(/\.$/, '');
}

/** Runs one of our programs and gives its result whatever the exit code. `tried` completes "cannot …". */
export async function runTool(program: string, args: readonly string[], tried: string): Promise<CommandResult> {
  try {
    return await run(program, args);
  } catch (error) {
    throw notRun(program, tried, error);
  }
}

/** HOST_FAILED for a program that could not be started, naming its Debian package, or that a signal ended. */
export function notRun(program: string, tried: string, error: unknown): DriverError {
  if (isMissingProgram(error)) {
    return new DriverError('HOST_FAILED', {
      tried,
      why: `the program ${program} is not installed`,
      todo: `Install the package ${packages[program] ?? program} on this host (or in the plugin image) and try again`,
      cause: error,
    });
  }
  return hostFailed(tried, error, `Find out why ${program} was ended (dmesg shows a lack of memory) and try again`);
}

/** True for a {@link run} that found no such program. */
export const isMissingProgram = (error: unknown): boolean =>
  error instanceof Error && errnoOf(error.cause) === 'ENOENT';

/** The code of a system error ("ENOENT"), undefined for everything else. */
export const errnoOf = (error: unknown): string | undefined => {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
};

/** Any thrown value as HOST_FAILED; a DriverError as it is. */
export function hostFailed(tried: string, error: unknown, todo: string): DriverError {
  if (error instanceof DriverError) return error;
  const why = (error instanceof Error ? error.message : String(error)).replace(/\.$/, '');
  return new DriverError('HOST_FAILED', { tried, why, todo, cause: error });
}
