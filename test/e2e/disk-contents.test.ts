import { createHash } from 'node:crypto';
import { open, writeFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import { requires } from '../support/requirements.ts';
import { run } from '../support/run.ts';
import { eventually, type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';

const { skip } = requires('root', 'loop', 'aws');

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

/** Writes bytes into a volume's file, from an offset on. */
async function put(file: string, ...parts: readonly [offset: number, bytes: Uint8Array | string][]): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    for (const [offset, bytes] of parts) {
      const buffer = Buffer.from(bytes as Uint8Array);
      await handle.write(buffer, 0, buffer.length, offset);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A hash of what a volume's file holds: of all that is not zero, and of its place. */
async function hashOf(file: string): Promise<string> {
  // Zeros become holes first, whoever wrote them: reading a whole GiB takes seconds.
  await run('fallocate', ['--dig-holes', file]);
  const tar = ['--sparse', '--hole-detection=seek', '--mtime=@0', '--transform=s/.*/disk/', '-cf', '-'];
  const script = 'exec tar "$@" | sha256sum';
  return (await run('sh', ['-c', script, 'sh', ...tar, '-C', dirname(file), basename(file)])).stdout;
}

const bytes = (length: number, fill: (buffer: Buffer) => void): Buffer => {
  const buffer = Buffer.alloc(length);
  fill(buffer);
  return buffer;
};

/** A partition table with one Linux partition. */
const partitionTable = bytes(512, (sector) => {
  sector.writeUInt8(0x83, 450);
  sector.writeUInt32LE(2048, 454);
  sector.writeUInt32LE(100_000, 458);
  sector.writeUInt16LE(0xaa55, 510);
});

const luksHeader = bytes(4 * KiB, (header) => {
  header.write('LUKS\xba\xbe', 'latin1');
  header.writeUInt16BE(1, 6);
  header.write('aes', 8);
  header.write('xts-plain64', 40);
  header.write('6d9ea5b0-0c92-4b1e-8dd4-4a3c61b5a7f0', 168);
});

/** The label of an LVM physical volume; its checksum starts from LVM's own value and is not inverted. */
const lvmLabel = bytes(512, (sector) => {
  sector.write('LABELONE');
  sector.writeBigUInt64LE(1n, 8);
  sector.writeUInt32LE(32, 20);
  sector.write('LVM2 001', 24);
  sector.write('abcdefghijklmnopqrstuvwxyz012345', 32);
  sector.writeUInt32LE((crc32(sector.subarray(20), ~0xf597a6cf >>> 0) ^ 0xffffffff) >>> 0, 16);
});

/** The uberblocks of a ZFS label. */
const zfsLabel = bytes(128 * KiB, (ring) => {
  for (let at = 0; at < ring.length; at += KiB) {
    ring.writeBigUInt64LE(0x00bab10cn, at);
    ring.writeBigUInt64LE(5000n, at + 8);
  }
});

const ntfsBootSector = bytes(512, (sector) => {
  sector.write('\xeb\x52\x90NTFS    ', 'latin1');
  sector.writeUInt16LE(512, 11);
  sector.writeUInt8(8, 13);
  sector.writeUInt8(0xf8, 21);
  sector.writeBigUInt64LE(BigInt(GiB / 512 - 1), 40);
  sector.writeBigUInt64LE(4n, 48);
  sector.writeBigUInt64LE(1024n, 56);
  sector.writeInt8(-10, 64);
  sector.writeInt8(1, 68);
  sector.writeBigUInt64LE(0x1234567890abcdefn, 72);
  sector.writeUInt16LE(0xaa55, 510);
});
const ntfsRecord = bytes(KiB, (record) => record.write('FILE'));

const foreign: [what: string, write: (file: string) => Promise<unknown>, named: RegExp][] = [
  ['a partition table', (file) => put(file, [0, partitionTable]), /a partition table \(dos\)/],
  ['a LUKS header', (file) => put(file, [0, luksHeader]), /a LUKS container/],
  ['an LVM label', (file) => put(file, [512, lvmLabel]), /an LVM physical volume/],
  ['a ZFS label', (file) => put(file, [128 * KiB, zfsLabel], [384 * KiB, zfsLabel]), /a member of a ZFS pool/],
  [
    'an NTFS boot sector',
    (file) => put(file, [0, ntfsBootSector], ...[16, 19, 4096].map((at): [number, Buffer] => [at * KiB, ntfsRecord])),
    /ntfs/,
  ],
  ['swap space', (file) => run('mkswap', [file]), /swap/],
  [
    'a single byte in the middle',
    (file) => put(file, [GiB / 2 + 100, 'x']),
    /data that is not zero at offset 536871012/,
  ],
];

describe.skipIf(skip)('a volume that holds something, and was never formatted', () => {
  let box: TestSandbox;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 1, nodeEnv: { DVE_LINGER: '0' } });
  });
  afterAll(() => box?.close());

  const create = async (name: string) => {
    await box.ok(0, 'Create', { Name: name, Opts: { size: '1' } });
    const [{ VolumeId = '' } = {}] = await box.volumes(name);
    return { id: VolumeId, file: () => box.sandbox.volumeFile(VolumeId) ?? '' };
  };
  /** Mount is refused with these words, and all else goes on. */
  const expectRefused = async (name: string, words: RegExp): Promise<string> => {
    const message = await box.refused(0, 'Mount', { Name: name, ID: 'one' });
    expect(message).toMatch(words);
    expect(message).toContain(`volume "${name}"`);
    await box.detached(name);
    const { Status } = await eventually(async () => {
      const { Volume } = await box.ok(0, 'Get', { Name: name });
      return Volume.Status.state === 'available' && Volume;
    });
    expect(Status).toMatchObject({ holders: [] });
    return message;
  };
  /** The same, with not a byte written. */
  const expectUntouched = async (name: string, file: () => string, words: RegExp): Promise<string> => {
    const before = await hashOf(file());
    const message = await expectRefused(name, words);
    expect(await hashOf(file())).toBe(before);
    return message;
  };

  it.each(foreign)('%s: is refused by name, not a byte written, and released', async (what, write, named) => {
    const name = what.replaceAll(' ', '-');
    const { file } = await create(name);
    await write(file());
    const message = await expectUntouched(name, file, named);
    expect(message).toMatch(/the disk holds .*only a blank disk is formatted.*nothing was written to it/);
    const [volume] = await box.volumes(name);
    expect(tagsOf(volume)).not.toHaveProperty([tagKeys.formatting]);
    expect(tagsOf(volume)).not.toHaveProperty([tagKeys.formatted]);
  });

  it('what an unfinished mkfs of ours left: is formatted anew', async () => {
    const { id, file } = await create('unfinished');
    await leaveHalfMade(file());
    await expectUntouched('unfinished', file, /the disk holds data that is not zero/);
    await box.aws('create-tags', '--resources', id, '--tags', `Key=${tagKeys.formatting},Value=ext4`);
    const { Mountpoint } = await box.ok(0, 'Mount', { Name: 'unfinished', ID: 'one' });
    await writeFile(`${Mountpoint}/file`, 'fine');
    await box.ok(0, 'Unmount', { Name: 'unfinished', ID: 'one' });
    await box.detached('unfinished');
    expect((await run('e2fsck', ['-fn', file()])).code).toBe(0);
    expect(tagsOf((await box.volumes('unfinished'))[0])).toMatchObject({ [tagKeys.formatted]: 'ext4' });
  });

  describe('or was, and is damaged', () => {
    const formatted = async (name: string, fsType: string) => {
      await box.ok(0, 'Create', { Name: name, Opts: { size: '1', fsType } });
      const { Mountpoint } = await box.ok(0, 'Mount', { Name: name, ID: 'one' });
      await writeFile(`${Mountpoint}/file`, 'precious');
      await box.ok(0, 'Unmount', { Name: name, ID: 'one' });
      await box.detached(name);
      const [{ VolumeId = '' } = {}] = await box.volumes(name);
      return { id: VolumeId, file: () => box.sandbox.volumeFile(VolumeId) ?? '' };
    };
    const noise = (length: number): Buffer =>
      Buffer.concat(
        Array.from({ length: length / 32 }, (_, index) => createHash('sha256').update(String(index)).digest()),
      );

    it('its ext4 needs a person: not a byte is written, and the message says snapshot first and what to run', async () => {
      const { file } = await formatted('inconsistent', 'ext4');
      await ruin(file());
      const message = await expectUntouched('inconsistent', file, /its ext4 filesystem is damaged/);
      expect(message).toContain('docker-volume-ebs rescue inconsistent');
    });

    /** Group descriptors, bitmaps and the first inodes: of the first group, and of two of the copies. */
    const ruin = (file: string) =>
      put(file, [4 * KiB, noise(2 * MiB)], [128 * MiB + 4 * KiB, noise(MiB)], [384 * MiB + 4 * KiB, noise(MiB)]);

    it('its superblocks are gone: nothing tells that it was ext4 but the tag, and that is enough', async () => {
      const { file } = await formatted('headless', 'ext4');
      const copies = [1, 3, 5, 7].map((group): [number, Buffer] => [group * 128 * MiB, noise(4 * KiB)]);
      await put(file(), [0, noise(4 * KiB)], ...copies);
      const message = await expectUntouched('headless', file, /says that ext4 was made on it; nothing was written/);
      expect(message).toContain('docker-volume-ebs rescue headless');
    });

    it('it reads as blank: a fault, not a new disk', async () => {
      const { file } = await formatted('blank', 'xfs');
      await run('truncate', ['-s', '0', file()]);
      await run('truncate', ['-s', '1G', file()]);
      await expectUntouched('blank', file, /the disk holds nothing, and its tag .* says that xfs was made on it/);
    });

    it('its XFS cannot be mounted: the message says what to run', async () => {
      const { file } = await formatted('torn', 'xfs');
      // The headers of the first allocation group, after the superblock, and the root inodes.
      await put(file(), [512, noise(1536)], [4 * KiB, noise(512 * KiB)]);
      const message = await expectRefused('torn', /structure needs cleaning|superblock/i);
      expect(message).toContain('docker-volume-ebs rescue torn');
    });

    it('a file in it looks like a RAID member: it is mounted as ever', async () => {
      const { file } = await formatted('lookalike', 'ext4');
      const at = GiB - 16 * 512;
      const member = bytes(4 * KiB, (block) => {
        block.writeUInt32LE(0xa92b4efc, 0);
        block.writeUInt32LE(1, 4);
        block.writeBigUInt64LE(BigInt(at / 512), 144);
      });
      await put(file(), [at, member]);
      expect((await run('blkid', ['-p', file()])).stdout).toContain('linux_raid_member');
      await box.ok(0, 'Mount', { Name: 'lookalike', ID: 'a' });
      await box.ok(0, 'Unmount', { Name: 'lookalike', ID: 'a' });
    });

    it('another filesystem is in its place', async () => {
      const { file } = await formatted('swapped', 'ext4');
      await run('mkfs.xfs', ['-f', '-q', file()]);
      await expectUntouched('swapped', file, /the disk holds a xfs filesystem, and its tag .* says that ext4/);
    });
  });
});

/** What mkfs.ext4 had on the disk before it came to write the superblock. */
async function leaveHalfMade(file: string): Promise<void> {
  await run('mkfs.ext4', ['-q', '-F', file]);
  await put(file, [0, Buffer.alloc(4 * KiB)]);
}
