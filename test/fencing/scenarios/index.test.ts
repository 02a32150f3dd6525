import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { scenarios } from './index.ts';

const project = join(import.meta.dirname, '../../..');
const ending = '.test.ts';
const files = readdirSync(import.meta.dirname).filter((file) => file.endsWith(ending) && !file.startsWith('index'));

/** The numbers that begin a title in a file of this directory: "it('20, 28 nothing of that …". */
function numbersIn(file: string): number[] {
  const text = readFileSync(join(import.meta.dirname, file), 'utf8');
  const titles = text.matchAll(/(?:^\s*|\()['"`](\d+(?:, \d+)*) \S/gm);
  return [...titles].flatMap(([, numbers = '']) => numbers.split(', ').map(Number));
}

it('lists all 63, each with the files here that have a test of its number, and no other', () => {
  const found = files.flatMap((file) =>
    [...new Set(numbersIn(file))].map((number) => `${number} in ${file.slice(0, -ending.length)}`),
  );
  const listed = Object.entries(scenarios).flatMap(([number, { staged }]) =>
    staged.here.map((file) => `${number} in ${file}`),
  );
  expect(found.sort()).toEqual(listed.sort());
  expect(Object.keys(scenarios)).toEqual(Array.from({ length: 63 }, (_, n) => String(n + 1)));
});

it('names other tests as they are called', () => {
  const missing = Object.values(scenarios)
    .flatMap(({ staged: { also } }) => also ?? [])
    .filter(({ file, title }) => !readFileSync(join(project, file), 'utf8').includes(title));
  expect(missing).toEqual([]);
});
