import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { nameOf } from './disk-names.ts';
import { blockDeviceNumber, isGone } from './sysfs.ts';
import { errnoOf, hostFailed } from './tools.ts';
import type { BlockDevice } from './types.ts';

/**
 * True while any mount namespace has the disk mounted (ours too) or a program holds it exclusively: an exclusive open
 * of a block device then fails with EBUSY and needs no view of other processes (measured, Linux 6.18). A disk that has
 * gone is not busy.
 * @throws DriverError HOST_FAILED
 */
export async function isDeviceBusy(device: BlockDevice): Promise<boolean> {
  try {
    if ((await blockDeviceNumber(device.path)) !== device.number) return false;
    const file = await open(device.path, constants.O_RDONLY | constants.O_EXCL);
    await file.close();
    return false;
  } catch (error) {
    if (errnoOf(error) === 'EBUSY') return true;
    if (isGone(error) || errnoOf(error) === 'ENOMEDIUM') return false;
    throw hostFailed(
      `see whether ${nameOf(device)} is in use`,
      error,
      'See what the kernel says about this disk (dmesg)',
    );
  }
}
