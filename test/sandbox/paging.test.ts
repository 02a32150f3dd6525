import fc from 'fast-check';
import { expect, test } from 'vitest';
import { listedIds, page } from '../../src/sandbox/paging.ts';
import { decodeQuery } from '../../src/sandbox/query.ts';

const records = (count: number): { id: string }[] =>
  Array.from({ length: count }, (_, index) => ({ id: `vol-${index.toString(16).padStart(17, '0')}` }));
const ask = (all: readonly { id: string }[], query: string) => page(all, decodeQuery(query));

test('pages together give every record once, whatever went away in between', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 5, max: 20 }), fc.integer(), (count, size, drop) => {
      const all = records(count);
      const seen: string[] = [];
      let left = all;
      let token: string | undefined = '';
      while (token !== undefined) {
        const { items, nextToken } = ask(left, `MaxResults=${size}&NextToken=${token}`);
        seen.push(...items.map(({ id }) => id));
        const gone = seen[Math.abs(drop) % Math.max(1, seen.length)];
        left = left.filter(({ id }) => id !== gone);
        token = nextToken;
      }
      expect(seen).toEqual(all.map(({ id }) => id));
    }),
  );
});

test('refuses what EC2 refuses', () => {
  expect(() => ask(records(1), 'MaxResults=4')).toThrow('Expecting a value greater than 5');
  expect(() => listedIds(decodeQuery('MaxResults=5&VolumeId.1=vol-0'), 'VolumeId')).toThrow(
    'cannot be used together with ids',
  );
  expect(() => ask(records(1), 'NextToken=nonsense')).toThrow('pagination token is not valid');
});

test('MaxResults above 1000 counts as 1000', () => {
  expect(ask(records(1001), 'MaxResults=5000').items).toHaveLength(1000);
  expect(ask(records(1001), '').items).toHaveLength(1001);
});
