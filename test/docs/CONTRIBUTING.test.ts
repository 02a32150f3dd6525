import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { projectRoot } from './page.ts';

const text = readFileSync(join(projectRoot, 'CONTRIBUTING.md'), 'utf8');
const codeSpans = [...text.matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span);
const isPath = (span: string) => /^[\w.-]*(?:\/[\w.-]+)*(?:\/|\.\w[\w-]*)$/.test(span) || span === '.ci/run';

it('names only files and folders that exist', () => {
  const paths = codeSpans.filter(isPath);
  expect(paths.length).toBeGreaterThan(30);
  expect(paths.filter((path) => !existsSync(join(projectRoot, path)))).toEqual([]);
});

it('runs tests that exist', () => {
  const chosen = codeSpans.flatMap((span) => /npm test -- (\S+)$/.exec(span)?.[1] ?? []);
  expect(chosen.length).toBeGreaterThan(3);
  const files = globSync('test/**/*.test.ts', { cwd: projectRoot });
  expect(chosen.filter((part) => !files.some((file) => file.startsWith(part)))).toEqual([]);
});

it('names variables that a test reads', () => {
  const variables = new Set(codeSpans.flatMap((span) => /^([A-Z]+_[A-Z]+)\b/.exec(span)?.[1] ?? []));
  const tests = globSync('test/**/*.ts', { cwd: projectRoot }).map((file) =>
    readFileSync(join(projectRoot, file), 'utf8'),
  );
  expect([...variables].sort()).toEqual([
    'CRASH_PART',
    'FENCING_ROUNDS',
    'FENCING_SEED',
    'PROPERTY_PATH',
    'PROPERTY_RUNS',
    'PROPERTY_SEED',
    'SNAPSHOT_ROUNDS',
  ]);
  expect([...variables].filter((name) => !tests.some((test) => test.includes(name)))).toEqual([]);
});

it('says how long a file may be, and none is longer', () => {
  expect(text).toContain('Files have at most 300 lines');
  const files = globSync('{src,bench,scripts,test}/**/*.ts', { cwd: projectRoot });
  const lines = (file: string) => readFileSync(join(projectRoot, file), 'utf8').split('\n').length - 1;
  expect(files.filter((file) => lines(file) > 300)).toEqual([]);
});
