import { describe, expect, it } from 'vitest';
import { readContent } from '../../src/host/content.ts';
import { newFeatures } from '../../src/host/features.ts';
import { checkFilesystem } from '../../src/host/filesystems.ts';
import { mountDevice, unmountTarget } from '../../src/host/mounts.ts';
import type { FilesystemType } from '../../src/host/types.ts';
import { requires } from '../support/requirements.ts';
import { type LoopDisk, loopDisk, must, tempDirectory } from './lab.ts';

const { skip } = requires('root', 'loop', 'mkfs.xfs', 'mkfs.btrfs');

const outcome = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'done',
    (error: unknown) => error,
  );

async function made(type: FilesystemType, mebibytes: number): Promise<LoopDisk & { readonly target: string }> {
  const directory = await tempDirectory();
  const disk = await loopDisk(directory, mebibytes);
  await must(`mkfs.${type}`, '-q', disk.device.path);
  return { ...disk, target: `${directory}/target` };
}

/** A RAID superblock of version 1.0 as mdadm writes it, for libblkid: magic, version, and where it stands. */
function raidMember(sizeBytes: number): { at: number; bytes: Buffer } {
  const at = (Math.floor(sizeBytes / 512) - 16) * 512;
  const bytes = Buffer.alloc(4096);
  bytes.writeUInt32LE(0xa92b4efc, 0);
  bytes.writeUInt32LE(1, 4);
  bytes.writeBigUInt64LE(BigInt(at / 512), 144);
  return { at, bytes };
}

describe.skipIf(skip)('a filesystem with files that look like something else', () => {
  it.each(['ext4', 'xfs', 'btrfs'] as const)('is the %s that it was made as, and still no blank disk', async (type) => {
    const { device, write } = await made(type, 512);
    const { at, bytes } = raidMember(device.sizeBytes);
    await write(at, bytes);
    expect(await readContent(device, 'samples')).toMatchObject({ kind: 'other', signed: true });
    expect(await readContent(device, 'samples', type)).toMatchObject({ kind: 'filesystem', type });
    const another = type === 'ext4' ? 'xfs' : 'ext4';
    expect(await readContent(device, 'samples', another)).toMatchObject({ kind: 'other', signed: true });
  });

  it('is none any more once it has a partition table, whatever its superblock says', async () => {
    const { device, write } = await made('ext4', 64);
    const table = Buffer.alloc(512);
    table.writeUInt8(0x83, 450);
    table.writeUInt32LE(2048, 454);
    table.writeUInt32LE(100_000, 458);
    table.writeUInt16LE(0xaa55, 510);
    await write(0, table);
    expect(await readContent(device, 'samples', 'ext4')).toMatchObject({ kind: 'other', signed: true });
  });
});

describe.skipIf(skip)('a filesystem whose superblock alone is lost', () => {
  it.each([
    ['ext4', 64, 1024, { block: 8193, blockBytes: 1024 }],
    ['ext4', 600, 1024, { block: 32_768, blockBytes: 4096 }],
    ['btrfs', 256, 65_536, { block: 16_384, blockBytes: 4096 }],
  ] as const)('%s of %d MiB is told by a copy of it', async (type, size, at, copy) => {
    const { device, write } = await made(type, size);
    await write(at, Buffer.alloc(1024, 0x55));
    expect(await readContent(device, 'samples', type)).toMatchObject({ kind: 'other', copy });
    expect(await readContent(device, 'samples')).not.toHaveProperty('copy');
  });

  it('xfs is, too', async () => {
    const { device, write } = await made('xfs', 512);
    await write(0, Buffer.alloc(1024, 0x55));
    expect(await readContent(device, 'samples', 'xfs')).toMatchObject({ copy: { block: 32_768, blockBytes: 4096 } });
  });
});

describe.skipIf(skip)('a filesystem that is newer', () => {
  const feature = (disk: LoopDisk, name: string) => must('debugfs', '-w', '-R', `feature ${name}`, disk.device.path);

  it('than e2fsck alone is mounted, when it was left in good order', async () => {
    const disk = await made('ext4', 64);
    await feature(disk, 'FEATURE_C31');
    await checkFilesystem(disk.device, 'ext4');
    await mountDevice(disk.device, disk.target, 'ext4', []);
    await unmountTarget(disk.target);
  });

  it('than e2fsck, and has errors, is refused as too new, not as damaged', async () => {
    const disk = await made('ext4', 64);
    await feature(disk, 'FEATURE_C31');
    await must('debugfs', '-w', '-R', 'set_super_value state 2', disk.device.path);
    expect(await outcome(checkFilesystem(disk.device, 'ext4'))).toMatchObject({
      code: 'FILESYSTEM_TOO_NEW',
      message: expect.stringMatching(/FEATURE_C31.*Install newer e2fsprogs/),
    });
  });

  it.each(['FEATURE_R31', 'FEATURE_I30'])('than the kernel (ext4 with %s) is refused by its features', async (name) => {
    const disk = await made('ext4', 64);
    await feature(disk, name);
    const before = await disk.hash();
    await checkFilesystem(disk.device, 'ext4');
    expect(await outcome(mountDevice(disk.device, disk.target, 'ext4', []))).toMatchObject({
      code: 'FILESYSTEM_TOO_NEW',
      message: expect.stringContaining(name),
    });
    expect(await disk.hash()).toBe(before);
  });

  it('than the kernel (xfs) is refused by its features, and no mount option is blamed that nobody gave', async () => {
    const disk = await made('xfs', 512);
    await must('xfs_db', '-x', '-c', 'sb 0', '-c', 'write -d features_incompat 0x80000003', disk.device.path);
    const error = await outcome(mountDevice(disk.device, disk.target, 'xfs', []));
    expect(error).toMatchObject({ code: 'FILESYSTEM_TOO_NEW', message: expect.stringContaining('FEATURE_I31') });
    expect(String(error)).not.toContain('option');
  });

  it('than most is not blamed for a wrong mount option', async () => {
    const disk = await made('xfs', 512);
    expect(await outcome(mountDevice(disk.device, disk.target, 'xfs', ['nonsense']))).toMatchObject({
      code: 'HOST_FAILED',
      message: expect.stringContaining('mount options (nonsense)'),
    });
  });
});

describe('features', () => {
  it('of a disk without a superblock are none', () => {
    for (const type of ['ext4', 'xfs', 'btrfs'] as const)
      expect(newFeatures(Buffer.alloc(68 * 1024), type)).toEqual([]);
  });

  it('are named by their bits, also the highest', () => {
    const head = Buffer.alloc(68 * 1024);
    head.writeUInt16LE(0xef53, 1024 + 56);
    head.writeUInt32LE(0x8000_02c2, 1024 + 96);
    head.writeUInt32LE(0x0001_046b, 1024 + 100);
    expect(newFeatures(head, 'ext4')).toEqual(['FEATURE_I31', 'orphan_present']);
  });
});
