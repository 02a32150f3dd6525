import { describe, expect, it } from 'vitest';
import type { EbsVolume } from '../../../src/ebs/types.ts';
import { createNameMemory } from '../../../src/volumes/state/memory.ts';
import { volumeWith } from '../../support/fake-volume.ts';

describe('a memory of names', () => {
  it('fills what room is left with the names of a listing, and gives up none for them that callers asked for', () => {
    let kept: ReadonlyMap<string, EbsVolume> = new Map();
    const names = createNameMemory({
      known: new Map([['early', volumeWith()]]),
      keep: async (known) => {
        kept = known;
      },
    });
    for (let index = 0; index < 3000; index++) names.listed(`v${index}`, volumeWith({ id: `vol-${index}` }));
    expect(kept.size).toBe(2000);
    expect(['early', 'v0', 'v1998', 'v1999'].map((name) => kept.has(name))).toEqual([true, true, true, false]);
    names.learn('asked', volumeWith({ id: 'vol-asked' }));
    expect([kept.size, kept.has('asked')]).toEqual([2000, true]);
  });

  it('knows a name that a listing shows anew as another volume', () => {
    const names = createNameMemory({ known: new Map([['a', volumeWith()]]), keep: async () => {} });
    expect(names.known('a')).toMatchObject({ value: { id: 'vol-1' }, at: undefined });
    names.listed('a', volumeWith({ id: 'vol-2' }));
    expect(names.known('a')).toMatchObject({ value: { id: 'vol-2' }, at: expect.any(Number) });
  });
});
