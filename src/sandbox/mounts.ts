import { readFile } from 'node:fs/promises';
import { attempt, command } from './command.ts';

/** Where filesystems are mounted for a moment to reach them; nodes never see a directory of this name. */
export const reachPrefix = 'sandbox-reach-';

const plainPath = (path: string): string =>
  path.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/** The mountpoints at or below `dir` in this process's mount namespace, those mounted last first. */
async function mountpointsBelow(dir: string): Promise<string[]> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  return lines
    .map((line) => plainPath(line.split(' ')[4] ?? ''))
    .filter((path) => path === dir || path.startsWith(`${dir}/`))
    .reverse();
}

/** Unmounts everything at or below `dir`; what is still in use is only taken out of sight. */
export async function unmountBelow(dir: string): Promise<void> {
  for (const mountpoint of await mountpointsBelow(dir)) {
    if ((await attempt('umount', mountpoint)).code !== 0) await attempt('umount', '--lazy', mountpoint);
  }
}

/**
 * Makes a directory a mount of its own whose mounts appear in the node's mount namespace and here alike, and nowhere
 * else.
 */
export async function makeNodeRoot(root: string): Promise<void> {
  if ((await mountpointsBelow(root)).includes(root)) return;
  await command('mount', '--bind', root, root);
  await command('mount', '--make-private', root);
  await command('mount', '--make-shared', root);
}

/**
 * The shell script that takes a process into a node's view of mounts: its own root as on the host, everything else
 * private, and no copy of another node's mounts or of other disks on loop devices (a copy would keep them in use for as
 * long as the node runs). Filesystems that hold the node or the working directory stay.
 * Run it as `unshare --mount --propagation unchanged sh -c SCRIPT sh ROOT PROGRAM ARGUMENT…`.
 */
export const enterNode = `
own=$1; shift
while read -r _ _ _ _ mountpoint _; do
  mountpoint=$(printf '%b' "$mountpoint")
  case $mountpoint in "$own"|"$own"/*) ;; *) mount --make-private "$mountpoint" 2>/dev/null ;; esac
done < /proc/self/mountinfo
while read -r _ _ device _ mountpoint rest; do
  mountpoint=$(printf '%b' "$mountpoint")
  case $mountpoint in "$own"|"$own"/*|/) continue ;; esac
  case $own/ in "$mountpoint"/*) continue ;; esac
  case $PWD/ in "$mountpoint"/*) continue ;; esac
  case $mountpoint in
    */nodes/i-*/root|*/nodes/i-*/root/*|*/${reachPrefix}*) umount --lazy "$mountpoint" 2>/dev/null; continue ;;
  esac
  case "$device $rest" in
    "7:"*" - ext4 "*|"7:"*" - xfs "*|*" - btrfs /dev/loop"*) umount --lazy "$mountpoint" 2>/dev/null ;;
  esac
done <<END
$(tac /proc/self/mountinfo)
END
exec "$@"
`;
