import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { abortExt4, shutdownFilesystem } from '../../src/host/shutdown.ts';
import { requires } from '../support/requirements.ts';
import { lab, loopDisk } from './lab.ts';

const disks = requires('root', 'loop', 'mkfs.xfs', 'mkfs.btrfs');

/** A process in its own mount namespace, as a container is: it sees the volume at a place of its own. */
async function container(target: string, place: string): Promise<ChildProcess> {
  const script = `mount --bind '${target}' '${place}' && umount '${target}' && echo ready && exec sleep 300`;
  const child = spawn('unshare', ['--mount', '--propagation', 'slave', 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

describe.skipIf(disks.skip)('a disk that a container still has', () => {
  test('is busy until the container ends, is not checked, and can be mounted again beside it', async () => {
    const { directory, target, host } = await lab();
    const { device } = await loopDisk(directory, 64);
    await host.makeFilesystem(device, 'ext4', [], 'nothing');
    expect(await host.isDeviceBusy(device)).toBe(false);
    await host.mount(device, target, 'ext4', []);
    expect(await host.isDeviceBusy(device)).toBe(true);
    const place = join(directory, 'place');
    await mkdir(place);
    const child = await container(target, place);
    await host.unmount(target);
    expect(await host.isDeviceBusy(device)).toBe(true);
    await host.checkFilesystem(device, 'ext4');
    await host.mount(device, target, 'ext4', []);
    await writeFile(join(target, 'seen'), 'by both');
    expect(await readFile(`/proc/${child.pid}/root${place}/seen`, 'utf8')).toBe('by both');
    await host.unmount(target);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await expect.poll(() => host.isDeviceBusy(device)).toBe(false);
  });

  test('that is also mounted elsewhere on this host is named with the command that ends it, which works', async () => {
    const { directory, target, host } = await lab();
    const { device } = await loopDisk(directory, 16);
    await host.makeFilesystem(device, 'ext4', [], 'nothing');
    await host.mount(device, target, 'ext4', []);
    expect(await host.mountedElsewhereBy(device.number, target)).toBeUndefined();
    await mkdir(join(target, 'data'));
    const place = join(directory, "a task's place");
    await mkdir(place);
    // As mesos-module-dvdi does, in the namespace of the host.
    await promisify(execFile)('mount', ['--rbind', join(target, 'data'), place]);
    onTestFinished(() => promisify(execFile)('umount', [place]).then(undefined, () => undefined));
    await host.unmount(target);
    const user = (await host.mountedElsewhereBy(device.number, target)) ?? '';
    expect(user).toContain(`this host (at ${place}; `);
    const [, command = ''] = /: (umount .*)\)$/.exec(user) ?? [];
    await promisify(execFile)('sh', ['-c', command]);
    await expect.poll(() => host.isDeviceBusy(device)).toBe(false);
  });

  test('a copy at the same place in another namespace ends with the directory', async () => {
    const { directory, target, host } = await lab();
    const { device } = await loopDisk(directory, 16);
    await host.makeFilesystem(device, 'ext4', [], 'nothing');
    await host.mount(device, target, 'ext4', []);
    const child = spawn('unshare', ['--mount', '--propagation', 'slave', 'sh', '-c', 'echo ready; exec sleep 300'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    await host.unmount(target);
    expect(child.exitCode).toBeNull();
    await expect.poll(() => host.isDeviceBusy(device)).toBe(false);
  });

  test('a disk that has gone, or whose name another has, is not busy', async () => {
    const { directory, host } = await lab();
    const { device } = await loopDisk(directory, 16);
    expect(await host.isDeviceBusy({ ...device, path: '/dev/no-such-disk' })).toBe(false);
    expect(await host.isDeviceBusy({ ...device, number: '259:9' })).toBe(false);
  });
});

describe.skipIf(disks.skip)('shutting down', () => {
  test.each(['ext4', 'xfs'] as const)('%s refuses all I/O, keeps what was synced, and unmounts', async (type) => {
    const { directory, target, host } = await lab();
    const disk = await loopDisk(directory, 320);
    await host.makeFilesystem(disk.device, type, [], 'nothing');
    await host.mount(disk.device, target, type, []);
    await writeFile(join(target, 'synced'), 'kept', { flush: true });
    const file = await open(join(target, 'lost'), 'w');
    onTestFinished(() => file.close().catch(() => {}));
    await file.write('not synced');
    for (let round = 0; round < 2; round += 1) await shutdownFilesystem(target);
    await expect(file.write('more').then(() => file.sync())).rejects.toMatchObject({ code: 'EIO' });
    await expect(writeFile(join(target, 'new'), '')).rejects.toMatchObject({
      code: expect.stringMatching(/EIO|EROFS/),
    });
    await file.close().catch(() => {});
    await host.unmount(target);
    // A mount namespace that was made meanwhile has a copy of the mount, and so the filesystem as it was shut down.
    await expect.poll(() => host.isDeviceBusy(disk.device)).toBe(false);
    await host.checkFilesystem(disk.device, type);
    await host.mount(disk.device, target, type, []);
    expect(await readFile(join(target, 'synced'), 'utf8')).toBe('kept');
    await host.unmount(target);
  });

  test('ext4 is aborted where xfs_io is missing', async () => {
    const { directory, target, host } = await lab();
    const { device } = await loopDisk(directory, 64);
    await host.makeFilesystem(device, 'ext4', [], 'nothing');
    await host.mount(device, target, 'ext4', []);
    await abortExt4(target);
    await expect(writeFile(join(target, 'new'), '')).rejects.toMatchObject({
      code: expect.stringMatching(/EIO|EROFS/),
    });
    await host.unmount(target);
  });

  test('btrfs cannot be shut down, and a person is told what to do', async () => {
    const { directory, target, host } = await lab();
    const { device } = await loopDisk(directory, 320);
    await host.makeFilesystem(device, 'btrfs', [], 'nothing');
    await host.mount(device, target, 'btrfs', []);
    await expect(shutdownFilesystem(target)).rejects.toMatchObject({ code: 'HOST_FAILED' });
    await host.unmount(target);
  });
});
