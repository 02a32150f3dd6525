import { readFile } from 'node:fs/promises';
import type { Settings } from '../config.ts';
import {
  attachedVolumeIds,
  diskBytes,
  findDevice,
  hasDisk,
  usedDeviceNames,
  waitForDevice,
  waitForDeviceGone,
} from './devices.ts';
import { expectDiskWork, isDeviceBusy, openSubdirectory, readContent, wasEverMounted } from './disk.ts';
import { holdDisk, letDiskGo } from './disk-holder.ts';
import { nameOf } from './disk-names.ts';
import { engineOf, isRunning } from './engines.ts';
import { filesystemFault } from './faults.ts';
import { checkFilesystem, makeFilesystem } from './filesystems.ts';
import { openFreezer, thawFilesystem } from './freeze.ts';
import { growMounted } from './grow.ts';
import { abandonMount, mountDevice, mountedAt, unmountTarget } from './mounts.ts';
import { lookAtUsers, lookElsewhere } from './namespaces.ts';
import { openedBy } from './open-files.ts';
import { checkReadOnly, replayJournal } from './prove.ts';
import { hostFailed } from './tools.ts';
import { tryFormat } from './try-format.ts';
import type { Host } from './types.ts';
import { asked, unanswered } from './unanswered.ts';
import { filesystemUsage } from './usage.ts';
import { openWatcher } from './watch.ts';

/** A mount replays a journal, an unmount writes what is dirty, growth writes descriptors: at a busy volume's pace that takes a while. */
const mountMs = 60_000;
/** A check reads metadata alone, a small part of the disk, but of a snapshot each block comes from afar. */
const checkedBytesPerMs = 10 * 1024;

/**
 * This machine, through its device nodes, sysfs and util-linux.
 * @throws DriverError HOST_FAILED when the boot id cannot be read.
 */
export async function openHost(settings: Pick<Settings, 'deviceRoot' | 'sysfsRoot' | 'bootIdFile'>): Promise<Host> {
  return {
    bootId: await readBootId(settings.bootIdFile),
    findDevice: (volumeId, ec2Device) => findDevice(settings, volumeId, ec2Device),
    waitForDevice: (volumeId, ec2Device, signal) => {
      // EC2 attaches for seconds: by then the worker that looks at the disk has started.
      expectDiskWork();
      return waitForDevice(settings, volumeId, ec2Device, signal);
    },
    waitForDeviceGone: (volumeId, ec2Device, signal) => waitForDeviceGone(settings, volumeId, ec2Device, signal),
    attachedVolumeIds: () => attachedVolumeIds(settings.sysfsRoot),
    diskBytes: (device) => diskBytes(settings.sysfsRoot, device),
    hasDisk: (number) => hasDisk(settings.sysfsRoot, number),
    usedDeviceNames: () => usedDeviceNames(settings.deviceRoot),
    readContent,
    wasEverMounted,
    makeFilesystem,
    tryFormat,
    checkFilesystem,
    mount: (device, target, type, options) =>
      asked(nameOf(device), 'to be mounted', mountMs, mountDevice(device, target, type, options)),
    replayJournal: (device, type) => asked(nameOf(device), 'to be mounted', mountMs, replayJournal(device, type)),
    checkReadOnly: (device, type) =>
      asked(
        nameOf(device),
        'to be checked',
        mountMs + device.sizeBytes / checkedBytesPerMs,
        checkReadOnly(device, type),
      ),
    growFilesystem: (device, target, type) =>
      asked(nameOf(device), 'to grow its filesystem', mountMs, growMounted(device, target, type)),
    unmount: (target) => asked(target, 'to be unmounted', mountMs, unmountTarget(target)),
    openFreezer,
    thaw: thawFilesystem,
    mountedAt,
    filesystemFault,
    filesystemUsage,
    mountedElsewhereBy: async (number, ourMountpoint) => (await lookElsewhere())(number, ourMountpoint),
    lookElsewhere,
    lookAtUsers,
    engineOf,
    isRunning,
    abandonMount,
    watchDevices: (onChange) => ({ close: openWatcher(settings.deviceRoot, onChange) }),
    holdDisk,
    letDiskGo,
    openedBy,
    isDeviceBusy,
    openSubdirectory,
    unanswered,
  };
}

async function readBootId(file: string): Promise<string> {
  try {
    const bootId = (await readFile(file, 'utf8')).trim();
    if (bootId === '') throw new Error(`${file} is empty`);
    return bootId;
  } catch (error) {
    throw hostFailed('read the boot id of this machine', error, 'Set DVE_BOOT_ID_FILE to a file that is readable');
  }
}
