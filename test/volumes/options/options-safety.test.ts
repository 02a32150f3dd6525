import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isCode } from '../../../src/errors.ts';
import { parse, refusal } from './reading.ts';

it('mount options lose the space around them, mkfs options are split at any white space', () => {
  expect(parse({ mountOptions: 'noatime, data=ordered ,ro' })).toEqual({ mountOptions: 'noatime,data=ordered,ro' });
  expect(parse({ mkfsOptions: ' -O ^has_journal\t -i  8192 ' })).toEqual({ mkfsOptions: '-O ^has_journal -i 8192' });
});

describe('subdirectory', () => {
  it.each(['..', '.', '../x', 'a/../../b', 'a/./b', '/..', 'a/..', 'a\0b', '//..//'])(
    '%j cannot leave the volume',
    (text) => {
      expect(refusal({ subdirectory: text })).toContain('subdirectory cannot leave the volume');
    },
  );

  it.each([
    ['/', '/'],
    ['', '/'],
    ['///', '/'],
    ['/data', 'data'],
    ['a//b/', 'a/b'],
    ['..x', '..x'],
    ['...', '...'],
  ])('%j is %j', (text, read) => {
    expect(parse({ subdirectory: text })).toEqual({ subdirectory: read });
  });

  it('never has a part that is a dot or two, or a slash at its ends', () => {
    const path = fc.string({ unit: fc.constantFrom('.', '/', 'a', '\0', ' '), maxLength: 12 });
    fc.assert(
      fc.property(path, (text) => {
        let read: string | undefined;
        try {
          read = parse({ subdirectory: text }).subdirectory;
        } catch (error) {
          if (!isCode(error, 'INVALID_OPTION')) throw error;
          return;
        }
        if (read === '/') return;
        for (const part of String(read).split('/')) expect(['', '.', '..']).not.toContain(part);
      }),
    );
  });

  it('has at most 200 characters', () => {
    expect(parse({ subdirectory: 'a'.repeat(200) }).subdirectory).toHaveLength(200);
    expect(refusal({ subdirectory: 'a'.repeat(201) })).toContain('at most 200 characters');
  });
});
