import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nearest } from '../src/spelling.ts';
import { knownOptions } from '../src/volumes/options/options.ts';

describe('nearest', () => {
  it.each([
    ['sise', 'size'],
    ['SIZ', 'size'],
    ['fs-type', 'fsType'],
    ['iop', 'iops'],
    ['availabilty_zone', 'availabilityZone'],
    ['volumetypes', 'volumeType'],
    ['encryptionkey', 'encryptionKey'],
    ['sub-directory', 'subdirectory'],
  ])('takes %j for %j', (word, meant) => {
    expect(nearest(word, knownOptions)).toBe(meant);
  });

  it.each(['', 'x', 'replication', 'nothing-like-it'])('does not guess what %j means', (word) => {
    expect(nearest(word, knownOptions)).toBeUndefined();
  });

  it('gives a candidate itself, whatever its case', () => {
    fc.assert(
      fc.property(fc.constantFrom(...knownOptions), (option) => {
        expect(nearest(option.toUpperCase(), knownOptions)).toBe(option);
      }),
    );
  });

  it('finds a candidate after any one change to a long one', () => {
    const change = fc.record({ at: fc.nat(15), insert: fc.constantFrom('', 'z', 'zz'), drop: fc.constantFrom(0, 1) });
    fc.assert(
      fc.property(change, ({ at, insert, drop }) => {
        const option = 'availabilityZone';
        const word = option.slice(0, at) + insert + option.slice(at + drop);
        expect(nearest(word, knownOptions)).toBe(option);
      }),
    );
  });

  it('has no answer without candidates', () => {
    expect(nearest('size', [])).toBeUndefined();
  });
});
