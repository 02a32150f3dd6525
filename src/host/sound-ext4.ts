import { open } from 'node:fs/promises';
import { deviceNumber } from './sysfs.ts';
import type { BlockDevice } from './types.ts';

/** The boot block, which mkfs.ext4 leaves zero, and the superblock behind it. */
const bootBytes = 1024;
const superblockBytes = 1024;

/** Offsets and flags: struct ext4_super_block, fs/ext4/ext4.h. */
const at = {
  mountCount: 52,
  mountCountMax: 54,
  magic: 56,
  state: 58,
  checkInterval: 68,
  incompatible: 96,
  readOnlyCompatible: 100,
  uuid: 104,
  lastOrphan: 232,
  errorCount: 404,
  checksum: 1020,
} as const;
const clean = 1;
const needsRecovery = 0x4;
const orphansPresent = 0x10000;
const hasChecksums = 0x400;

/**
 * The UUID of an ext4 that nothing needs to be asked about: its superblock bears out its own checksum, it was unmounted in
 * good order, knows of no error and no orphan, is due for no check, and no other kind of disk begins before it (a partition
 * table, LUKS, LVM and XFS do in its first kilobyte). Then libblkid and e2fsck -p would tell the same: that one looks no
 * further, and the kernel checks the group descriptors itself before it writes anything. Undefined where any of that is not so.
 */
export async function soundExt4(device: BlockDevice): Promise<string | undefined> {
  const file = await open(device.path);
  try {
    const { rdev } = await file.stat();
    if (deviceNumber(rdev) !== device.number) return undefined;
    const length = bootBytes + superblockBytes;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0);
    if (bytesRead !== length || buffer.subarray(0, bootBytes).some((byte) => byte !== 0)) return undefined;
    return soundUuid(buffer.subarray(bootBytes));
  } finally {
    await file.close();
  }
}

function soundUuid(block: Buffer): string | undefined {
  const isIntact =
    block.readUInt16LE(at.magic) === 0xef53 &&
    (block.readUInt32LE(at.readOnlyCompatible) & hasChecksums) !== 0 &&
    block.readUInt32LE(at.checksum) === crc32c(block.subarray(0, at.checksum));
  const isDone =
    block.readUInt16LE(at.state) === clean &&
    (block.readUInt32LE(at.incompatible) & needsRecovery) === 0 &&
    (block.readUInt32LE(at.readOnlyCompatible) & orphansPresent) === 0 &&
    block.readUInt32LE(at.lastOrphan) === 0 &&
    block.readUInt32LE(at.errorCount) === 0;
  const most = block.readInt16LE(at.mountCountMax);
  const isDue = block.readUInt32LE(at.checkInterval) !== 0 || (most > 0 && block.readUInt16LE(at.mountCount) >= most);
  if (!isIntact || !isDone || isDue) return undefined;
  const hex = block.toString('hex', at.uuid, at.uuid + 16);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** CRC-32C as ext4 has it: begun with all ones and not inverted at the end (ext4_superblock_csum, fs/ext4/super.c). */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return crc >>> 0;
}
