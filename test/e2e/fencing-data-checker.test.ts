import { describe, expect, it } from 'vitest';
import { checkAttachments, checkEpoch, checkRecords, type Term } from '../support/checker.ts';
import { formatRecord, type WrittenRecord } from '../support/writer-records.ts';

const of = (node: string, epoch: number, from: number, to: number): WrittenRecord[] =>
  Array.from({ length: to - from + 1 }, (_, index) => ({ number: from + index, epoch, node }));
const file = (...records: WrittenRecord[]) => Buffer.from(records.map(formatRecord).join(''));
const promised = (records: WrittenRecord[], mountedAt: number, lastAt: number): Term => ({
  epoch: records[0]?.epoch ?? 0,
  node: records[0]?.node ?? '',
  mountedAt,
  acknowledged: records.map(({ number }) => number),
  lastAt,
});

const first = of('i-a', 1, 1, 3);
const second = of('i-b', 2, 4, 6);
const terms = [promised(first, 0, 30), promised(second, 100, 130)];

describe('the check of a file of records', () => {
  it('finds nothing wrong with every acknowledged record in its place, or with more and a torn last one', () => {
    expect(checkRecords(file(...first, ...second), terms)).toEqual({ checked: 6, violations: [] });
    const torn = Buffer.concat([file(...first, ...second, ...of('i-b', 2, 7, 7)), Buffer.from('8 2 i-')]);
    expect(checkRecords(torn, terms)).toEqual({ checked: 6, violations: [] });
    expect(checkRecords(Buffer.alloc(0), [])).toEqual({ checked: 0, violations: [] });
  });

  it.each([
    [
      'a lost tail',
      file(...first, ...second.slice(0, 2)),
      5,
      [/1 of 3 acknowledged records of i-b, epoch 2, are lost, first number 6: there are 5/],
    ],
    [
      'a lost file',
      Buffer.alloc(0),
      0,
      [/3 of 3 .* of i-a, .* number 1: there are 0/, /3 of 3 .* of i-b, .* number 4/],
    ],
    [
      'a record overwritten by another node',
      file(...first.slice(0, 2), ...of('i-b', 2, 3, 3), ...second),
      5,
      [/1 of 3 .* of i-a, epoch 1, are lost, first number 3: it is of i-b, epoch 2/],
    ],
    [
      'an old owner that writes behind a new one',
      file(...first, ...second, ...of('i-a', 1, 7, 7)),
      6,
      [/record 7 of epoch 1 follows 2/],
    ],
    [
      'two nodes in one epoch',
      file(...first, ...second, ...of('i-c', 2, 7, 7)),
      6,
      [/epoch 2 is of i-b and, by record 7, of i-c/],
    ],
    ['a record twice', file(...first, ...second, ...of('i-b', 2, 6, 6)), 6, [/record 6 stands at place 7/]],
  ])('finds %s', (_, content, checked, violations) => {
    const found = checkRecords(content, terms);
    expect(found.checked).toBe(checked);
    expect(found.violations).toEqual(violations.map((pattern) => expect.stringMatching(pattern)));
  });

  it('finds one changed bit, and what it hides', () => {
    const content = file(...first, ...second);
    content[256 + 4]! ^= 1;
    const { checked, violations } = checkRecords(content, terms);
    expect(checked).toBe(1);
    expect(violations).toContainEqual(expect.stringMatching(/4 records are behind a place that holds none, after 1/));
  });

  it('finds a writer that goes on after the next has mounted', () => {
    const late = [promised(first, 0, 105), promised(second, 100, 130)];
    expect(checkRecords(file(...first, ...second), late).violations).toEqual([
      'i-a acknowledged a record 5 ms after i-b had mounted the volume',
    ]);
  });
});

describe('the check of owners', () => {
  const moments = (...what: ('plugged' | 'attached' | 'detached')[]) =>
    what.map((each, at) => ({ what: each, volume: 'vol-1', at }));

  it('finds a disk in two machines, not one that moves', () => {
    expect(checkAttachments(moments('detached', 'plugged', 'attached', 'detached', 'plugged'), 'vol-1')).toEqual([]);
    expect(checkAttachments(moments('plugged', 'attached', 'plugged'), 'vol-1')).toHaveLength(1);
    expect(checkAttachments(moments('plugged', 'attached', 'plugged'), 'vol-2')).toEqual([]);
  });

  it('finds an epoch that does not go with its owner', () => {
    const before = { epoch: 3, node: 'i-a' };
    expect(checkEpoch(undefined, { epoch: 1, node: 'i-a' })).toEqual([]);
    expect(checkEpoch(before, { epoch: 4, node: 'i-b' })).toEqual([]);
    expect(checkEpoch(before, before)).toEqual([]);
    expect(checkEpoch(before, { epoch: 3, node: 'i-b' })).toHaveLength(1);
    expect(checkEpoch(before, { epoch: 2, node: 'i-b' })).toHaveLength(1);
    expect(checkEpoch(before, { epoch: 4, node: 'i-a' })).toHaveLength(1);
  });
});
