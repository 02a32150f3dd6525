import { mkdir, open, readdir, readFile, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readFilesystemSize } from '../../src/host/disk.ts';
import { judgeE2fsck } from '../../src/host/filesystems.ts';
import { fills } from '../../src/host/grow.ts';
import { openHost } from '../../src/host/host.ts';
import { readMounts } from '../../src/host/mounts.ts';
import { filesystemTypes } from '../../src/host/types.ts';
import { mayGrowExt4, requires } from '../support/requirements.ts';
import { lab, loopDisk, must, hostSettings as settings } from './lab.ts';

const disks = requires('root', 'loop', 'mkfs.xfs', 'mkfs.btrfs');

const MiB = 1024 * 1024;

test.each([
  [0, '', 'fine'],
  [1, 'FILE SYSTEM WAS MODIFIED', 'fine'],
  [3, '', 'fine'],
  [4, '', 'damaged'],
  [12, 'is in use', 'damaged'],
  [8, 'Bad magic number in super-block', 'damaged'],
  [8, 'No such device', 'failed'],
  [16, 'Usage', 'failed'],
  [32, '', 'failed'],
  [128, 'shared library', 'failed'],
] as const)('e2fsck ending with %i, %j is %s', (code, output, verdict) => {
  expect(judgeE2fsck(code, output)).toBe(verdict);
});

test('the boot id is read, and its absence is an error', async () => {
  const { bootId } = await openHost(settings);
  expect(bootId).toMatch(/^[0-9a-f-]{36}$/);
  const wrong = openHost({ ...settings, bootIdFile: '/nowhere' });
  await expect(wrong).rejects.toMatchObject({ code: 'HOST_FAILED' });
});

