import type { DiskContent } from './types.ts';

const phrases: Readonly<Record<string, string>> = {
  crypto_LUKS: 'a LUKS container',
  LVM2_member: 'an LVM physical volume',
  LVM1_member: 'an LVM physical volume',
  zfs_member: 'a member of a ZFS pool',
  linux_raid_member: 'a member of a Linux RAID array',
  swap: 'swap space',
  swsuspend: 'a hibernation image',
  jbd: 'an external ext4 journal',
  BitLocker: 'a BitLocker container',
  bcache: 'a bcache device',
};

/** What libblkid found on a disk: the pairs that `blkid -p -o export` writes, one KEY=value a line. */
export function parseBlkidExport(text: string): Map<string, string> {
  const pairs = text.split('\n').flatMap((line) => {
    const equals = line.indexOf('=');
    return equals < 1 ? [] : [[line.slice(0, equals), line.slice(equals + 1).replaceAll('\\', '')] as const];
  });
  return new Map(pairs);
}

/**
 * A disk's content by its signatures; undefined when libblkid knows none, which is no proof of a blank disk.
 * A filesystem counts only if no partition table stands beside it: a partitioned disk may keep the superblock of an
 * older filesystem in its first megabyte, and mounting that would ruin the partitions.
 */
export function contentOfSignatures(found: ReadonlyMap<string, string>): DiskContent | undefined {
  const type = found.get('TYPE');
  const table = found.get('PTTYPE');
  // An atari table has no magic number, so libblkid sees one in some random sectors (aws-ebs-csi-driver#738).
  if (table !== undefined && !(table === 'atari' && type !== undefined)) {
    return { kind: 'other', what: `a partition table (${table})${type === undefined ? '' : ` and ${phraseOf(type)}`}` };
  }
  if (type === undefined) return undefined;
  if (found.get('USAGE') === 'filesystem' && !type.endsWith('_member')) {
    return { kind: 'filesystem', type, uuid: found.get('UUID') };
  }
  return { kind: 'other', what: phraseOf(type) };
}

const phraseOf = (type: string): string => phrases[type] ?? `data of type ${type}`;
