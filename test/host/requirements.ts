import { existsSync, readFileSync } from 'node:fs';

const directories = ['/usr/sbin', '/sbin', '/usr/bin', '/bin'];
const has = (...programs: string[]): boolean =>
  programs.every((program) => directories.some((directory) => existsSync(`${directory}/${program}`)));

const root = process.getuid?.() === 0;

const capabilities = BigInt(
  `0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`,
);

/** What this machine can do for tests; those that need more are skipped. */
export const machine = {
  root,
  /** CAP_SYS_RESOURCE, which growing a mounted ext4 takes. */
  mayGrowExt4: (capabilities & (1n << 24n)) !== 0n,
  disks:
    root &&
    existsSync('/dev/loop-control') &&
    has('losetup', 'mkfs.ext4', 'mkfs.xfs', 'mkfs.btrfs', 'e2fsck', 'blkid', 'unshare', 'xfs_io'),
} as const;
