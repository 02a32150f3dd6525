import { nameOf, withoutPath } from './disk-names.ts';
import { hostFailed, runTool, wordsOf } from './tools.ts';
import type { BlockDevice, FilesystemType } from './types.ts';

/** EBS volumes grow by whole GiB; filesystems leave less than this unused at the end of a disk. */
const slackBytes = 64 * 1024 * 1024;

/** True when a filesystem of this size has the whole of its disk; false also where its size is not known. */
export function fills(filesystemBytes: number | undefined, diskBytes: number): boolean {
  return filesystemBytes !== undefined && diskBytes - filesystemBytes < slackBytes;
}

/** The command that grows a mounted filesystem to the size of its disk. */
function growCommand(path: string, target: string, type: FilesystemType): [string, ...string[]] {
  const commands: Record<FilesystemType, [string, ...string[]]> = {
    ext4: ['resize2fs', path],
    xfs: ['xfs_growfs', target],
    btrfs: ['btrfs', 'filesystem', 'resize', 'max', target],
  };
  return commands[type];
}

/**
 * Grows a mounted filesystem to its disk; one that has all of it already stays as it is. Never an unmounted one: resize2fs
 * that is interrupted there loses data.
 * @throws DriverError HOST_FAILED with the program's words.
 */
export async function growMounted(device: BlockDevice, target: string, type: FilesystemType): Promise<void> {
  const [program, ...args] = growCommand(device.path, target, type);
  const tried = `grow the filesystem on ${nameOf(device)} to its disk`;
  const result = await runTool(program, args, tried);
  if (result.code === 0) return;
  // ext4 wants more than root's usual rights in a container (ext4_resize_begin asks for this capability).
  const lacking = /permission denied/i.test(result.stderr);
  throw hostFailed(
    tried,
    new Error(
      `${program} failed: ${withoutPath(wordsOf(result), device)}${lacking ? ' (the kernel wants CAP_SYS_RESOURCE for it)' : ''}`,
    ),
    lacking
      ? 'Give the daemon CAP_SYS_RESOURCE, as its unit and its plugin have it: docker-volume-ebs doctor says whether it has'
      : 'See the last lines of dmesg, which name the reason; it is tried again',
  );
}
