import { chmod, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readContent } from '../../src/host/content.ts';
import { checkFilesystem } from '../../src/host/filesystems.ts';
import { soundExt4 } from '../../src/host/sound-ext4.ts';
import { requires } from '../support/requirements.ts';
import { type LoopDisk, loopDisk, must, tempDirectory } from './lab.ts';

const { skip } = requires('root', 'loop');

async function made(...options: string[]): Promise<LoopDisk & { readonly directory: string }> {
  const directory = await tempDirectory();
  const disk = await loopDisk(directory, 64);
  await must('mkfs.ext4', '-q', ...options, disk.device.path);
  return { ...disk, directory };
}

/** Every tool that looks at a filesystem fails from now on, in this test. */
async function withoutTools(directory: string): Promise<void> {
  const bin = join(directory, 'bin');
  await mkdir(bin);
  for (const name of ['blkid', 'e2fsck', 'unshare']) {
    await writeFile(join(bin, name), '#!/bin/sh\necho "asked" >&2\nexit 9\n');
    await chmod(join(bin, name), 0o755);
  }
  const { PATH } = process.env;
  process.env['PATH'] = `${bin}:${PATH}`;
  onTestFinished(() => {
    process.env['PATH'] = PATH;
  });
}

describe.skipIf(skip)('an ext4 that is sound', () => {
  it('is told by its superblock alone, before its first mount and after it', async () => {
    const { device, directory } = await made();
    const uuid = await must('blkid', '-p', '-s', 'UUID', '-o', 'value', device.path);
    const target = join(directory, 'target');
    await mkdir(target);
    expect(await soundExt4(device)).toBe(uuid);
    await must('mount', device.path, target);
    expect(await soundExt4(device)).toBeUndefined();
    await writeFile(join(target, 'file'), 'data');
    await must('umount', target);
    // A mount namespace that another program made meanwhile may have a copy of the mount for a moment.
    await expect.poll(() => soundExt4(device)).toBe(uuid);
    await withoutTools(directory);
    expect(await readContent(device, 'all', 'ext4')).toEqual({ kind: 'filesystem', type: 'ext4', uuid });
    await checkFilesystem(device, 'ext4');
  });

  it('is looked at by tools where nothing says that it was made as one', async () => {
    const { device, directory } = await made();
    await withoutTools(directory);
    await expect(readContent(device, 'samples')).rejects.toThrow(/asked/);
  });

  it('is none while another disk has its place', async () => {
    const { device } = await made();
    expect(await soundExt4({ ...device, number: '1:1' })).toBeUndefined();
  });
});

describe.skipIf(skip)('an ext4 that tools must look at', () => {
  const superblock = (disk: LoopDisk, words: string) =>
    must('debugfs', '-w', '-R', `set_super_value ${words}`, disk.device.path);
  it.each<[string, (disk: LoopDisk) => Promise<unknown>]>([
    ['was not unmounted', (disk) => superblock(disk, 'state 0')],
    ['has an error', (disk) => superblock(disk, 'state 3')],
    ['has met an error before', (disk) => superblock(disk, 'error_count 1')],
    ['has an orphan', (disk) => superblock(disk, 'last_orphan 12')],
    ['needs its journal replayed', (disk) => must('debugfs', '-w', '-R', 'feature needs_recovery', disk.device.path)],
    ['has orphans in its file', (disk) => must('debugfs', '-w', '-R', 'feature orphan_present', disk.device.path)],
    [
      'is due for a check by the number of its mounts',
      (disk) => must('tune2fs', '-c', '1', '-C', '5', disk.device.path),
    ],
    ['is due for a check by time', (disk) => must('tune2fs', '-i', '1d', disk.device.path)],
    ['has no checksums', (disk) => must('tune2fs', '-O', '^metadata_csum', disk.device.path)],
    ['has a superblock that does not bear out its checksum', (disk) => disk.write(1024 + 200, Buffer.from([7]))],
    ['has something before it', (disk) => disk.write(510, Buffer.from('55aa', 'hex'))],
  ])('is one that %s', async (_, change) => {
    const disk = await made();
    expect(await soundExt4(disk.device)).toBeDefined();
    await change(disk);
    expect(await soundExt4(disk.device)).toBeUndefined();
  });

  it('is one that a machine had mounted when it was lost', async () => {
    const { device, directory, file } = await made();
    const target = join(directory, 'target');
    await mkdir(target);
    await must('mount', device.path, target);
    await must('sync', '--file-system', target);
    const copy = await loopDisk(directory, 64, 'copy.img');
    await copyFile(file, copy.file);
    await must('umount', target);
    await must('blockdev', '--flushbufs', copy.device.path);
    expect(await soundExt4(copy.device)).toBeUndefined();
  });
});
