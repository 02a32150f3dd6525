import { readdir, readlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { DriverError, isCode } from '../errors.ts';
import { linkOf, nameOf } from './disk-names.ts';
import { blockDeviceNumber, type DeviceRoots, ifThere, readDisk, readNvmeDisks } from './sysfs.ts';
import { hostFailed, runTool } from './tools.ts';
import type { BlockDevice } from './types.ts';
import { watchDirectory } from './watch.ts';

const pollMs = 500;
/** A disk may be without a serial for this long and be there all the same; less than a poll. */
const blipMs = 450;
const deviceName = /^(?:sd|xvd)([a-z]{1,2})\d*$/;

/**
 * The disk of an EBS volume: on NVMe by the controller's serial, on Xen by the EC2 device name. Undefined while the
 * kernel has no such disk or no node for it.
 * @throws DriverError WRONG_DEVICE when the device name leads to another volume's disk; HOST_FAILED.
 */
export async function findDevice(
  roots: DeviceRoots,
  volumeId: string,
  ec2Device: string,
): Promise<BlockDevice | undefined> {
  try {
    const disks = await readNvmeDisks(roots.sysfsRoot);
    const disk = disks.get(volumeId);
    if (disk !== undefined) return await readDevice(roots, disk, { volumeId, serialVolumeId: volumeId });
    return await findNamed(roots, disks, volumeId, ec2Device);
  } catch (error) {
    throw hostFailed(`look for the disk of ${volumeId}`, error, `Check that ${roots.sysfsRoot} is readable`);
  }
}

/** The EBS volumes that NVMe controllers name as theirs. @throws DriverError HOST_FAILED */
export async function attachedVolumeIds(sysfsRoot: string): Promise<Set<string>> {
  try {
    return new Set((await readNvmeDisks(sysfsRoot)).keys());
  } catch (error) {
    throw hostFailed('list the EBS disks of this machine', error, `Check that ${sysfsRoot} is readable`);
  }
}

/** How large the kernel has a disk now; undefined once it has another under this name, or does not say. @throws DriverError HOST_FAILED */
export async function diskBytes(
  sysfsRoot: string,
  { path, number, volumeId }: BlockDevice,
): Promise<number | undefined> {
  try {
    const disk = await readDisk(sysfsRoot, basename(path));
    return disk.number === number ? disk.sizeBytes : undefined;
  } catch (error) {
    throw hostFailed(`read the size of ${nameOf({ volumeId })}`, error, `Check that ${sysfsRoot} is readable`);
  }
}

/** Whether the kernel has a disk of this "major:minor", whatever its serial. @throws DriverError HOST_FAILED */
export async function hasDisk(sysfsRoot: string, number: string): Promise<boolean> {
  try {
    for (const disk of await readdir(join(sysfsRoot, 'block')))
      if ((await readDisk(sysfsRoot, disk)).number === number) return true;
    return false;
  } catch (error) {
    throw hostFailed(`look for the disk ${number}`, error, `Check that ${sysfsRoot} is readable`);
  }
}

async function findNamed(
  roots: DeviceRoots,
  disks: ReadonlyMap<string, string>,
  volumeId: string,
  ec2Device: string,
): Promise<BlockDevice | undefined> {
  for (const name of [linkOf(volumeId), ...kernelNames(ec2Device)]) {
    const path = join(roots.deviceRoot, name);
    if ((await blockDeviceNumber(path)) === undefined) continue;
    const link = await readlink(path).catch(() => undefined);
    const disk = link === undefined ? name : basename(link);
    const other = [...disks].find(([, known]) => known === disk)?.[0];
    if (other !== undefined) throw wrongDevice(volumeId, path, other);
    // Where EBS disks are NVMe, a disk without the right serial is something else: the volume is still to come.
    if (disks.size === 0 && !disk.startsWith('nvme'))
      return await readDevice(roots, disk, { volumeId, serialVolumeId: undefined });
  }
  return undefined;
}

function wrongDevice(volumeId: string, path: string, other: string): DriverError {
  return new DriverError('WRONG_DEVICE', {
    tried: `use ${path} as the disk of ${volumeId}`,
    why: `it leads to the disk of ${other}, as that disk's own serial says`,
    todo: 'Renew the links to disks on this host (udevadm trigger --subsystem-match=block) and try again',
  });
}

/** The node names a kernel without NVMe may give an EC2 device name: AWS's guide has sdf appear as xvdf or sdf. */
function kernelNames(ec2Device: string): string[] {
  const name = ec2Device.replace(/^\/dev\//, '');
  const suffix = /^(?:sd|xvd)([a-z]{1,2}\d*)$/.exec(name)?.[1];
  return suffix === undefined ? [] : [`xvd${suffix}`, `sd${suffix}`];
}

async function readDevice(
  { deviceRoot, sysfsRoot }: DeviceRoots,
  disk: string,
  ids: Pick<BlockDevice, 'volumeId' | 'serialVolumeId'>,
): Promise<BlockDevice | undefined> {
  const path = join(deviceRoot, disk);
  const number = await blockDeviceNumber(path);
  const described = await readDisk(sysfsRoot, disk);
  // A node with another number is a leftover of an earlier disk of this name; its own node is still to come.
  if (number === undefined || (described.number !== undefined && described.number !== number)) return undefined;
  const sizeBytes = described.sizeBytes ?? (await askSize(path, number, ids.volumeId));
  return sizeBytes === undefined ? undefined : { path, number, ...ids, sizeBytes };
}

/** Undefined when the disk went while it was asked about. */
async function askSize(path: string, number: string, volumeId: string): Promise<number | undefined> {
  const tried = `read the size of ${nameOf({ volumeId })}`;
  const { stdout } = await runTool('blockdev', ['--getsize64', path], tried);
  const size = Number(stdout.trim() || Number.NaN);
  if (Number.isSafeInteger(size)) return size;
  if ((await blockDeviceNumber(path)) !== number) return undefined;
  throw hostFailed(tried, new Error('blockdev gave no number'), 'See what the kernel says about this disk (dmesg)');
}

/**
 * Waits until {@link findDevice} finds the disk. A link to another volume's disk is waited out: udev renews it once the
 * new disk is there.
 * @throws the signal's reason when aborted; DriverError HOST_FAILED.
 */
export function waitForDevice(
  roots: DeviceRoots,
  volumeId: string,
  ec2Device: string,
  signal: AbortSignal,
): Promise<BlockDevice> {
  return watchUntil(roots, signal, () => findOwn(roots, volumeId, ec2Device));
}

/**
 * Waits until the kernel has no disk of this volume any more, or another volume's under its name. The node of a disk goes
 * with it; where it stays, or was never seen, a second look half a second later tells: a serial may be missing for a moment.
 * @throws the signal's reason when aborted; DriverError HOST_FAILED.
 */
export async function waitForDeviceGone(
  roots: DeviceRoots,
  volumeId: string,
  ec2Device: string,
  signal: AbortSignal,
): Promise<void> {
  let seen: BlockDevice | undefined;
  let missedAt: number | undefined;
  const isGone = async (): Promise<true | undefined> => {
    const disk = await findOwn(roots, volumeId, ec2Device);
    if (disk !== undefined) {
      seen = disk;
      missedAt = undefined;
      return undefined;
    }
    if (seen !== undefined && (await blockDeviceNumber(seen.path)) !== seen.number) return true;
    missedAt ??= performance.now();
    return performance.now() - missedAt >= blipMs ? true : undefined;
  };
  await watchUntil(roots, signal, isGone);
}

const findOwn = (roots: DeviceRoots, volumeId: string, ec2Device: string): Promise<BlockDevice | undefined> =>
  findDevice(roots, volumeId, ec2Device).catch((error: unknown) => {
    if (isCode(error, 'WRONG_DEVICE')) return undefined;
    throw error;
  });

async function watchUntil<T>(roots: DeviceRoots, signal: AbortSignal, look: () => Promise<T | undefined>): Promise<T> {
  signal.throwIfAborted();
  const changes = watchDirectory(roots.deviceRoot);
  try {
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      await changes.next(pollMs, signal);
    }
  } finally {
    changes.close();
  }
}

/**
 * Names in EC2's form that this kernel or its udev has given away, each in both spellings (/dev/sdf and /dev/xvdf),
 * since EC2 and Xen take them for one. Partitions count for their disk.
 */
export async function usedDeviceNames(deviceRoot: string): Promise<Set<string>> {
  try {
    const names = (await ifThere(readdir(deviceRoot))) ?? [];
    const letters = names.flatMap((name) => deviceName.exec(name)?.[1] ?? []);
    return new Set(letters.flatMap((letter) => [`/dev/sd${letter}`, `/dev/xvd${letter}`]));
  } catch (error) {
    throw hostFailed('list the device names in use', error, `Check that ${deviceRoot} is readable`);
  }
}
