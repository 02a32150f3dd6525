import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { contentOfSignatures, parseBlkidExport } from '../../src/host/blkid.ts';
import { readContent } from '../../src/host/content.ts';
import { makeFilesystem } from '../../src/host/filesystems.ts';
import { firstNonZero, isNoise, sampleRanges } from '../../src/host/samples.ts';
import { requires } from '../support/requirements.ts';
import { loopDisk, must, tempDirectory } from './lab.ts';

const disks = requires('root', 'loop', 'mkfs.xfs', 'mkfs.btrfs');

const MiB = 1024 * 1024;

test('samples lie on the disk, cover its ends, and never read much', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 64 * 2 ** 40 }), (size) => {
      const ranges = sampleRanges(size);
      expect(ranges.every(({ offset, length }) => offset >= 0 && length >= 0 && offset + length <= size)).toBe(true);
      expect(ranges[0]).toMatchObject({ offset: 0, length: Math.min(size, 2 * MiB) });
      const tail = ranges.at(-1)!;
      expect(tail.offset + tail.length).toBe(size);
      expect(ranges.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(4 * MiB);
    }),
  );
});

test('copies of superblocks are among the samples', () => {
  const offsets = sampleRanges(16 * 1024 * MiB).map(({ offset }) => offset);
  expect(offsets).toEqual(expect.arrayContaining([8 * MiB, 32 * MiB, 64 * MiB, 128 * MiB, 384 * MiB, 4096 * MiB]));
});

test('the first byte that is not zero is found', () => {
  fc.assert(
    fc.property(fc.nat(9000), fc.integer({ min: 1, max: 255 }), (at, value) => {
      const bytes = new Uint8Array(9001);
      expect(firstNonZero(bytes)).toBe(-1);
      bytes[at] = value;
      expect(firstNonZero(bytes)).toBe(at);
    }),
  );
});

test('noise is random bytes and nothing that has an order', () => {
  const text = Buffer.alloc(8192, 'It was a bright cold day in April, and the clocks were striking thirteen. ');
  const half = Buffer.concat([randomBytes(8192), Buffer.alloc(4096)]);
  expect([randomBytes(2 * MiB), Buffer.alloc(8192), text, half].map(isNoise)).toEqual([true, false, false, false]);
});

test.each([
  ['TYPE=ext4\nUSAGE=filesystem\nUUID=1-2', { kind: 'filesystem', type: 'ext4', uuid: '1-2' }],
  ['TYPE=ntfs\nUSAGE=filesystem', { kind: 'filesystem', type: 'ntfs', uuid: undefined }],
  ['TYPE=xfs\nUSAGE=filesystem\nPTTYPE=atari', { kind: 'filesystem', type: 'xfs', uuid: undefined }],
  ['TYPE=zfs_member\nUSAGE=filesystem', { kind: 'other', what: 'a member of a ZFS pool' }],
  ['TYPE=crypto_LUKS\nUSAGE=crypto', { kind: 'other', what: 'a LUKS container' }],
  ['TYPE=novelty\nUSAGE=other', { kind: 'other', what: 'data of type novelty' }],
  ['PTTYPE=gpt', { kind: 'other', what: 'a partition table (gpt)' }],
  ['PTTYPE=atari', { kind: 'other', what: 'a partition table (atari)' }],
  ['TYPE=ext4\nUSAGE=filesystem\nPTTYPE=dos', { kind: 'other', what: 'a partition table (dos) and data of type ext4' }],
  ['DEVNAME=/dev/x\nPART_ENTRY_NUMBER=1', undefined],
])('blkid output %j', (text, content) => {
  expect(contentOfSignatures(parseBlkidExport(text))).toEqual(content);
});

function mbr(): Buffer {
  const sector = Buffer.alloc(512);
  sector.set([0, 0, 2, 0, 0x83, 0, 0, 0], 446);
  sector.writeUInt32LE(2048, 454);
  sector.writeUInt32LE(65536, 458);
  sector.set([0x55, 0xaa], 510);
  return sector;
}

function gpt(sectors: number): Buffer {
  const table = Buffer.alloc(34 * 512);
  mbr().copy(table);
  table[450] = 0xee;
  table.writeUInt32LE(1, 454);
  const header = table.subarray(512, 512 + 92);
  header.write('EFI PART\0\0\x01\0', 'latin1');
  header.writeUInt32LE(92, 12);
  header.writeBigUInt64LE(1n, 24);
  header.writeBigUInt64LE(BigInt(sectors - 1), 32);
  header.writeBigUInt64LE(34n, 40);
  header.writeBigUInt64LE(BigInt(sectors - 34), 48);
  randomBytes(16).copy(header, 56);
  header.writeBigUInt64LE(2n, 72);
  header.writeUInt32LE(128, 80);
  header.writeUInt32LE(128, 84);
  header.writeUInt32LE(crc32(table.subarray(1024)), 88);
  header.writeUInt32LE(crc32(header), 16);
  return table;
}

function luks(): Buffer {
  const header = Buffer.alloc(4096);
  header.write('LUKS\xba\xbe\0\x01aes\0', 'latin1');
  header.write('cafecafe-0000-4000-8000-000000000000', 168);
  return header;
}

function lvm(): Buffer {
  const label = Buffer.alloc(1024);
  label.write('LABELONE', 512);
  label.writeBigUInt64LE(1n, 520);
  label.writeUInt32LE(32, 532);
  label.write('LVM2 001', 536);
  label.write('a'.repeat(32), 544);
  label.writeUInt32LE(~crc32(label.subarray(532), ~0xf597a6cf >>> 0) >>> 0, 528);
  return label;
}

