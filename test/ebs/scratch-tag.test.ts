import { expect, test } from 'vitest';
import { readScratch, scratchMark } from '../../src/ebs/tags.ts';

const mark = { purpose: 'verify snap-0123', instanceId: 'i-0abc', since: '2026-12-01T03:00:00.000Z' };

test('the scratch tag says what for, by which node and since when', () => {
  expect(scratchMark(mark)).toBe('verify snap-0123 i-0abc 2026-12-01T03:00:00.000Z');
  expect(readScratch(scratchMark(mark))).toEqual(mark);
});

test.each([
  undefined,
  '',
  'verify',
  'verify i-0abc',
  'verify i-0abc yesterday',
  'verify i-0abc 2026-13-41T03:00:00Z',
  ' i-0abc 2026-12-01T03:00:00Z',
  'verify somebody 2026-12-01T03:00:00Z',
])("a scratch tag of %j is nobody's", (value) => {
  expect(readScratch(value)).toBeUndefined();
});
