import { expect, test } from 'vitest';
import { readFlags } from '../src/flags.ts';

const flags = { timeout: { type: 'string' }, cancel: { type: 'boolean' }, json: { type: 'boolean' } } as const;
const read = (argv: readonly string[], words?: string) =>
  readFlags(argv, { command: 'drain', flags, ...(words === undefined ? {} : { words }) });

test('flags and words are read wherever they stand, and what follows -- is a word', () => {
  expect(read(['a', '--timeout=5', '--json', '--', '--cancel'], 'NAME')).toEqual({
    values: { timeout: '5', json: true },
    words: ['a', '--cancel'],
  });
  expect(read(['--timeout', '5']).values.timeout).toBe('5');
  expect(read(['--timeout=-5']).values.timeout).toBe('-5');
});

test.each([
  [['--tiemout', '5'], 'drain has no option --tiemout, but --timeout. See docker-volume-ebs drain --help.'],
  [['--nothing-like-it'], 'drain has no option --nothing-like-it. See docker-volume-ebs drain --help.'],
  [['--constructor'], 'drain has no option --constructor. See docker-volume-ebs drain --help.'],
  [['-x'], 'drain has no option -x. See docker-volume-ebs drain --help.'],
  [['--timeout'], '--timeout needs a value. See docker-volume-ebs drain --help.'],
  [['--timeout', '--json'], '--timeout needs a value; one that begins with a dash is given as --timeout=--json. See'],
  [['--cancel=yes'], '--cancel takes no value. See docker-volume-ebs drain --help.'],
  [['a'], 'drain takes no argument "a". See docker-volume-ebs drain --help.'],
])('%j is refused in our own words', (argv, message) => {
  expect(() => read(argv)).toThrow(message);
});