const ntfs = Buffer.concat([Buffer.from('\xeb\x52\x90NTFS    ', 'latin1'), Buffer.alloc(501)]);
ntfs.set([0x55, 0xaa], 510);

describe.skipIf(disks.skip)('a real disk', () => {
  test('that is all zero is blank, also when it is tiny or no multiple of anything', async () => {
    const directory = await tempDirectory();
    for (const size of [1, 3, 77, 1024]) {
      const disk = await loopDisk(directory, size, `${size}.img`);
      expect(await readContent(disk.device, 'samples')).toEqual({ kind: 'blank' });
    }
  });

  test.each(['ext4', 'xfs', 'btrfs'] as const)('with %s is known, and made only on a blank disk', async (type) => {
    const disk = await loopDisk(await tempDirectory(), 320);
    await makeFilesystem(disk.device, type, type === 'ext4' ? ['-L', 'named'] : [], 'nothing');
    const uuid = expect.stringMatching(/^[0-9a-f-]{36}$/);
    const before = await disk.hash();
    expect(await readContent(disk.device, 'samples')).toEqual({ kind: 'filesystem', type, uuid });
    for (const again of ['ext4', 'xfs', 'btrfs'] as const) {
      await expect(makeFilesystem(disk.device, again, [], 'nothing')).rejects.toMatchObject({
        code: 'NOT_BLANK',
        message: expect.stringMatching(new RegExp(`vol-0123456789abcdef0.*\\(${type}\\)`)),
      });
    }
    expect(await disk.hash()).toBe(before);
  });

  test.each<[string, number, Uint8Array, RegExp]>([
    ['an MBR', 0, mbr(), /partition table \(dos\)/],
    ['a GPT', 0, gpt(64 * 2048), /partition table \(gpt\)/],
    ['a LUKS header', 0, luks(), /LUKS/],
    ['an LVM label', 0, lvm(), /LVM/],
    ['something like NTFS', 0, ntfs, /./],
    ['one byte at the start', 0, Buffer.from([1]), /offset 0$/],
    ['one byte in the first megabyte', 777_777, Buffer.from([1]), /offset 777777$/],
    ['one byte at the very end', 64 * MiB - 1, Buffer.from([9]), /offset 67108863$/],
    ['rubbish in the middle', 32 * MiB + 5, Buffer.from('rubbish'), /offset 33554437$/],
  ])('with %s is not blank, not formatted and not changed', async (_, offset, bytes, what) => {
    const disk = await loopDisk(await tempDirectory(), 64);
    await disk.write(offset, bytes);
    const before = await disk.hash();
    expect(await readContent(disk.device, 'samples')).toMatchObject({
      kind: 'other',
      what: expect.stringMatching(what),
    });
    await expect(makeFilesystem(disk.device, 'ext4', [], 'nothing')).rejects.toMatchObject({ code: 'NOT_BLANK' });
    expect(await disk.hash()).toBe(before);
  });

  test('with swap space is not blank', async () => {
    const disk = await loopDisk(await tempDirectory(), 16);
    await must('mkswap', disk.device.path);
    expect(await readContent(disk.device, 'samples')).toEqual({ kind: 'other', what: 'swap space', signed: true });
  });

  test.each(['ext4', 'xfs', 'btrfs'] as const)('whose %s lost its superblock to wipefs is not blank', async (type) => {
    const disk = await loopDisk(await tempDirectory(), 320);
    await must(`mkfs.${type}`, '-q', disk.device.path);
    await must('wipefs', '-a', disk.device.path);
    expect(await readContent(disk.device, 'samples')).toMatchObject({ kind: 'other' });
  });

  test('whose ext4 lost its whole first 8 MiB is not blank', async () => {
    const disk = await loopDisk(await tempDirectory(), 320);
    await must('mkfs.ext4', '-q', '-b', '4096', disk.device.path);
    await disk.write(0, Buffer.alloc(8 * MiB));
    expect(await readContent(disk.device, 'samples')).toMatchObject({
      kind: 'other',
      what: expect.stringContaining('offset'),
    });
  });

  test.each(['ext4', 'xfs', 'btrfs'] as const)(
    'full of noise is told apart, and can be formatted: %s',
    async (type) => {
      const disk = await loopDisk(await tempDirectory(), 320);
      for (let at = 0; at < 320; at += 32) await disk.write(at * MiB, randomBytes(32 * MiB));
      expect(await readContent(disk.device, 'samples')).toEqual({
        kind: 'other',
        what: expect.any(String),
        noise: true,
      });
      await makeFilesystem(disk.device, type, [], 'nothing');
      expect(await readContent(disk.device, 'samples')).toMatchObject({ kind: 'filesystem', type });
    },
  );

  test('that cannot be read, has gone or is another one is an error, never blank', async () => {
    const disk = await loopDisk(await tempDirectory(), 16);
    const changed = (part: object) => readContent({ ...disk.device, ...part }, 'samples');
    await expect(changed({ path: '/dev/no-such-disk' })).rejects.toMatchObject({ code: 'HOST_FAILED' });
    await expect(changed({ number: '259:9' })).rejects.toMatchObject({ code: 'WRONG_DEVICE' });
    await expect(changed({ sizeBytes: 15 * MiB })).rejects.toMatchObject({ code: 'HOST_FAILED' });
    await expect(changed({ sizeBytes: 17 * MiB })).rejects.toMatchObject({ code: 'HOST_FAILED' });
  });

  test('wrong mkfs options fail with its words', async () => {
    const disk = await loopDisk(await tempDirectory(), 16);
    await expect(makeFilesystem(disk.device, 'ext4', ['--bogus'], 'nothing')).rejects.toMatchObject({
      code: 'HOST_FAILED',
      message: expect.stringMatching(/mkfs\.ext4.*invalid option|unrecognized option/),
    });
  });
});
