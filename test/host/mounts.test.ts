import { mkdir, open, readdir, readFile, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { judgeE2fsck } from '../../src/host/filesystems.ts';
import { hasOutgrown } from '../../src/host/grow.ts';
import { openHost } from '../../src/host/host.ts';
import { readMounts } from '../../src/host/mounts.ts';
import { filesystemTypes } from '../../src/host/types.ts';
import { mayGrowExt4, requires } from '../support/requirements.ts';
import { run } from '../support/run.ts';
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
  test.each(filesystemTypes)('%s that fills its disk is left alone', async (type) => {
    const { directory, host } = await lab();
    const disk = await loopDisk(directory, 321);
    await host.makeFilesystem(disk.device, type, [], 'nothing');
    expect(await hasOutgrown(disk.device, type)).toBe(false);
    expect(await hasOutgrown(await disk.enlarge(400), type)).toBe(true);
    for (const other of filesystemTypes) {
      if (other !== type) expect(await hasOutgrown(disk.device, other)).toBe(false);
    }
  });

  const growable = filesystemTypes.filter((type) => type !== 'ext4' || mayGrowExt4);
  test.each(growable)('%s fills a disk that was enlarged', async (type) => {
    const warnings: string[] = [];
    const { directory, target, host } = await lab({ onWarning: (message) => warnings.push(message) });
    const disk = await loopDisk(directory, 320);
    await host.makeFilesystem(disk.device, type, [], 'nothing');
    await host.mount(disk.device, target, type, []);
    await writeFile(join(target, 'kept'), 'yes');
    const small = await statfs(target);
    await host.unmount(target);
    const device = await disk.enlarge(640);
    await host.checkFilesystem(device, type);
    await host.mount(device, target, type, ['ro']);
    expect((await statfs(target)).blocks).toBe(small.blocks);
    await host.unmount(target);
    await host.mount(device, target, type, []);
    const grown = await statfs(target);
    expect((grown.blocks * grown.bsize) / MiB).toBeGreaterThan(560);
    expect(await readFile(join(target, 'kept'), 'utf8')).toBe('yes');
    expect(warnings).toEqual([]);
    await host.unmount(target);
  });

  test('a failure to grow is a warning, and the volume is mounted', async () => {
    const warnings: string[] = [];
    const { directory, target, host } = await lab({ onWarning: (message) => warnings.push(message) });
    const disk = await loopDisk(directory, 320);
    // Without room for more group descriptors an ext4 cannot grow while it is mounted.
    await host.makeFilesystem(disk.device, 'ext4', ['-O', '^resize_inode'], 'nothing');
    const device = await disk.enlarge(40_000);
    await host.mount(device, target, 'ext4', []);
    expect(warnings).toEqual([expect.stringMatching(/stays smaller.*resize2fs/)]);
    expect(await readdir(target)).toEqual(['lost+found']);
    await host.unmount(target);
  });
});

describe.skipIf(disks.skip)('a filesystem that was not unmounted', () => {
  test.each(filesystemTypes)('%s keeps what was synced', async (type) => {
    const { directory, target, host } = await lab();
    const disk = await loopDisk(directory, 320);
    await host.makeFilesystem(disk.device, type, [], 'nothing');
    await host.mount(disk.device, target, type, []);
    await writeFile(join(target, 'synced'), 'kept', { flush: true });
    // The image of a running machine, as a crash leaves it.
    const crashed = await loopDisk(directory, 320, 'crashed.img');
    await must('dd', `if=${disk.file}`, `of=${crashed.device.path}`, 'bs=1M', 'conv=sparse,fsync', 'status=none');
    await host.unmount(target);
    await host.checkFilesystem(crashed.device, type);
    await host.mount(crashed.device, target, type, []);
    expect(await readFile(join(target, 'synced'), 'utf8')).toBe('kept');
    await host.unmount(target);
  });

  test('a damaged ext4 is left as it is, and a person is told what to run', async () => {
    const { directory, host } = await lab();
    const disk = await loopDisk(directory, 64);
    await host.makeFilesystem(disk.device, 'ext4', [], 'nothing');
    await must('debugfs', '-w', '-R', 'clri <2>', disk.device.path);
    await expect(host.checkFilesystem(disk.device, 'ext4')).rejects.toMatchObject({
      code: 'FILESYSTEM_DAMAGED',
      message: expect.stringMatching(/ext4 filesystem is damaged: .*docker-volume-ebs rescue/),
    });
  });

  test('an ext4 that says itself that it needs a check is mended where that loses nothing', async () => {
    const { directory, host } = await lab();
    const disk = await loopDisk(directory, 64);
    await host.makeFilesystem(disk.device, 'ext4', [], 'nothing');
    await must('debugfs', '-w', '-R', 'set_super_value state 2', disk.device.path);
    await host.checkFilesystem(disk.device, 'ext4');
    expect((await run('dumpe2fs', ['-h', disk.device.path])).stdout).toMatch(/Filesystem state: +clean\n/);
  });

  test.each(['xfs', 'btrfs'] as const)('a damaged %s fails to mount and says what to run', async (type) => {
    const { directory, target, host } = await lab();
    const disk = await loopDisk(directory, 320);
    await host.makeFilesystem(disk.device, type, [], 'nothing');
    const handle = await open(disk.device.path, 'r+');
    // Past the first superblock, so that the type is still known.
    const [from, to] = type === 'xfs' ? [512, 256 * 1024] : [80 * 1024, 320 * MiB];
    await handle.write(Buffer.alloc(to - from, 'damage'), 0, to - from, from);
    await handle.sync();
    await handle.close();
    await host.checkFilesystem(disk.device, type);
    await expect(host.mount(disk.device, target, type, [])).rejects.toMatchObject({
      code: 'FILESYSTEM_DAMAGED',
      message: expect.stringMatching(new RegExp(`${type} filesystem is damaged: .*docker-volume-ebs rescue`)),
    });
    await expect(stat(target)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

test.skipIf(disks.skip)('a disk without the ext4 it should have is damaged, not formatted', async () => {
  const { directory, host } = await lab();
  const disk = await loopDisk(directory, 16);
  await expect(host.checkFilesystem(disk.device, 'ext4')).rejects.toMatchObject({ code: 'FILESYSTEM_DAMAGED' });
  expect(await host.readContent(disk.device, 'samples')).toEqual({ kind: 'blank' });
});
