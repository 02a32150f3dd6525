import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { volumeRooms } from '../support/rooms.ts';
import { projectRoot } from './page.ts';

const text = readFileSync(join(projectRoot, 'ARCHITECTURE.md'), 'utf8');
const files = globSync('{src,bench,test}/**/*.ts', { cwd: projectRoot });

it('the map names only files that exist', () => {
  const named = [...text.matchAll(/[\w./-]*\b[a-z-]+\.ts\b/g)].map(([path]) => path);
  const missing = named.filter((path) => !files.some((file) => file.endsWith(`/${path}`) || file === path));
  expect(named.length).toBeGreaterThan(40);
  expect(missing).toEqual([]);
});

it('the map shows every room of src, and those of volumes in their order', () => {
  const rooms = new Set(files.flatMap((file) => /^src\/([^/]+)\//.exec(file)?.[1] ?? []));
  expect([...rooms].filter((room) => !text.includes(`${room}/`))).toEqual([]);
  const [, order = ''] = /door\["[^"]*"\] (--> .*)/.exec(text) ?? [];
  expect([...order.matchAll(/--> (\w+)\[/g)].map(([, room]) => room)).toEqual(volumeRooms.slice(1));
});
