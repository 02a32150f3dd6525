import type { FilesystemType } from './types.ts';

/** Features by bit, of those that a kernel must know to mount (incompat), or to mount for writing (ro). */
type Names = Readonly<Record<number, string>>;

/** What Linux 4.19 and the tools of its time know. fs/ext4/ext4.h, fs/xfs/libxfs/xfs_format.h, include/uapi/linux/btrfs.h */
const common: Readonly<Record<FilesystemType, { readonly incompat: number; readonly ro: number }>> = {
  ext4: { incompat: 0x3f7df, ro: 0x3fff },
  xfs: { incompat: 0x7, ro: 0x7 },
  btrfs: { incompat: 0x3ff, ro: 0x3 },
};

const names: Readonly<Record<FilesystemType, { readonly incompat: Names; readonly ro: Names }>> = {
  ext4: { incompat: {}, ro: { 14: 'shared_blocks', 15: 'verity', 16: 'orphan_present' } },
  xfs: {
    incompat: { 3: 'bigtime', 4: 'needsrepair', 5: 'nrext64', 6: 'exchange', 7: 'parent', 8: 'metadir', 9: 'zoned' },
    ro: { 3: 'inobtcount' },
  },
  btrfs: {
    incompat: {
      10: 'metadata_uuid',
      11: 'raid1c34',
      12: 'zoned',
      13: 'extent_tree_v2',
      14: 'raid_stripe_tree',
      16: 'simple_quota',
    },
    ro: { 2: 'verity', 3: 'block_group_tree' },
  },
};

/**
 * The features of a filesystem that an older kernel does not know, named as its tools do, or as e2fsprogs names what it
 * does not know itself ("FEATURE_I31"); empty for a filesystem without any, or without a superblock.
 * @param head the first 68 KiB of the disk.
 */
export function newFeatures(head: Buffer, type: FilesystemType): string[] {
  const { incompat, ro } = flagsOf(head, type);
  const beyond = (flags: number, kind: 'incompat' | 'ro', letter: string) =>
    Array.from({ length: 32 }, (_, bit) => bit)
      .filter((bit) => ((flags & ~common[type][kind]) >>> bit) & 1)
      .map((bit) => names[type][kind][bit] ?? `FEATURE_${letter}${bit}`);
  return [...beyond(incompat, 'incompat', 'I'), ...beyond(ro, 'ro', 'R')];
}

function flagsOf(head: Buffer, type: FilesystemType): { incompat: number; ro: number } {
  const none = { incompat: 0, ro: 0 };
  if (type === 'ext4') {
    if (head.readUInt16LE(1024 + 56) !== 0xef53) return none;
    return { incompat: head.readUInt32LE(1024 + 96), ro: head.readUInt32LE(1024 + 100) };
  }
  if (type === 'xfs') {
    const isVersion5 = head.toString('latin1', 0, 4) === 'XFSB' && (head.readUInt16BE(100) & 0xf) === 5;
    return isVersion5 ? { incompat: head.readUInt32BE(216), ro: head.readUInt32BE(212) } : none;
  }
  if (head.toString('latin1', 65_600, 65_608) !== '_BHRfS_M') return none;
  return { incompat: head.readUInt32LE(65_536 + 188), ro: head.readUInt32LE(65_536 + 180) };
}
