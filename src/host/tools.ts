import { DriverError } from '../errors.ts';
import { type CommandResult, run } from './run.ts';

/** Debian's package of each program we start; what it is told to a person who lacks it. */
const packages: Readonly<Record<string, string>> = {
  blkid: 'util-linux',
  fsfreeze: 'util-linux',
  blockdev: 'util-linux',
  df: 'coreutils',
  mount: 'mount',
  umount: 'mount',
  unshare: 'util-linux',
  flock: 'util-linux',
  e2fsck: 'e2fsprogs',
  'mkfs.ext4': 'e2fsprogs',
  resize2fs: 'e2fsprogs',
  'mkfs.xfs': 'xfsprogs',
  xfs_growfs: 'xfsprogs',
  xfs_repair: 'xfsprogs',
  xfs_io: 'xfsprogs',
  'mkfs.btrfs': 'btrfs-progs',
  btrfs: 'btrfs-progs',
};

/** What a tool advises whoever runs it: to force it, to repair by hand. None of that may reach a reader as our advice. */
const advice =
  /force|overwrit|wipe|try running|alternate superblock|<device>|use the -\w|-L option|without -a or -p|^or$/i;
const manually = /;?\s*run fsck manually\.?/i;

/** What a tool begins with whatever it has to say: who it is. */
const banner = /^(?:\w+2fs|e2fsck) \d[\d.]* \(.*\)$|^btrfs-progs v[\d.]+$|^See https?:\S+ for more information\.?$/;
/** Its own name before what it says: of mount and umount it is part of texts that are looked at. */
const ownName = new RegExp(
  `^(?:/\\S*/s?bin/[\\w.-]+|${Object.keys(packages)
    .filter((name) => !name.endsWith('mount'))
    .join('|')
    .replaceAll('.', '\\.')}): `,
);

/**
 * A command's own words on one line, standard error first, without its name and version, which whoever ran it knows, and without
 * what it advises; its exit code where it said nothing.
 */
export function wordsOf({ code, stdout, stderr }: CommandResult): string {
  const all = (stderr.trim() || stdout.trim()).split(/\s*\n\s*/);
  const telling = all.filter((line) => !banner.test(line));
  const lines = telling.length === 0 ? all : telling;
  const words = lines
    .filter((line) => !advice.test(line))
    .map((line) => line.replace(ownName, '').replace(manually, ''))
    .join('; ');
  return words === ''
    ? `it ended with exit code ${code}${lines.join('') === '' ? ' and said nothing' : ''}`
    : words.slice(-600).replace(/\.$/, '');
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
  return hostFailed(
    tried,
    new Error(`${program} did not come to its end`, { cause: error }),
    `Find out what ended ${program} (dmesg shows a lack of memory) and try again`,
  );
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
