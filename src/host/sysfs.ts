import { readdirSync, readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Settings } from '../config.ts';
import { errnoOf } from './tools.ts';

export type DeviceRoots = Pick<Settings, 'deviceRoot' | 'sysfsRoot'>;

// A disk may go while we read about it: sysfs then says ENOENT, ENODEV or ENXIO, a device node's stat ENOENT.
const goneCodes = new Set<string | undefined>(['ENOENT', 'ENOTDIR', 'ENODEV', 'ENXIO']);

/** True when an error only says that the file or device is not there. */
export const isGone = (error: unknown): boolean => goneCodes.has(errnoOf(error));

/** What the promise gives, or undefined when it fails because the thing is not there. */
export function ifThere<T>(promise: Promise<T>): Promise<T | undefined> {
  return promise.catch((error: unknown) => {
    if (isGone(error)) return undefined;
    throw error;
  });
}

/** The same, for what is read at once: sysfs is memory, and a thread of libuv's costs more than all of these reads. */
function ifThereNow<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

const readTrimmed = (...path: [string, ...string[]]): string | undefined =>
  ifThereNow(() => readFileSync(join(...path), 'utf8'))?.trim();

/** An NVMe serial as an EBS volume id, "vol0123" as "vol-0123"; undefined for anything that is no EBS disk. */
export function volumeIdOfSerial(serial: string): string | undefined {
  const digits = /^vol-?([0-9a-f]+)$/.exec(serial.trim())?.[1];
  return digits === undefined ? undefined : `vol-${digits}`;
}

/**
 * The disk of a controller, from the names in its sysfs directory: "nvme1n1", or with native multipath "nvme3c1n1",
 * whose disk is nvme3n1. Undefined while the kernel has not scanned it.
 */
export function diskOfController(controller: string, children: readonly string[]): string | undefined {
  const namespaces = children.flatMap((child) => {
    const [, subsystem, namespace] = /^nvme(\d+)(?:c\d+)?n(\d+)$/.exec(child) ?? [];
    return subsystem === undefined ? [] : [`nvme${subsystem}n${namespace}`];
  });
  // An EBS disk has one namespace; were there more, the first is the disk.
  return namespaces.sort()[0] ?? (children.includes('serial') ? `${controller}n1` : undefined);
}

/** The EBS disks on NVMe: kernel disk name by volume id. */
export async function readNvmeDisks(sysfsRoot: string): Promise<Map<string, string>> {
  const disks = new Map<string, string>();
  const root = join(sysfsRoot, 'class/nvme');
  for (const controller of ifThereNow(() => readdirSync(root)) ?? []) {
    const serial = readTrimmed(root, controller, 'serial');
    const volumeId = serial === undefined ? undefined : volumeIdOfSerial(serial);
    if (volumeId === undefined) continue;
    const children = ifThereNow(() => readdirSync(join(root, controller))) ?? [];
    const disk = diskOfController(controller, children);
    if (disk !== undefined) disks.set(volumeId, disk);
  }
  return disks;
}

/** A disk's "major:minor" as the kernel describes it, and its size; each undefined where sysfs does not say. */
export async function readDisk(
  sysfsRoot: string,
  disk: string,
): Promise<{ number: string | undefined; sizeBytes: number | undefined }> {
  const sectors = readTrimmed(sysfsRoot, 'block', disk, 'size');
  return {
    number: readTrimmed(sysfsRoot, 'block', disk, 'dev'),
    // The unit is 512 bytes whatever the disk's own sector size.
    sizeBytes: sectors === undefined || !/^\d+$/.test(sectors) ? undefined : Number(sectors) * 512,
  };
}

/** The "major:minor" of a block device node; undefined when there is none at this path. */
export async function blockDeviceNumber(path: string): Promise<string | undefined> {
  const stats = await ifThere(stat(path));
  return stats?.isBlockDevice() ? deviceNumber(stats.rdev) : undefined;
}

/** A dev_t as "major:minor" (Linux: gnu_dev_major(3)). Plain numbers: 32 bits hold every real one. */
export function deviceNumber(dev: number): string {
  const major = Math.floor(dev / 256) & 0xfff;
  const minor = (dev & 0xff) + (Math.floor(dev / 0x100000) & 0xfff) * 256;
  return `${major}:${minor}`;
}
