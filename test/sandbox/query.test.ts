import { expect, test } from 'vitest';
import { decodeQuery, flag, groups, requiredText, text, texts, whole } from '../../src/sandbox/query.ts';

test('nests dotted names and keeps lists in the order of their numbers', () => {
  const query = decodeQuery(
    'Action=DescribeVolumes&Filter.1.Name=tag%3AName&Filter.1.Value.10=j&Filter.1.Value.2=b&Filter.1.Value.1=a+b&VolumeId.1=vol-1',
  );
  const [filter] = groups(query, 'Filter');
  expect(text(filter!, 'Name')).toBe('tag:Name');
  expect(texts(filter!, 'Value')).toEqual(['a b', 'b', 'j']);
  expect(texts(query, 'VolumeId')).toEqual(['vol-1']);
});

test('reads numbers and flags, and says what is wrong with them', () => {
  const query = decodeQuery('Size=8&Iops=many&Force=true&DryRun=false&Empty=');
  expect(whole(query, 'Size')).toBe(8);
  expect(whole(query, 'Empty')).toBeUndefined();
  expect(() => whole(query, 'Iops')).toThrow('Invalid integer value many for parameter Iops');
  expect([flag(query, 'Force'), flag(query, 'DryRun'), flag(query, 'Absent')]).toEqual([true, false, false]);
  expect(() => requiredText(query, 'VolumeId')).toThrow('The request must contain the parameter volumeId');
});

test('a name like __proto__ is a parameter like any other', () => {
  const query = decodeQuery('__proto__.polluted=yes&constructor=x');
  expect(({} as { polluted?: string }).polluted).toBeUndefined();
  expect(text(query, 'constructor')).toBe('x');
  expect(text(query, 'toString')).toBeUndefined();
});

test('a name that is a text and a structure does not fail', () => {
  expect(() => decodeQuery('A=1&A.1=2&A=3&.=4&=5')).not.toThrow();
});
