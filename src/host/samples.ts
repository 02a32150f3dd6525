/** A part of a disk. */
export interface Range {
  readonly offset: number;
  readonly length: number;
}

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;
const blockBytes = 4 * KiB;
const headBytes = 2 * MiB;
const tailBytes = MiB;
const evenSamples = 64;

/** Where filesystems keep copies of their superblock, were the first one wiped. */
const copies: readonly number[] = [
  // ext4: the first block of groups 1, 3, 5, 7, 9, with blocks of 1, 2 and 4 KiB (sparse_super).
  ...[8, 32, 128].flatMap((group) => [1, 3, 5, 7, 9].map((number) => number * group * MiB)),
  // btrfs: the second and third superblock.
  64 * MiB,
  256 * GiB,
];

/**
 * The parts of a disk that are read to call it blank. The head covers boot sectors, partition tables, superblocks, LVM,
 * LUKS and where a first partition begins (1 MiB); the tail covers GPT's copy, md 0.9 and 1.0, and ZFS labels; then the
 * copies, and blocks spread evenly, which meet the allocation groups of XFS (its default is four) and plain data.
 */
export function sampleRanges(sizeBytes: number): Range[] {
  const last = Math.max(0, sizeBytes - blockBytes);
  const spread = Array.from({ length: evenSamples }, (_, index) => Math.floor((index * sizeBytes) / evenSamples));
  const blocks = [...copies, ...spread]
    .map((offset) => offset - (offset % blockBytes))
    .filter((offset) => offset >= headBytes && offset <= last);
  const tail = Math.max(0, sizeBytes - tailBytes);
  return [
    { offset: 0, length: Math.min(headBytes, sizeBytes) },
    ...[...new Set(blocks)].sort((a, b) => a - b).map((offset) => ({ offset, length: blockBytes })),
    { offset: tail, length: sizeBytes - tail },
  ];
}

/** The index of the first byte that is not zero; -1 when all are. */
export function firstNonZero(bytes: Uint8Array): number {
  // Comparing whole buffers is some fifty times as fast as looking at each byte.
  return Buffer.alloc(bytes.length).equals(bytes) ? -1 : bytes.findIndex((byte) => byte !== 0);
}

/**
 * True when every 4 KiB of `bytes` looks like uniformly random bytes (a chi-squared test on byte counts: 255 expected,
 * and beyond 436, eight standard deviations, once in some 10^10 blocks of true noise).
 */
export function isNoise(bytes: Uint8Array): boolean {
  for (let start = 0; start < bytes.length; start += blockBytes) {
    const block = bytes.subarray(start, start + blockBytes);
    if (block.length === blockBytes && chiSquared(block) > 436) return false;
  }
  return bytes.length >= blockBytes;
}

function chiSquared(block: Uint8Array): number {
  const counts = new Uint32Array(256);
  for (const byte of block) counts[byte] = (counts[byte] ?? 0) + 1;
  const expected = block.length / 256;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}
