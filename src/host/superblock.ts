import { open } from 'node:fs/promises';
import { newFeatures } from './features.ts';
import type { BlockDevice, FilesystemType } from './types.ts';

/** Superblocks lie within these bytes: XFS at 0, ext4 at 1 KiB, btrfs at 64 KiB. */
const readBytes = 68 * 1024;
const ext4At = 1024;
const btrfsAt = 64 * 1024;

/** How large the filesystem on a disk is, which may be less than the disk; undefined if its superblock is not there. */
export async function readFilesystemSize(device: BlockDevice, type: FilesystemType): Promise<number | undefined> {
  const head = await readHead(device);
  return head === undefined ? undefined : filesystemSize(head, type);
}

/** The features of the filesystem on a disk that older kernels and tools do not know; see {@link newFeatures}. */
export async function readNewFeatures(device: BlockDevice, type: FilesystemType): Promise<string[]> {
  const head = await readHead(device);
  return head === undefined ? [] : newFeatures(head, type);
}

/** True when an ext4 was unmounted in good order and the kernel has found no error in it (s_state, fs/ext4/ext4.h). */
export async function isCleanExt4(device: BlockDevice): Promise<boolean> {
  const head = await readHead(device);
  return head !== undefined && head.readUInt16LE(ext4At + 56) === 0xef53 && (head.readUInt16LE(ext4At + 58) & 3) === 1;
}

async function readHead(device: BlockDevice): Promise<Buffer | undefined> {
  const file = await open(device.path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(readBytes), 0, readBytes, 0);
    return bytesRead === readBytes ? buffer : undefined;
  } finally {
    await file.close();
  }
}

/** The size a superblock claims. Formats: fs/ext4/ext4.h, fs/xfs/libxfs/xfs_format.h, fs/btrfs (btrfs_super_block). */
function filesystemSize(head: Buffer, type: FilesystemType): number | undefined {
  return { ext4: ext4Size, xfs: xfsSize, btrfs: btrfsSize }[type](head);
}

function ext4Size(head: Buffer): number | undefined {
  if (head.readUInt16LE(ext4At + 56) !== 0xef53) return undefined;
  const wide = (head.readUInt32LE(ext4At + 96) & 0x80) !== 0;
  const blocks = head.readUInt32LE(ext4At + 4) + (wide ? head.readUInt32LE(ext4At + 336) * 2 ** 32 : 0);
  return blocks * 1024 * 2 ** head.readUInt32LE(ext4At + 24);
}

function xfsSize(head: Buffer): number | undefined {
  if (head.toString('latin1', 0, 4) !== 'XFSB') return undefined;
  return Number(head.readBigUInt64BE(8)) * head.readUInt32BE(4);
}

function btrfsSize(head: Buffer): number | undefined {
  if (head.toString('latin1', btrfsAt + 64, btrfsAt + 72) !== '_BHRfS_M') return undefined;
  return Number(head.readBigUInt64LE(btrfsAt + 112));
}
