import { open } from 'node:fs/promises';
import type { BlockDevice, FilesystemType, SuperblockCopy } from './types.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const btrfsCopies = [64 * MiB, 256 * 1024 * MiB];
/** Groups that have a copy under sparse_super: 1 and the powers of 3, 5 and 7. */
const ext4Groups = [1, 3, 5, 7, 9, 25, 27, 49];

/**
 * Where an intact copy of a filesystem's superblock stands, looked for where mkfs puts them by itself; undefined when
 * there is none in these places, which proves nothing. The first one that is found.
 */
export async function findSuperblockCopy(
  device: BlockDevice,
  type: FilesystemType,
): Promise<SuperblockCopy | undefined> {
  const file = await open(device.path);
  try {
    for (const place of places(type, device.sizeBytes)) {
      const offset = place.block * place.blockBytes;
      if (offset + 4 * KiB > device.sizeBytes) continue;
      const { buffer, bytesRead } = await file.read(Buffer.alloc(4 * KiB), 0, 4 * KiB, offset);
      if (bytesRead === 4 * KiB && isCopy(buffer, type, place))
        return { block: place.block, blockBytes: place.blockBytes };
    }
    return undefined;
  } finally {
    await file.close();
  }
}

type Place = SuperblockCopy & { readonly group: number };

function places(type: FilesystemType, sizeBytes: number): Place[] {
  if (type === 'btrfs')
    return btrfsCopies.map((at, index) => ({ block: at / (4 * KiB), blockBytes: 4 * KiB, group: index + 1 }));
  if (type === 'xfs') {
    // mkfs.xfs makes four allocation groups of equal size on a single disk below 4 TiB, and of 1 TiB above.
    const quarter = sizeBytes / 4 / (4 * KiB);
    const sizes = sizeBytes < 2 ** 42 ? [Math.floor(quarter), Math.ceil(quarter)] : [2 ** 28 - 1];
    return sizes.flatMap((blocks) => [1, 2, 3].map((group) => ({ block: group * blocks, blockBytes: 4 * KiB, group })));
  }
  return [4 * KiB, KiB, 2 * KiB].flatMap((blockBytes) =>
    ext4Groups.map((group) => ({ block: group * 8 * blockBytes + (blockBytes === KiB ? 1 : 0), blockBytes, group })),
  );
}

/** Formats: fs/ext4/ext4.h (magic, block size, the group it stands in), xfs_format.h, btrfs_super_block. */
function isCopy(block: Buffer, type: FilesystemType, { blockBytes, group }: Place): boolean {
  if (type === 'xfs') return block.toString('latin1', 0, 4) === 'XFSB';
  if (type === 'btrfs') return block.toString('latin1', 64, 72) === '_BHRfS_M';
  const isExt = block.readUInt16LE(56) === 0xef53 && block.readUInt16LE(90) === group;
  return isExt && KiB * 2 ** block.readUInt32LE(24) === blockBytes;
}
