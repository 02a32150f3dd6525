import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatWords } from './filesystems.ts';
import { type CommandResult, run } from './run.ts';
import type { FilesystemType, RefusedOptions } from './types.ts';

/** What has a mkfs say what it would make, and make nothing. mkfs.btrfs has no such flag. */
const dryFlags: Partial<Record<FilesystemType, string>> = { ext4: '-n', xfs: '-N' };
/** A dry run takes milliseconds, whatever the size. */
const patienceMs = 5000;

/**
 * Why mkfs would refuse these options for a blank disk of this size; undefined where it would not, or that cannot be
 * told (no such program, no such dry run, too large a file for this host). It looks at an empty, sparse file. What it
 * refuses without the options too is none of their doing.
 */
export async function tryFormat(
  type: FilesystemType,
  options: readonly string[],
  sizeBytes: number,
): Promise<RefusedOptions | undefined> {
  const dry = dryFlags[type];
  if (dry === undefined || options.length === 0) return undefined;
  const directory = await mkdtemp(join(tmpdir(), 'docker-volume-ebs-'));
  try {
    const disk = join(directory, 'disk');
    const file = await open(disk, 'wx', 0o600);
    await file.truncate(sizeBytes).finally(() => file.close());
    return await judge(options, (words) =>
      run(`mkfs.${type}`, [dry, ...formatWords(type, words), disk], { timeoutMs: patienceMs }),
    );
  } catch {
    return undefined;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function judge(
  options: readonly string[],
  attempt: (options: readonly string[]) => Promise<CommandResult>,
): Promise<RefusedOptions | undefined> {
  const { code, stderr, stdout } = await attempt(options);
  if (code === 0 || (await attempt([])).code !== 0) return undefined;
  const flags = flagsOf(options);
  for (const flag of flags) {
    const others = flags.filter((each) => each !== flag);
    if ((await attempt(others.flat())).code === 0)
      return { option: flag.join(' '), words: firstWords(stderr || stdout) };
  }
  return { option: options.join(' '), words: firstWords(stderr || stdout) };
}

/** Each flag with its value, if it has one. */
function flagsOf(options: readonly string[]): string[][] {
  const flags: string[][] = [];
  for (const word of options) {
    if (word.startsWith('-')) flags.push([word]);
    else flags.at(-1)?.push(word);
  }
  return flags;
}

/** mkfs.xfs tells how it is used after the reason; mkfs.ext4 names itself, and may ask whether to proceed. */
function firstWords(output: string): string {
  const [reason = ''] = output.split(/^Usage:/m);
  const lines = reason.split('\n').map((line) => line.trim().replace(/^mkfs\.\w+: /, ''));
  return lines
    .filter((line) => line !== '' && !/proceed anyway/i.test(line))
    .slice(0, 2)
    .join('; ')
    .replace(/\.$/, '')
    .slice(0, 300);
}
