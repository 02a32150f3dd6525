import { expect, test } from 'vitest';
import { applyFilters, type FilterFields, readFilters, wildcard } from '../../src/sandbox/filters.ts';
import { decodeQuery } from '../../src/sandbox/query.ts';

interface Thing {
  readonly id: string;
  readonly status: string | undefined;
  readonly tags: Record<string, string>;
}
const fields: FilterFields<Thing> = { status: ({ status }) => [status] };
const things: Thing[] = [
  { id: '1', status: 'ok', tags: { Name: 'data', env: 'prod' } },
  { id: '2', status: undefined, tags: { Name: 'data2' } },
];
const ids = (query: string): string[] =>
  applyFilters(things, readFilters(decodeQuery(query)), fields).map(({ id }) => id);

test.each([
  ['Filter.1.Name=status&Filter.1.Value.1=ok', ['1']],
  ['Filter.1.Name=tag:Name&Filter.1.Value.1=data*', ['1', '2']],
  ['Filter.1.Name=tag:Name&Filter.1.Value.1=data?', ['2']],
  ['Filter.1.Name=tag:Name&Filter.1.Value.1=DATA', []],
  ['Filter.1.Name=tag-key&Filter.1.Value.1=env&Filter.2.Name=status&Filter.2.Value.1=bad&Filter.2.Value.2=ok', ['1']],
  ['Filter.1.Name=status&Filter.1.Value.1=*', ['1']],
  ['', ['1', '2']],
])('%s', (query, expected) => {
  expect(ids(query)).toEqual(expected);
});

test('an unknown filter is an error even when there is nothing to filter', () => {
  const filters = readFilters(decodeQuery('Filter.1.Name=colour&Filter.1.Value.1=red'));
  expect(() => applyFilters([], filters, fields)).toThrow("The filter 'colour' is invalid");
});

test('a backslash takes a wildcard literally, and no value is a regular expression', () => {
  expect(wildcard('a\\*b').test('a*b')).toBe(true);
  expect(wildcard('a\\*b').test('axb')).toBe(false);
  expect(wildcard('a.(b)+').test('a.(b)+')).toBe(true);
  expect(wildcard('a.c').test('abc')).toBe(false);
});

test('more than 200 values in a call are refused', () => {
  const values = (count: number): string =>
    `Filter.1.Name=status&${Array.from({ length: count }, (_, index) => `Filter.1.Value.${index + 1}=x`).join('&')}`;
  expect(() => readFilters(decodeQuery(values(201)))).toThrow('The maximum number of filter values is 200');
  expect(readFilters(decodeQuery(values(200)))).toHaveLength(1);
});
