import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rmdir } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { isDeviceBusy } from './disk.ts';
import { nameOf } from './disk-names.ts';
import { isMountOf, mountsAt } from './mounts.ts';
import { hostFailed, runTool, wordsOf } from './tools.ts';
import type { BlockDevice, FilesystemType, Freezer } from './types.ts';

/** However its daemon ends or hangs: writers wait no longer than this. */
const mostSeconds = 10;

/**
 * The process that freezes is the one that thaws: when it is told to, when the daemon ends in whatever way (its input ends),
 * or when the time is over. It holds the directory open, so that it acts on that filesystem and no other (by path it would
 * be the parent's, once the volume is unmounted), and nobody can unmount it meanwhile.
 */
const watchdog = `
trap "" PIPE
exec 3< "$0" || exit 1
echo opened
read -r go && [ "$go" = freeze ] || exit 0
sync --file-system /proc/self/fd/3
words=$(fsfreeze --freeze /proc/self/fd/3 2>&1) || { echo "refused $words"; exit 1; }
echo frozen
timeout "$1" head -c 1 > /dev/null && end=thawed || end=late
while :; do
  words=$(fsfreeze --unfreeze /proc/self/fd/3 2>&1) && break
  case $words in *"nvalid argument"*) end=lost; break ;; esac
  sleep 1
done
echo $end
`;

/**
 * Opens the filesystem that is mounted at `target` to freeze it: proven to be the disk's. Nothing stands still yet.
 * @throws DriverError HOST_FAILED when something else is mounted there, or it cannot be opened.
 */
export async function openFreezer(device: BlockDevice, target: string): Promise<Freezer> {
  const child = spawn('sh', ['-c', watchdog, target, String(mostSeconds)], {
    cwd: '/',
    env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin`, LC_ALL: 'C' },
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  });
  // It may have ended already; what it has said counts.
  child.stdin.on('error', () => undefined);
  const next = linesOf(child);
  const failed = (why: unknown) =>
    hostFailed(
      `freeze ${nameOf(device)}, mounted at ${target}`,
      why,
      'Look whether the volume is mounted and can be written to, and try again',
    );
  try {
    if ((await next()) !== 'opened') throw new Error('its directory cannot be opened');
    await prove(child, device, target);
  } catch (error) {
    child.stdin.end();
    throw failed(error);
  }
  let frozen = false;
  return {
    async freeze() {
      child.stdin.write('freeze\n');
      const said = await next();
      frozen = said === 'frozen';
      if (frozen) return 'frozen';
      if (said !== undefined && /busy/i.test(said)) return 'busy';
      throw failed(new Error(said?.replace(/^refused (fsfreeze: )?/, '') ?? 'the process that does it has ended'));
    },
    async thaw() {
      child.stdin.end('thaw\n');
      if (!frozen) return false;
      frozen = false;
      const said = await next();
      // Whoever ended that process: the filesystem must not stay as it is.
      if (said === undefined) await thawFilesystem(device, target, undefined);
      return said === 'thawed';
    },
  };
}

/** Gives what the process says line by line; undefined once it says no more. */
function linesOf(child: ChildProcess): () => Promise<string | undefined> {
  if (child.stdout === null) throw new Error('it has no output');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const lost = once(child, 'error').then(() => undefined);
  return async () => (await Promise.race([lines.next(), lost]))?.value;
}

/** The directory that the process holds is that of a mount at the target, and of this disk. A device number alone is not asked: btrfs has anonymous ones. */
async function prove({ pid }: ChildProcess, device: BlockDevice, target: string): Promise<void> {
  const opened = /^mnt_id:\s*(\d+)$/m.exec(await readFile(`/proc/${pid}/fdinfo/3`, 'utf8'))?.[1];
  const entry = (await mountsAt(target)).at(-1);
  if (entry === undefined || String(entry.id) !== opened) throw new Error('nothing is mounted there any more');
  if (!(await isMountOf(entry, device))) throw new Error(`${entry.source} is mounted there`);
}

/**
 * Ends a freeze that somebody left behind, also where the filesystem has been unmounted since: its superblock then lives on,
 * frozen, and its disk stays busy until it is mounted, thawed and unmounted again (measured, Linux 6.18).
 * @param type where it is known; without it only what is mounted is thawed.
 * @returns true when it was frozen.
 * @throws DriverError HOST_FAILED
 */
export async function thawFilesystem(
  device: BlockDevice,
  target: string,
  type: FilesystemType | undefined,
): Promise<boolean> {
  const entry = (await mountsAt(target)).at(-1);
  if (entry !== undefined) return (await isMountOf(entry, device)) && unfreeze(target);
  if (type === undefined || !(await isDeviceBusy(device))) return false;
  const tried = `thaw ${nameOf(device)}, which is not mounted here any more`;
  const place = `${target}.thaw`;
  await mkdir(place, { recursive: true, mode: 0o700 });
  try {
    const mounted = await runTool('mount', ['-t', type, '--', device.path, place], tried);
    if (mounted.code !== 0) return false;
    const wasFrozen = await unfreeze(place);
    await runTool('umount', ['--', place], tried);
    return wasFrozen;
  } finally {
    await rmdir(place).catch(() => undefined);
  }
}

async function unfreeze(target: string): Promise<boolean> {
  const tried = `thaw the filesystem at ${target}`;
  const result = await runTool('fsfreeze', ['--unfreeze', target], tried);
  if (result.code === 0) return true;
  if (/invalid argument/i.test(result.stderr)) return false;
  throw hostFailed(tried, new Error(wordsOf(result)), `Run fsfreeze --unfreeze ${target} by hand to see why`);
}
