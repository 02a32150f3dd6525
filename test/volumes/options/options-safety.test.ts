import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isCode } from '../../../src/errors.ts';
import { parse, refusal } from './reading.ts';

describe('mount options', () => {
  it.each([
    'bind',
    'rbind',
    'move',
    'remount',
    'remount,rw',
    'noatime,bind',
    'loop',
    'loop=5',
    'offset=4096',
    'sizelimit=1',
    'shared',
    'rslave',
    'private',
    'unbindable',
    'x-systemd.automount',
    'X-mount.mkdir',
    'BIND',
  ])('%j would change what mount does, and is refused', (text) => {
    expect(refusal({ mountOptions: text })).toContain('mountOptions cannot hold');
  });

  it.each(['a b', 'noatime;reboot', 'journal_path=/dev/sda', '$(id)', 'a,,b', ',', 'a\0b', '"x"', 'üml'])(
    '%j is no list of mount options',
    (text) => {
      expect(refusal({ mountOptions: text })).toContain('mountOptions takes mount options');
    },
  );

  it('lose the space around them', () => {
    expect(parse({ mountOptions: 'noatime, data=ordered ,ro' })).toEqual({ mountOptions: 'noatime,data=ordered,ro' });
  });
});

describe('mkfs options', () => {
  it.each(['-F', '-f', '-qF', '-Fq', '--force', '--force=yes', '-i 8192 -F'])(
    '%j would force, and is refused',
    (text) => {
      expect(refusal({ mkfsOptions: text })).toContain('cannot force');
    },
  );

  it.each(['/dev/sda', '-L ../x', '-J device=/dev/sdb', '-L $(id)', '-L "a b"', '-L a;b', '-L a|b', '-L a\0b'])(
    '%j holds what no mkfs argument needs',
    (text) => {
      expect(refusal({ mkfsOptions: text })).toContain('mkfsOptions takes mkfs arguments without paths');
    },
  );

  it('are split at any white space', () => {
    expect(parse({ mkfsOptions: ' -O ^has_journal\t -i  8192 ' })).toEqual({ mkfsOptions: '-O ^has_journal -i 8192' });
  });
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
