import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, readlink, rename, rm, stat, symlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { nameOf } from './disk-names.ts';
import { blockDeviceNumber, deviceNumber, ifThere } from './sysfs.ts';
import { hostFailed } from './tools.ts';
import type { BlockDevice } from './types.ts';

const program = ['sleep', 'infinity'] as const;
const pollMs = 10;
const openWithinMs = 5000;

/**
 * Makes `path` a link that means this disk and no other. A device node would not do: the kernel gives the number of a
 * disk that has gone to the next one. So the link leads into the open files of a process that holds the disk open for
 * reading: the number stays this disk's while the process lives, and the link leads nowhere once it has ended. The
 * process outlives the daemon, and a link that is good is left as it is.
 * @throws DriverError HOST_FAILED when the disk cannot be opened.
 */
export async function holdDisk(device: BlockDevice, path: string): Promise<void> {
  const tried = `give ${nameOf(device)} a path of its own (${path})`;
  try {
    if ((await heldNumber(path)) === device.number) return;
    await letDiskGo(path);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const pid = await startHolder(device);
    // Renamed, so that there is never a link to something else.
    await rm(`${path}.new`, { force: true });
    await symlink(`/proc/${pid}/fd/0`, `${path}.new`);
    await rename(`${path}.new`, path);
  } catch (error) {
    throw hostFailed(
      tried,
      error,
      'See what the kernel says about this disk (dmesg) and whether its directory can be written',
    );
  }
}

/** Takes the path away and lets the disk go. Success when it is not there. @throws DriverError HOST_FAILED */
export async function letDiskGo(path: string): Promise<void> {
  try {
    const pid = await holderOf(path);
    await rm(path, { force: true });
    if (pid === undefined) return;
    process.kill(pid, 'SIGKILL');
    // EC2 takes a disk that somebody has open from under him: it is let go first.
    while ((await holderAt(pid)) !== undefined) await sleep(pollMs);
  } catch (error) {
    throw hostFailed(`let go of the disk at ${path}`, error, `Check that ${dirname(path)} can be written`);
  }
}

/** The disk of our own holder, as "major:minor". */
async function heldNumber(path: string): Promise<string | undefined> {
  return (await holderOf(path)) === undefined ? undefined : await blockDeviceNumber(path);
}

/** The process that the link leads into, if it is a holder: ids are used again. */
async function holderOf(path: string): Promise<number | undefined> {
  const target = await readlink(path).catch(() => undefined);
  const pid = /^\/proc\/(\d+)\/fd\/0$/.exec(target ?? '')?.[1];
  return pid === undefined ? undefined : holderAt(Number(pid));
}

async function holderAt(pid: number): Promise<number | undefined> {
  const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  if (words !== `${program.join('\0')}\0`) return undefined;
  return (await ifThere(stat(`/proc/${pid}/fd/0`)).catch(() => undefined))?.isBlockDevice() ? pid : undefined;
}

/** The shell opens the disk: one that does not answer holds the child, and nothing of ours. */
async function startHolder({ path, number }: BlockDevice): Promise<number> {
  const child = spawn('sh', ['-c', `exec ${program.join(' ')} < "$0"`, path], {
    cwd: '/',
    env: { PATH: `${process.env['PATH'] ?? ''}:/usr/bin:/bin` },
    stdio: 'ignore',
    detached: true,
  });
  child.unref();
  const ended = once(child, 'exit').then(() => {
    throw new Error('it cannot be opened');
  });
  ended.catch(() => undefined);
  for (let waited = 0; waited < openWithinMs; waited += pollMs) {
    await Promise.race([sleep(pollMs), ended]);
    if (child.pid === undefined || (await holderAt(child.pid)) === undefined) continue;
    const { rdev } = await stat(`/proc/${child.pid}/fd/0`);
    if (deviceNumber(rdev) === number) return child.pid;
    break;
  }
  child.kill('SIGKILL');
  throw new Error('it does not answer, or another disk has its place');
}
