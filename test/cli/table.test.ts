import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ageOf, type Column, cut, partOf, tableLines, visible, widthOf, wrapped } from '../../src/cli/table.ts';

const columns: readonly Column[] = [
  { title: 'NAME', least: 8 },
  { title: 'ID' },
  { title: 'WHERE', rank: 1 },
  { title: 'WHO', least: 4, rank: 2 },
];
const row = (name: string, who = 'nobody at all') => ({ cells: [name, 'vol-1', '/dev/xvdba', who], below: [] });

test('a table is as wide as what it holds', () => {
  expect(tableLines(columns, [row('a'), { ...row('longer'), below: ['waits for something'] }], undefined)).toEqual([
    'NAME    ID     WHERE       WHO',
    'a       vol-1  /dev/xvdba  nobody at all',
    'longer  vol-1  /dev/xvdba  nobody at all',
    '    waits for something',
  ]);
});

test('on a narrow terminal names are cut, then columns left out, and identifiers stay', () => {
  const rows = [row('a-very-long-name-with-slot-17')];
  expect(tableLines(columns, rows, 46)).toEqual([
    'NAME            ID     WHERE       WHO',
    'a-very-…lot-17  vol-1  /dev/xvdba  nobod…t all',
  ]);
  expect(tableLines(columns, rows, 24)).toEqual([
    'NAME               ID',
    expect.stringMatching(/^a-ver.*…\S*-17 +vol-1$/),
  ]);
  expect(tableLines(columns, rows, 5)[1]).toMatch(/^\S{8} {2}vol-1$/);
});

test('no line of a table is wider than a terminal that has room for its least', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 40 });
  fc.assert(
    fc.property(fc.array(fc.tuple(text, text)), fc.integer({ min: 15, max: 200 }), (given, width) => {
      const rows = given.map(([name, who]) => row(name, who));
      for (const line of tableLines(columns, rows, width)) expect(widthOf(line)).toBeLessThanOrEqual(width);
    }),
  );
});

test('a text is cut in its middle, and never wider than asked for', () => {
  expect(cut('logs-of-shop-17', 9)).toBe('logs…p-17');
  expect(cut('logs', 4)).toBe('logs');
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.nat(30), (text, places) => {
      expect(widthOf(cut(visible(text), places))).toBeLessThanOrEqual(places);
    }),
  );
});

test('names in any script stand in line, and none of them steers the terminal', () => {
  const rows = ['データ', 'e\u0301', 'x\x1b[2J', '\u202eevil'].map((name) => row(name, ''));
  const lines = tableLines(columns, rows, undefined);
  const idAt = (line = '') => widthOf(line.slice(0, line.search(/ID|vol-1/)));
  expect(new Set(lines.map(idAt)).size).toBe(1);
  for (const character of ['\x1b', '\u202e']) expect(lines.join('')).not.toContain(character);
  expect(lines[3]).toMatch(/^x\\u\{1b\}\[2J/);
});

test('sentences are broken between words, and words never', () => {
  expect(wrapped('a sentence about volumes', 14, '  ')).toEqual(['  a sentence', '  about', '  volumes']);
  expect(wrapped('step 2 of takeover f-00000000000001', 8)).toEqual(['step 2', 'of', 'takeover', 'f-00000000000001']);
  expect(wrapped('all of it')).toEqual(['all of it']);
});

test.each([
  [0, '0s'],
  [59, '59s'],
  [60, '1m'],
  [61, '1m 1s'],
  [3 * 86_400 + 4 * 3600 + 59, '3d 4h'],
  [86_400 + 30, '1d'],
  [-5, '0s'],
])('%i seconds are %s', (seconds, text) => {
  const now = Date.parse('2026-01-21T09:00:00Z');
  expect(ageOf(new Date(now - seconds * 1000).toISOString(), now)).toBe(text);
});

test('no time has no age', () => {
  expect(ageOf('', 0)).toBe('-');
});

test.each([
  [1.24 * 2 ** 30, 15.6 * 2 ** 30, '1.2 / 15.6 GiB'],
  [2 ** 20, 16 * 2 ** 40, '0 / 16 TiB'],
  [0, 0, '0 / 0 B'],
  [3 * 2 ** 20, 1000 * 2 ** 20, '3 / 1000 MiB'],
])('%d of %d bytes are %s', (part, whole, text) => {
  expect(partOf(part, whole)).toBe(text);
});
