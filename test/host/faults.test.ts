import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { filesystemFault } from '../../src/host/faults.ts';
import { makeFilesystem } from '../../src/host/filesystems.ts';
import { mountDevice } from '../../src/host/mounts.ts';
import { shutdownFilesystem } from '../../src/host/shutdown.ts';
import { filesystemTypes } from '../../src/host/types.ts';
import { requires } from '../support/requirements.ts';
import { loopDisk, must, tempDirectory } from './lab.ts';

const disks = requires('root', 'loop', 'mkfs.xfs', 'mkfs.btrfs');

describe.skipIf(disks.skip)('a mounted filesystem', () => {
  const mounted = async (type: (typeof filesystemTypes)[number], options: readonly string[] = []) => {
    const directory = await tempDirectory();
    const { device } = await loopDisk(directory, 320);
    const target = join(directory, 'volumes/one');
    await makeFilesystem(device, type, [], 'nothing');
    await mountDevice(device, target, type, options);
    return target;
  };

  test.each(filesystemTypes)('%s has no fault while it is well, and is read-only once it is made so', async (type) => {
    const target = await mounted(type);
    expect(await filesystemFault(target)).toBeUndefined();
    await must('mount', '-o', 'remount,ro', target);
    expect(await filesystemFault(target)).toBe('read-only');
    await must('umount', target);
    expect(await filesystemFault(target)).toBeUndefined();
  });

  test.each(['ext4', 'xfs'] as const)('%s that was shut down says so', async (type) => {
    const target = await mounted(type);
    await shutdownFilesystem(target);
    // Kernels before 6.15 do not tell it of ext4.
    if (type === 'ext4' && !(await must('cat', '/proc/self/mountinfo')).includes('shutdown')) return;
    expect(await filesystemFault(target)).toBe('shut down');
  });

  test('an ext4 that the kernel aborted takes no writes', async () => {
    const target = await mounted('ext4');
    await must('mount', '-o', 'remount,abort', target);
    expect(await filesystemFault(target)).toMatch(/read-only|shut down/);
  });
});
