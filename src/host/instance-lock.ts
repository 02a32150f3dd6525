import { createHash } from 'node:crypto';
import { chmod, mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Settings } from '../config.ts';
import { DriverError } from '../errors.ts';
import { takeLock } from '../lock.ts';
import { lockAsBefore } from './former-lock.ts';
import { hostFailed } from './tools.ts';

/** What the lock is for: one daemon of a cluster on an instance. */
export type LockPlace = Pick<Settings, 'deviceRoot' | 'cluster'> & { readonly instanceId: string };

/**
 * Makes this process the only daemon of a cluster on an instance. Two of them, say a managed plugin and a service of
 * systemd, would each take the other's attachments for leftovers and detach them.
 * The lock is on a file in a directory of root's alone in /dev: that is the one place which both have in common, and a
 * reboot empties it. It is gone with its process, however that ends; until then nothing gives it back: what a driver has
 * under way may outlive its closing.
 * @param onWarning told what does not stop this daemon.
 * @throws DriverError HOST_FAILED where another process has it, or it cannot be had at all.
 */
export async function lockInstance(place: LockPlace, onWarning: (message: string) => void): Promise<void> {
  const tried = `serve the cluster ${place.cluster} on ${place.instanceId}`;
  await makeDirectory(directoryOf(place), tried);
  const lock = takeLock(lockFile(place));
  if (lock === undefined) throw servedByAnother(tried);
  try {
    if (!(await lockAsBefore(nameOf(place), onWarning))) throw servedByAnother(tried);
  } catch (error) {
    lock.release();
    throw hostFailed(tried, error, 'Check that /proc is mounted and readable');
  }
}

/**
 * Whether a daemon has the lock, as the kernel lists it (proc_locks(5)); taking it to find out would keep a daemon that
 * starts from it. In a PID namespace of its own a process sees none.
 */
export async function isInstanceLocked(place: LockPlace): Promise<boolean> {
  const file = await stat(lockFile(place), { bigint: true }).catch(() => undefined);
  if (file === undefined) return false;
  const locks = await readFile('/proc/locks', 'utf8');
  return new RegExp(`FLOCK .* ${deviceNumber(file.dev)}:${file.ino} `).test(locks);
}

const directoryOf = ({ deviceRoot }: LockPlace): string => join(deviceRoot, 'docker-volume-ebs');
/** The file that is locked. */
export const lockFile = (place: LockPlace): string => join(directoryOf(place), `${nameOf(place)}.lock`);

/** A file's name has at most 255 bytes, a cluster's any number. */
const nameOf = ({ instanceId, cluster }: LockPlace): string =>
  `docker-volume-ebs.${createHash('sha256').update(`${instanceId}\0${cluster}`).digest('hex')}`;

async function makeDirectory(directory: string, tried: string): Promise<void> {
  try {
    await mkdir(directory, { mode: 0o700, recursive: true });
    await chmod(directory, 0o700);
  } catch (error) {
    throw hostFailed(`${tried} (take its lock)`, error, 'Give this process the /dev of its host, for writing, as root');
  }
}

function servedByAnother(tried: string): DriverError {
  return new DriverError('HOST_FAILED', {
    tried,
    why: 'another daemon serves it here, and would detach what this one attaches',
    todo: 'Stop or uninstall one of the two (a managed plugin, a service of systemd), or give this one another cluster with DVE_CLUSTER',
  });
}

/** "00:06", as /proc/locks writes it: major and minor in two hexadecimal digits at least (makedev(3) has the bits). */
function deviceNumber(device: bigint): string {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n);
  return [major, minor].map((each) => each.toString(16).padStart(2, '0')).join(':');
}
