import { describe, expect, it } from 'vitest';
import {
  beyondLimits,
  limitViolation,
  type Performance,
  type VolumeType,
  volumeTypes,
} from '../../../src/volumes/options/limits.ts';

const asked = (type: VolumeType, more: Partial<Performance> = {}): Performance => ({
  type,
  sizeGib: undefined,
  iops: undefined,
  throughput: undefined,
  ...more,
});
const needsIops = (type: VolumeType) => type === 'io1' || type === 'io2';

describe('sizes', () => {
  it.each<[VolumeType, number, number]>([
    ['gp2', 1, 16384],
    ['gp3', 1, 65536],
    ['io1', 4, 16384],
    ['io2', 4, 65536],
    ['st1', 125, 16384],
    ['sc1', 125, 16384],
    ['standard', 1, 1024],
  ])('%s takes %i to %i GiB', (type, min, max) => {
    const iops = needsIops(type) ? 100 : undefined;
    expect(limitViolation(asked(type, { sizeGib: min, iops }))).toBeUndefined();
    expect(limitViolation(asked(type, { sizeGib: max, iops }))).toBeUndefined();
    expect(limitViolation(asked(type, { sizeGib: min - 1, iops }))).toBe(
      `size ${min - 1} is too low: type ${type} takes ${min} to ${max} GiB`,
    );
    expect(beyondLimits(asked(type, { sizeGib: max, iops }))).toEqual([]);
    expect(limitViolation(asked(type, { sizeGib: max + 1, iops }))).toBeUndefined();
    expect(beyondLimits(asked(type, { sizeGib: max + 1, iops }))).toEqual([
      `size ${max + 1} is above ${max} GiB, the most of type ${type}`,
    ]);
  });
});

describe('IOPS', () => {
  it.each<[VolumeType, number, number]>([
    ['gp3', 3000, 80000],
    ['io1', 100, 64000],
    ['io2', 100, 256000],
  ])('%s takes %i to %i', (type, min, max) => {
    const sizeGib = 16384;
    expect(limitViolation(asked(type, { sizeGib, iops: min }))).toBeUndefined();
    expect(limitViolation(asked(type, { sizeGib, iops: max }))).toBeUndefined();
    expect(limitViolation(asked(type, { sizeGib, iops: min - 1 }))).toBe(
      `iops ${min - 1} is too low: type ${type} takes ${min} to ${max} IOPS`,
    );
    expect(beyondLimits(asked(type, { iops: max }))).toEqual([]);
    expect(limitViolation(asked(type, { iops: max + 1 }))).toBeUndefined();
    expect(beyondLimits(asked(type, { iops: max + 1 }))).toEqual([
      `iops ${max + 1} is above ${max} IOPS, the most of type ${type}`,
    ]);
  });

  it.each<VolumeType>(['gp2', 'st1', 'sc1', 'standard'])('%s takes none', (type) => {
    expect(limitViolation(asked(type, { sizeGib: 500, iops: 3000 }))).toBe(`volumes of type ${type} take no iops`);
  });

  it.each<VolumeType>(['io1', 'io2'])('%s needs them', (type) => {
    expect(limitViolation(asked(type, { sizeGib: 100 }))).toBe(
      `type ${type} needs iops, 100 to ${type === 'io1' ? 64000 : 256000}`,
    );
  });

  it.each<[VolumeType, number, number]>([
    ['gp3', 500, 8],
    ['io1', 50, 8],
    ['io2', 1000, 8],
  ])('%s gives at most %i per GiB', (type, perGib, sizeGib) => {
    const most = perGib * sizeGib;
    expect(beyondLimits(asked(type, { sizeGib, iops: most }))).toEqual([]);
    expect(limitViolation(asked(type, { sizeGib, iops: most + 1 }))).toBeUndefined();
    expect(beyondLimits(asked(type, { sizeGib, iops: most + 1 }))).toEqual([
      `type ${type} gives at most ${perGib} IOPS per GiB: ${most + 1} IOPS need ${sizeGib + 1} GiB`,
    ]);
  });

  it('a gp3 has its first 3000 whatever its size', () => {
    expect(beyondLimits(asked('gp3', { sizeGib: 1, iops: 3000 }))).toEqual([]);
    expect(beyondLimits(asked('gp3', { sizeGib: 1, iops: 3001 }))).toEqual([expect.stringMatching(/need 7 GiB/)]);
  });

  it('a size that a snapshot decides binds no ratio', () => {
    expect(beyondLimits(asked('io1', { iops: 64000 }))).toEqual([]);
  });
});

describe('throughput', () => {
  it('gp3 takes 125 to 2000 MiB/s', () => {
    const enough = { sizeGib: 100, iops: 8000 };
    expect(limitViolation(asked('gp3', { ...enough, throughput: 125 }))).toBeUndefined();
    expect(beyondLimits(asked('gp3', { ...enough, throughput: 2000 }))).toEqual([]);
    expect(limitViolation(asked('gp3', { ...enough, throughput: 124 }))).toMatch(
      /^throughput 124 is too low: type gp3 takes 125 to 2000 MiB\/s/,
    );
    expect(limitViolation(asked('gp3', { iops: 80000, throughput: 2001 }))).toBeUndefined();
    expect(beyondLimits(asked('gp3', { iops: 80000, throughput: 2001 }))).toEqual([
      'throughput 2001 is above 2000 MiB/s, the most of type gp3',
    ]);
  });

  it('gp3 gives a quarter MiB/s per IOPS', () => {
    expect(beyondLimits(asked('gp3', { throughput: 750 }))).toEqual([]);
    expect(beyondLimits(asked('gp3', { throughput: 751 }))).toEqual([
      expect.stringMatching(/751 MiB\/s need iops=3004$/),
    ]);
    expect(beyondLimits(asked('gp3', { sizeGib: 100, iops: 4000, throughput: 1000 }))).toEqual([]);
    expect(beyondLimits(asked('gp3', { sizeGib: 100, iops: 4000, throughput: 1001 }))).toEqual([
      expect.stringMatching(/need iops=4004$/),
    ]);
  });

  it.each(volumeTypes.filter((type) => type !== 'gp3'))('%s takes none', (type) => {
    const iops = needsIops(type) ? 1000 : undefined;
    expect(limitViolation(asked(type, { sizeGib: 500, iops, throughput: 200 }))).toBe(
      `volumes of type ${type} take no throughput`,
    );
  });
});
