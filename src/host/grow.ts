import { readFilesystemSize } from './disk.ts';
import { nameOf, withoutPath } from './disk-names.ts';
import { runTool, wordsOf } from './tools.ts';
import type { BlockDevice, FilesystemType } from './types.ts';

/** EBS volumes grow by whole GiB; filesystems leave less than this unused at the end of a disk. */
const slackBytes = 64 * 1024 * 1024;

/** True when the disk has become larger than the filesystem on it. Read before mounting, while the disk is at rest. */
export async function hasOutgrown(device: BlockDevice, type: FilesystemType): Promise<boolean> {
  const size = await readFilesystemSize(device, type);
  return size !== undefined && device.sizeBytes - size >= slackBytes;
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
 * Grows a mounted filesystem to its disk. Never an unmounted one: resize2fs that is interrupted there loses data.
 * @throws DriverError HOST_FAILED when the program is missing; Error with its words when it failed.
 */
export async function growMounted(device: BlockDevice, target: string, type: FilesystemType): Promise<void> {
  const [program, ...args] = growCommand(device.path, target, type);
  const result = await runTool(program, args, `grow the filesystem on ${nameOf(device)}`);
  if (result.code === 0) return;
  // ext4 wants more than root's usual rights in a container (ext4_resize_begin asks for this capability).
  const hint = /permission denied/i.test(result.stderr) ? ' (the kernel wants CAP_SYS_RESOURCE for it)' : '';
  throw new Error(`${program} failed: ${withoutPath(wordsOf(result), device)}${hint}`);
}
