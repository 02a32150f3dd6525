import { readdir, readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { nameOf } from './disk-names.ts';
import { describeProcess, ifAlive } from './namespaces.ts';
import { blockDeviceNumber } from './sysfs.ts';
import { hostFailed } from './tools.ts';
import type { BlockDevice } from './types.ts';

/**
 * A process that has the disk or one of its partitions open, for reading alone too: dd, or a check that changes nothing,
 * which an exclusive open does not notice (see busy.ts). Undefined proves nothing where processes cannot be seen, as in a
 * plugin's own PID namespace.
 * @returns "process 4711 (dd)". @throws DriverError HOST_FAILED
 */
export async function openedBy(device: BlockDevice): Promise<string | undefined> {
  try {
    for (const pid of (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))) {
      for (const file of (await ifAlive(readdir(`/proc/${pid}/fd`))) ?? []) {
        if (await leadsTo(`/proc/${pid}/fd/${file}`, device)) return await describeProcess(pid);
      }
    }
    return undefined;
  } catch (error) {
    throw hostFailed(`see which process has ${nameOf(device)} open`, error, 'Check that /proc is mounted and readable');
  }
}

async function leadsTo(file: string, { path, number }: BlockDevice): Promise<boolean> {
  const target = (await ifAlive(readlink(file))) ?? '';
  const disk = basename(path);
  const name = basename(target);
  // A file by any other name is not looked at: where its filesystem does not answer, the look would not either.
  if (!target.startsWith('/dev/') && !name.startsWith(disk)) return false;
  const opened = await ifAlive(blockDeviceNumber(file));
  if (opened === undefined) return false;
  return opened === number || isPartOf(disk, name);
}

/** "nvme1n1p1" is a part of "nvme1n1", "xvdf1" of "xvdf"; "loop10" is none of "loop1". */
function isPartOf(disk: string, name: string): boolean {
  const suffix = /\d$/.test(disk) ? /^p\d+$/ : /^\d+$/;
  return name.startsWith(disk) && suffix.test(name.slice(disk.length));
}
