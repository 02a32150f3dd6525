import { tmpdir } from 'node:os';
import { nameOf, withoutPath } from './disk-names.ts';
import { judgeE2fsck, whyRefused } from './filesystems.ts';
import { hostFailed, runTool, wordsOf } from './tools.ts';
import type { BlockDevice, FilesystemType } from './types.ts';

/** A mount and its end in a namespace of its own: nobody sees it, and nothing of it is left whoever dies. */
const mountOnce = 'mount -w -t "$0" -o "$1" -- "$2" "$3" && umount -- "$3"';

/**
 * Has the kernel replay the journal of a filesystem by mounting it once for writing: a copy of a disk in use needs that,
 * or a check takes what the journal holds for damage. To be done to a copy alone.
 * @returns what the kernel refuses it for; undefined where it mounts.
 * @throws DriverError FILESYSTEM_TOO_NEW; HOST_FAILED where this node cannot mount it for another reason than damage.
 */
export async function replayJournal(device: BlockDevice, type: FilesystemType): Promise<string | undefined> {
  const tried = `mount ${nameOf(device)} once`;
  const options = type === 'xfs' ? 'rw,nouuid' : 'rw';
  const words = ['sh', '-c', mountOnce, type, options, device.path, tmpdir()];
  const result = await runTool('unshare', ['--mount', '--', ...words], tried);
  if (result.code === 0) return undefined;
  const said = withoutPath(wordsOf(result), device).replace(`mount: ${tmpdir()}: `, '');
  if (/file exists/i.test(said)) {
    const why = `this kernel does not mount two ${type} filesystems of one UUID, and its twin is mounted here`;
    throw hostFailed(tried, new Error(why), 'Use a node that does not have the volume, or one with Linux 6.7 or later');
  }
  if (/unknown filesystem type/i.test(said)) {
    throw hostFailed(tried, new Error(said), `Use a node whose kernel knows ${type}`);
  }
  const refused = await whyRefused(device, type, 'ro', tried);
  if (refused instanceof Error) throw refused;
  return said;
}

/** Each looks at all metadata and writes nothing: e2fsck(8), xfs_repair(8), btrfs-check(8). */
const checks: Readonly<Record<FilesystemType, readonly [program: string, ...words: string[]]>> = {
  ext4: ['e2fsck', '-f', '-n'],
  xfs: ['xfs_repair', '-n'],
  btrfs: ['btrfs', 'check', '--readonly'],
};

/**
 * Checks all of a filesystem without writing to it, in the time that reading its metadata takes. It is not mounted, and its
 * journal is replayed.
 * @returns what is wrong with it, in the words of its check; undefined for one that is in order.
 * @throws DriverError HOST_FAILED where the check itself cannot be made.
 */
export async function checkReadOnly(device: BlockDevice, type: FilesystemType): Promise<string | undefined> {
  const [program, ...words] = checks[type];
  const tried = `check the ${type} filesystem on ${nameOf(device)}`;
  const result = await runTool(program, [...words, device.path], tried);
  if (result.code === 0) return undefined;
  const said = withoutPath(findings(`${result.stdout}\n${result.stderr}`) ?? wordsOf(result), device);
  if (isDamage(type, result.code, `${result.stdout}\n${result.stderr}`)) return `${program} says: ${said}`;
  throw hostFailed(
    tried,
    new Error(`${program} did not come to its end: ${said}`),
    'See what the kernel says about this disk (dmesg), and try again',
  );
}

/** xfs_repair -n ends with 1 for what it would mend, and btrfs check with 1 for all that it does not like. */
function isDamage(type: FilesystemType, code: number, output: string): boolean {
  return type === 'ext4' ? judgeE2fsck(code, output) === 'damaged' : code === 1;
}

const noise =
  /^(Pass \d|Phase \d|\s*- |\[\d\/\d\]|Opening filesystem|Checking filesystem|UUID: |No modify flag|e2fsck \d|found \d|total |file data|btree space| referenced|\s*$)/;
const mostFindings = 3;

/** The first lines that tell of something found; undefined without one. A question of e2fsck's is no finding, nor its answer. */
function findings(output: string): string | undefined {
  const lines = output
    .split('\n')
    .filter((line) => !noise.test(line))
    .map((line) =>
      line.replace(/\s*(Fix|Clear|Recreate|Salvage|Connect to \/lost\+found|Relocate)\? no\s*$/i, '').trim(),
    )
    .filter((line) => line !== '' && !/\bforce|-L option|overwrit|wipe|run fsck|backup superblock/i.test(line));
  if (lines.length === 0) return undefined;
  const more = lines.length > mostFindings ? `; and ${lines.length - mostFindings} lines more` : '';
  return `${lines.slice(0, mostFindings).join('; ').replaceAll(/\s+/g, ' ').slice(0, 400)}${more}`;
}
