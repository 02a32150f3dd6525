import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { DriverError } from '../errors.ts';
import { contentOfSignatures, parseBlkidExport } from './blkid.ts';
import { nameOf, withoutPath } from './disk-names.ts';
import { firstNonZero, isNoise, type Range, sampleRanges } from './samples.ts';
import { soundExt4 } from './sound-ext4.ts';
import { findSuperblockCopy } from './superblock-copies.ts';
import { deviceNumber } from './sysfs.ts';
import { hostFailed, runTool, wordsOf } from './tools.ts';
import type { BlockDevice, DiskContent, FilesystemType } from './types.ts';

const seeKernel = 'See what the kernel says about this disk (dmesg); nothing was written to it';
const chunkBytes = 4 * 1024 * 1024;

/**
 * What a disk holds, read without writing. Blank needs two witnesses that agree: libblkid knows no signature, and every
 * part we read ourselves is zero: samples, or for a disk that might hold anything, all of it. blkid alone is no witness: it says "nothing" of a disk it cannot read, too
 * (hetznercloud/csi-driver#1346 lost data so).
 * @param made the filesystem that is known to have been made on it: a file in it may look like a RAID member to libblkid,
 * which is not asked about an ext4 that is sound by its own account.
 * @throws DriverError HOST_FAILED when a part cannot be read; WRONG_DEVICE when another disk is at the path by now.
 */
export async function readContent(
  device: BlockDevice,
  parts: 'samples' | 'all',
  made?: FilesystemType,
): Promise<DiskContent> {
  const tried = `read what ${nameOf(device)} holds`;
  const uuid = made === 'ext4' ? await soundExt4(device).catch(() => undefined) : undefined;
  if (uuid !== undefined) return { kind: 'filesystem', type: 'ext4', uuid };
  const content = await readUnknown(device, parts, tried);
  if (made === undefined || content.kind !== 'other') return content;
  const own = await probe(device, tried, ['-n', made]);
  if (own?.kind === 'filesystem' && !(made === 'xfs' && (await isUnfinishedXfs(device, tried)))) return own;
  const copy = await findSuperblockCopy(device, made);
  return copy === undefined ? content : { ...content, copy };
}

async function readUnknown(device: BlockDevice, parts: 'samples' | 'all', tried: string): Promise<DiskContent> {
  const sampled = await readSamples(device, tried);
  const signatures = await probe(device, tried);
  // blkid's atari false alarm in random bytes is no partition table.
  if (sampled.noise && (signatures === undefined || isAtari(signatures))) {
    return { kind: 'other', what: 'nothing but random-looking data', noise: true };
  }
  if (signatures?.kind === 'filesystem' && signatures.type === 'xfs' && (await isUnfinishedXfs(device, tried))) {
    return { kind: 'other', what: 'an XFS whose mkfs was cut off' };
  }
  if (signatures !== undefined) return signatures.kind === 'other' ? { ...signatures, signed: true } : signatures;
  const dataAt = sampled.dataAt ?? (parts === 'all' ? await firstData(device, tried) : undefined);
  return dataAt === undefined
    ? { kind: 'blank' }
    : { kind: 'other', what: `data that is not zero at offset ${dataAt}` };
}

const isAtari = (content: DiskContent): boolean =>
  content.kind === 'other' && content.what === 'a partition table (atari)';

/** @param only flags that keep libblkid to some kinds of signatures. */
async function probe(
  device: BlockDevice,
  tried: string,
  only: readonly string[] = [],
): Promise<DiskContent | undefined> {
  const result = await runTool('blkid', ['-p', ...only, '-o', 'export', device.path], tried);
  const found = parseBlkidExport(result.stdout);
  if (result.code === 0 && found.size > 0) return contentOfSignatures(found);
  if (result.code === 2 && found.size === 0) return undefined;
  if (result.code === 8) return { kind: 'other', what: 'signatures of several kinds of data (blkid cannot decide)' };
  throw hostFailed(tried, new Error(`blkid failed: ${withoutPath(wordsOf(result), device)}`), seeKernel);
}

interface Sampled {
  /** The first offset that is not zero. */
  readonly dataAt: number | undefined;
  readonly noise: boolean;
}

function readSamples(device: BlockDevice, tried: string): Promise<Sampled> {
  return withDisk(device, tried, async (file) => {
    // One read at a time: libuv has four threads for everybody, and a disk that hangs must not have them all.
    const parts: Sampled[] = [];
    for (const range of sampleRanges(device.sizeBytes)) parts.push(await readPart(file, range));
    const dataAt = parts.find((part) => part.dataAt !== undefined)?.dataAt;
    return { dataAt, noise: parts.every((part) => part.noise) };
  });
}

/** mkfs.xfs clears sb_inprogress, the byte at offset 126 of the superblock, when all else is written (XFS on-disk format). */
function isUnfinishedXfs(device: BlockDevice, tried: string): Promise<boolean> {
  return withDisk(device, tried, async (file) => {
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, 126);
    return buffer[0] !== 0;
  });
}

/** ext4 notes in its superblock when it was last mounted (s_mtime, at offset 44 of it; Linux fs/ext4/ext4.h); 0 is never. */
export function wasEverMounted(device: BlockDevice): Promise<boolean> {
  return withDisk(device, `read when ${nameOf(device)} was mounted`, async (file) => {
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 1024 + 44);
    return buffer.readUInt32LE(0) !== 0;
  });
}

/** Reads the whole disk; the offset of the first byte that is not zero. */
function firstData(device: BlockDevice, tried: string): Promise<number | undefined> {
  return withDisk(device, tried, async (file) => {
    for (let offset = 0; offset < device.sizeBytes; offset += chunkBytes) {
      const { dataAt } = await readPart(file, { offset, length: Math.min(chunkBytes, device.sizeBytes - offset) });
      if (dataAt !== undefined) return dataAt;
    }
    return undefined;
  });
}

async function withDisk<T>(device: BlockDevice, tried: string, work: (file: FileHandle) => Promise<T>): Promise<T> {
  let file: FileHandle | undefined;
  try {
    file = await open(device.path, constants.O_RDONLY);
    await checkSameDisk(file, device, tried);
    return await work(file);
  } catch (error) {
    throw hostFailed(tried, error, seeKernel);
  } finally {
    await file?.close();
  }
}

async function readPart(file: FileHandle, { offset, length }: Range): Promise<Sampled> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, offset);
  if (bytesRead !== length) throw new Error(`only ${bytesRead} of ${length} bytes could be read at offset ${offset}`);
  const index = firstNonZero(buffer);
  return { dataAt: index < 0 ? undefined : offset + index, noise: index >= 0 && isNoise(buffer) };
}

async function checkSameDisk(file: FileHandle, device: BlockDevice, tried: string): Promise<void> {
  const stats = await file.stat();
  if (!stats.isBlockDevice() || deviceNumber(stats.rdev) !== device.number) {
    throw new DriverError('WRONG_DEVICE', {
      tried,
      why: 'another disk has its place on this machine by now',
      todo: 'Try again: the disk is looked for anew',
    });
  }
  const { bytesRead } = await file.read(Buffer.alloc(1), 0, 1, device.sizeBytes);
  if (device.sizeBytes <= 0 || bytesRead > 0) {
    throw new Error(`it does not end after the ${device.sizeBytes} bytes that it was said to have`);
  }
}
