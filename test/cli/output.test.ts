import { expect, test } from 'vitest';
import { commands } from '../../src/cli/commands.ts';
import { reflowed } from '../../src/cli/help-text.ts';
import { fitted } from '../../src/cli/output.ts';
import { progressLine } from '../../src/cli/progress.ts';

const longest = (text: string) => Math.max(...text.split('\n').map((line) => line.length));
const words = (text: string) => text.split(/\s+/).filter((word) => word !== '');

test('what is printed fits a terminal, below where its line begins; elsewhere it stays as it is', () => {
  const text = `because        ${'word '.repeat(30).trim()}\n  indented ${'word '.repeat(30).trim()}\nshort\n`;
  expect(fitted(text, undefined)).toBe(text);
  const narrow = fitted(text, 80);
  expect(longest(narrow)).toBeLessThanOrEqual(80);
  expect(words(narrow)).toEqual(words(text));
  expect(narrow.split('\n')[1]).toMatch(/^ {15}word/);
  expect(narrow).toMatch(/\n {2}word.*\nshort\n$/);
  // A command to copy would end at the line's end.
  const command = `  docker-volume-ebs fence confirm ${'a'.repeat(60)} --victim i-1\n`;
  expect(fitted(command, 80)).toBe(command);
});

test.each(Object.keys(commands))('help of %s can be read at 80 and at 60 places, whole', async (name) => {
  const usage = (await commands[name]?.load())?.usage() ?? '';
  for (const width of [80, 60]) {
    const narrow = reflowed(usage, width);
    // A word that is longer than a line stays whole: it is to be copied.
    const tooLong = narrow.split('\n').filter((line) => line.length > width && line.trim().includes(' '));
    expect(tooLong).toEqual([]);
    expect(words(narrow)).toEqual(words(usage));
  }
  expect(longest(reflowed(usage, 80))).toBeLessThanOrEqual(80);
  if (longest(usage) <= 200) expect(reflowed(usage, 200)).toBe(usage);
});

test('a wait has a bar where its share is known', () => {
  expect(progressLine({ what: 'EC2 to detach vol-1' }, 3, 80)).toBe('waiting for EC2 to detach vol-1, for 3 s');
  expect(progressLine({ what: 'a second look', share: 0.5 }, 3, 80)).toBe(
    '[##########----------] 50% waiting for a second look, for 3 s',
  );
  expect(progressLine({ what: 'x'.repeat(200), share: 2 }, 3, 60)).toHaveLength(59);
});
