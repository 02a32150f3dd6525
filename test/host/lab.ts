import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, open, realpath, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { onTestFinished } from 'vitest';
import { openHost } from '../../src/host/host.ts';
import { readMounts } from '../../src/host/mounts.ts';
import { deviceNumber } from '../../src/host/sysfs.ts';
import type { BlockDevice } from '../../src/host/types.ts';
import { run } from '../support/run.ts';

/** A loop device over a sparse file. */
export interface LoopDisk {
  readonly device: BlockDevice;
  readonly file: string;
  /** Writes into the backing file. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** SHA-256 of the whole disk. */
  hash(): Promise<string>;
  /** Enlarges the file and the device; gives the device with its new size. */
  enlarge(mebibytes: number): Promise<BlockDevice>;
}

const mebibyte = 1024 * 1024;

/** Runs a command and fails the test if it fails. */
export async function must(program: string, ...args: string[]): Promise<string> {
  const result = await run(program, args);
  if (result.code !== 0) throw new Error(`${program} ${args.join(' ')}: ${result.stderr}`);
  return result.stdout.trim();
}

/** A directory for one test; what is mounted below it is unmounted and it is removed when the test ends, however it ends. */
export async function tempDirectory(): Promise<string> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'dve-host-')));
  onTestFinished(async () => {
    const below = (await readMounts()).filter((entry) => entry.mountpoint.startsWith(`${path}/`));
    for (const entry of below.reverse()) await run('umount', ['-l', entry.mountpoint]);
    await rm(path, { recursive: true, force: true });
  });
  return path;
}

/** A blank disk below `directory`; its loop device is detached when the test ends. */
export async function loopDisk(directory: string, mebibytes: number, name = 'disk.img'): Promise<LoopDisk> {
  const file = join(directory, name);
  await (await open(file, 'w')).close();
  await truncate(file, mebibytes * mebibyte);
  const path = await must('losetup', '-f', '--show', file);
  onTestFinished(async () => {
    for (const entry of (await readMounts()).reverse()) {
      if (entry.source === path) await run('umount', ['-l', entry.mountpoint]);
    }
    await run('losetup', ['-d', path]);
  });
  const device = (sizeBytes: number, rdev: number): BlockDevice => ({
    path,
    number: deviceNumber(rdev),
    volumeId: 'vol-0123456789abcdef0',
    serialVolumeId: 'vol-0123456789abcdef0',
    sizeBytes,
  });
  const { rdev } = await stat(path);
  return {
    device: device(mebibytes * mebibyte, rdev),
    file,
    async write(offset, bytes) {
      const handle = await open(path, 'r+');
      await handle.write(bytes, 0, bytes.length, offset);
      await handle.sync();
      await handle.close();
    },
    async hash() {
      const hash = createHash('sha256');
      await pipeline(createReadStream(file), hash);
      return hash.digest('hex');
    },
    async enlarge(to) {
      await truncate(file, to * mebibyte);
      await must('losetup', '-c', path);
      return device(to * mebibyte, rdev);
    },
  };
}

/** This machine as it is. */
export const hostSettings = { deviceRoot: '/dev', sysfsRoot: '/sys', bootIdFile: '/proc/sys/kernel/random/boot_id' };

/** A directory, a mountpoint with a space in its name, and this machine as the daemon uses it. */
export async function lab() {
  const directory = await tempDirectory();
  return { directory, target: join(directory, 'volumes/a b'), host: await openHost(hostSettings) };
}
