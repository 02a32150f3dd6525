import type { BlockDevice } from './types.ts';

/**
 * A disk as every text names it: by its volume. A kernel's name ("nvme1n1") is another disk's two seconds after this
 * one has gone, and a text may be read and acted upon hours later.
 */
export const nameOf = ({ volumeId }: Pick<BlockDevice, 'volumeId'>): string => `the disk of ${volumeId}`;

/** udev's link to the EBS disk on NVMe whose controller says that it is this volume, below the device directory. */
export const linkOf = (volumeId: string): string =>
  `disk/by-id/nvme-Amazon_Elastic_Block_Store_${volumeId.replace('-', '')}`;

/**
 * What to give a program that only looks at a disk: the link that is made from the disk's serial and goes with it. A Xen
 * disk has no such link, and only `docker-volume-ebs rescue` gives it a path of its own; it is named in words then.
 */
export const stableName = (device: Pick<BlockDevice, 'volumeId' | 'serialVolumeId'>): string =>
  device.serialVolumeId === undefined ? nameOf(device) : `/dev/${linkOf(device.serialVolumeId)}`;

/** A program's words about a disk, with the path that it was given replaced by the disk's name. */
export const withoutPath = (words: string, device: Pick<BlockDevice, 'path' | 'volumeId'>): string =>
  words.replaceAll(device.path, nameOf(device));
