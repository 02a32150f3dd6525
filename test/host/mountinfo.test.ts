import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseMountinfo } from '../../src/host/mountinfo.ts';
import type { MountEntry } from '../../src/host/types.ts';

const encode = (text: string, more = ''): string =>
  text.replace(
    new RegExp(`[ \\t\\n\\\\#${more}]`, 'g'),
    (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );

const format = (entry: MountEntry): string =>
  [
    entry.id,
    entry.parentId,
    entry.number,
    encode(entry.root),
    encode(entry.mountpoint),
    entry.options.map((option) => encode(option, ',')).join(','),
    ...entry.propagation,
    '-',
    entry.type,
    encode(entry.source),
    entry.superOptions.map((option) => encode(option, ',')).join(','),
  ].join(' ');

const name = fc.string({ minLength: 1, unit: fc.constantFrom('a', 'é', ' ', '\t', '\n', '\\', '#', '-', '0', ',') });
const path = fc.array(name, { maxLength: 4 }).map((parts) => `/${parts.join('/')}`);
const entry: fc.Arbitrary<MountEntry> = fc.record({
  id: fc.nat(),
  parentId: fc.nat(),
  number: fc.tuple(fc.nat(4095), fc.nat(255)).map(([major, minor]) => `${major}:${minor}`),
  root: path,
  mountpoint: path,
  options: fc.array(name, { minLength: 1 }),
  propagation: fc.subarray(['shared:12', 'master:3', 'propagate_from:1', 'unbindable']),
  type: fc.constantFrom('ext4', 'xfs', 'fuse.sshfs'),
  source: name,
  superOptions: fc.array(name, { minLength: 1 }),
});

describe('mountinfo', () => {
  test('what the kernel writes is read back as it was', () => {
    fc.assert(
      fc.property(fc.array(entry), (mounts) => {
        const text = mounts.map((mount) => `${format(mount)}\n`).join('');
        expect(parseMountinfo(text)).toEqual(mounts);
      }),
    );
  });

  test('a real line, with optional fields and an escaped space', () => {
    const [mount] = parseMountinfo(
      '36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue\n',
    );
    expect(mount).toEqual({
      id: 36,
      parentId: 35,
      number: '98:0',
      root: '/mnt1',
      mountpoint: '/mnt 2',
      options: ['rw', 'noatime'],
      propagation: ['master:1', 'shared:7'],
      type: 'ext3',
      source: '/dev/root',
      superOptions: ['rw', 'errors=continue'],
    });
  });

  test('a removed directory keeps its path, without the mark', () => {
    const [mount] = parseMountinfo('1 2 8:1 /data//deleted /x rw - ext4 /dev/sda rw\n');
    expect(mount?.root).toBe('/data');
  });

  test.each(['1 2 8:1 / /x rw ext4 /dev/sda rw', '1 2 8:1 / /x rw - ext4', 'rubbish'])('%j is refused', (line) => {
    expect(() => parseMountinfo(`${line}\n`)).toThrow(/mountinfo/);
  });
});