describe.skipIf(disks.skip)('mounting', () => {
  test.each(filesystemTypes)('%s mounts and unmounts, each as often as one likes', async (type) => {
    const { directory, target, host } = await lab();
    const { device } = await loopDisk(directory, 320);
    await host.makeFilesystem(device, type, [], 'nothing');
    await host.checkFilesystem(device, type);
    for (let round = 0; round < 2; round += 1) await host.mount(device, target, type, ['noatime']);
    const mounts = (await readMounts()).filter(({ mountpoint }) => mountpoint === target);
    expect(mounts).toHaveLength(1);
    expect(mounts[0]).toMatchObject({ type, source: device.path, root: '/' });
    expect(mounts[0]?.options).toContain('noatime');
    if (type === 'xfs') expect(mounts[0]?.superOptions).toContain('nouuid');
    for (let round = 0; round < 2; round += 1) await host.unmount(target);
    await expect(stat(target)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('stacked mounts all go; a directory with entries stays', async () => {
    const { directory, target, host } = await lab();
    const { device } = await loopDisk(directory, 16);
    await host.makeFilesystem(device, 'ext4', [], 'nothing');
    await mkdir(target, { recursive: true });
    await writeFile(join(target, 'precious'), '');
    await host.mount(device, target, 'ext4', []);
    for (let round = 0; round < 2; round += 1) await must('mount', '-t', 'tmpfs', 'above', target);
    await host.unmount(target);
    expect(await readdir(target)).toEqual(['precious']);
  });

  test('a target that something else occupies is refused', async () => {
    const { directory, target, host } = await lab();
    const { device } = await loopDisk(directory, 16);
    await host.makeFilesystem(device, 'ext4', [], 'nothing');
    await mkdir(target, { recursive: true });
    await must('mount', '-t', 'tmpfs', 'other', target);
    await expect(host.mount(device, target, 'ext4', [])).rejects.toMatchObject({ code: 'TARGET_BUSY' });
  });

  test('a wrong option fails with the words of mount and leaves no directory', async () => {
    const { directory, target, host } = await lab();
    const { device } = await loopDisk(directory, 16);
    await host.makeFilesystem(device, 'ext4', [], 'nothing');
    await expect(host.mount(device, target, 'ext4', ['bogus'])).rejects.toMatchObject({
      code: 'HOST_FAILED',
      message: expect.stringMatching(/vol-0123456789abcdef0.*option.*bogus/),
    });
    await expect(stat(target)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a mount in use is busy, and says how to find the user', async () => {
    const { directory, target, host } = await lab();
    const { device } = await loopDisk(directory, 16);
    await host.makeFilesystem(device, 'ext4', [], 'nothing');
    await host.mount(device, target, 'ext4', []);
    const file = await open(join(target, 'file'), 'w');
    await expect(host.unmount(target)).rejects.toMatchObject({
      code: 'TARGET_BUSY',
      message: expect.stringContaining(`lsof +f -- ${target}`),
    });
    await file.close();
    await host.unmount(target);
  });

  test('a snapshot of an XFS mounts beside its source', async () => {
    const { directory, target, host } = await lab();
    const source = await loopDisk(directory, 320, 'source.img');
    await host.makeFilesystem(source.device, 'xfs', [], 'nothing');
    const copy = await loopDisk(directory, 320, 'copy.img');
    await must('dd', `if=${source.file}`, `of=${copy.device.path}`, 'bs=1M', 'conv=sparse,fsync', 'status=none');
    await host.mount(source.device, target, 'xfs', []);
    await host.mount(copy.device, join(directory, 'copy'), 'xfs', []);
    for (const path of [target, join(directory, 'copy')]) await host.unmount(path);
  });
});

describe.skipIf(disks.skip)('growing', () => {
  test.each(filesystemTypes)(
    'of %s: its size is read while the disk is at rest, and of no other filesystem',
    async (type) => {
      const { directory, host } = await lab();
      const disk = await loopDisk(directory, 321);
      await host.makeFilesystem(disk.device, type, [], 'nothing');
      const size = await readFilesystemSize(disk.device, type);
      expect(fills(size, disk.device.sizeBytes)).toBe(true);
      expect(fills(size, (await disk.enlarge(400)).sizeBytes)).toBe(false);
      for (const other of filesystemTypes) {
        if (other !== type) expect(await readFilesystemSize(disk.device, other)).toBeUndefined();
      }
    },
  );

  const growable = filesystemTypes.filter((type) => type !== 'ext4' || mayGrowExt4);
  test.each(growable)('%s fills a disk that is enlarged while it is mounted', async (type) => {
    const { directory, target, host } = await lab();
    const disk = await loopDisk(directory, 320);
    await host.makeFilesystem(disk.device, type, [], 'nothing');
    const size = await host.mount(disk.device, target, type, []);
    expect(fills(size, disk.device.sizeBytes)).toBe(true);
    expect(await host.diskBytes(disk.device)).toBe(320 * MiB);
    await writeFile(join(target, 'kept'), 'yes');
    const device = await disk.enlarge(640);
    expect(await host.diskBytes(disk.device)).toBe(640 * MiB);
    for (let times = 0; times < 2; times += 1) await host.growFilesystem(device, target, type);
    const grown = await statfs(target);
    expect((grown.blocks * grown.bsize) / MiB).toBeGreaterThan(560);
    expect(await readFile(join(target, 'kept'), 'utf8')).toBe('yes');
    await host.unmount(target);
    expect(fills(await host.mount(device, target, type, []), device.sizeBytes)).toBe(true);
    await host.unmount(target);
    expect(await host.mount(device, target, type, ['ro'])).toBeUndefined();
    await host.unmount(target);
  });

  test('of an ext4 that the kernel cannot grow is refused, and it stays mounted', async () => {
    const { directory, target, host } = await lab();
    const disk = await loopDisk(directory, 320);
    // Without room for more group descriptors an ext4 cannot grow while it is mounted.
    await host.makeFilesystem(disk.device, 'ext4', ['-O', '^resize_inode'], 'nothing');
    const device = await disk.enlarge(40_000);
    await host.mount(device, target, 'ext4', []);
    await expect(host.growFilesystem(device, target, 'ext4')).rejects.toMatchObject({
      code: 'HOST_FAILED',
      message: expect.stringMatching(/resize2fs/),
    });
    expect(await readdir(target)).toEqual(['lost+found']);
    await host.unmount(target);
  });
});
