import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Conditions } from '../../bench/conditions.ts';
import { page as benchmarksPage } from '../../bench/page.ts';
import type { Row } from '../../bench/row.ts';
import { chartPictures } from '../../scripts/pictures/charts.ts';
import { wordsIn } from '../../scripts/pictures/svg.ts';
import { blocksOf, projectRoot } from './page.ts';

const pages = ['README.md', 'CONTRIBUTING.md', ...globSync('docs/*.md', { cwd: projectRoot }).sort()];
const textOf = (page: string) => readFileSync(join(projectRoot, page), 'utf8');
const kinds = new Set(['sh', 'text', 'json', 'yaml', 'hcl', 'ini', 'mermaid']);
const testFiles = globSync('test/**/*.test.ts', { cwd: projectRoot }).map(textOf);

describe.each(pages)('%s', (page) => {
  const text = textOf(page);
  const blocks = blocksOf(text);

  it('says of each block what it is', () => {
    expect(blocks.filter(({ kind }) => !kinds.has(kind))).toEqual([]);
  });

  it('has a test that runs its commands and reads its definitions, once', () => {
    const needed = blocks.some(({ kind }) => kind !== 'text') ? 1 : 0;
    expect(testFiles.filter((file) => file.includes(`openPage('${page}')`))).toHaveLength(needed);
  });

  it('links to files and headings that exist', () => {
    const broken = [...proseOf(text).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)]
      .filter(([, file = '', heading]) => !leadsSomewhere(page, file, heading))
      .map(([link]) => link);
    expect(broken).toEqual([]);
  });

  it('names commands and flags that exist', () => {
    const unknown = [...proseOf(text).matchAll(/`((?:docker-volume-ebs|npm run) [^`]+)`/g)]
      .map(([, command = '']) => command)
      .filter((command) => !exists(command));
    expect(unknown).toEqual([]);
  });
});

it('each picture is shown on a page', () => {
  const texts = pages.map(textOf).join('\n');
  const pictures = globSync('docs/pictures/*', { cwd: projectRoot });
  expect(pictures.filter((file) => !texts.includes(`${file.replace('docs/', '')})`))).toEqual([]);
  expect(pictures.length).toBeGreaterThan(0);
});

it('each drawn picture says in words what it shows', () => {
  for (const file of globSync('docs/pictures/*.svg', { cwd: projectRoot })) {
    const picture = textOf(file);
    const [, title = '', description = ''] =
      /^<svg [^>]*role="img"[^>]*>\n<title id="title">([^<]+)<\/title>\n<desc id="description">([^<]+)<\/desc>/.exec(
        picture,
      ) ?? [];
    expect(title.length, file).toBeGreaterThan(10);
    expect(description.length, file).toBeGreaterThan(100);
  }
});

it('the page of the benchmarks and its charts are of the figures in docs/benchmarks.json', () => {
  const report = JSON.parse(textOf('docs/benchmarks.json'));
  expect(textOf('docs/benchmarks.md'), 'npm run docs').toBe(benchmarksPage(report, report.rows));
  for (const [name, picture] of Object.entries(chartPictures(report.rows))) {
    expect(textOf(`docs/pictures/${name}`), 'npm run docs').toBe(picture);
    expect(wordsIn(picture).length).toBeGreaterThan(10);
  }
});

it('shows what the benchmark has measured, whatever that is', () => {
  const report = JSON.parse(textOf('docs/benchmarks.json')) as { rows: Row[] } & Conditions;
  const [one] = report.rows;
  const rows = [{ ...one, id: 'together-400', operation: 'mount of 400 volumes at once' } as Row];
  expect(Object.keys(chartPictures(rows))).toEqual(['bench-together.svg']);
  expect(wordsIn(chartPictures(rows)['bench-together.svg'] ?? '')).toContain('mount of 400 volumes at once');
  const shown = benchmarksPage(report, rows);
  expect(shown).toContain('\n| mount of 400 volumes at once |');
  expect([shown.includes('bench-together.svg'), shown.includes('bench-attach.svg')]).toEqual([true, false]);
});

const proseOf = (text: string) => text.replaceAll(/^ *```[\s\S]*?^ *```/gm, '');

const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };
const helpTexts = new Map<string, string>();

/** What `docker-volume-ebs COMMAND --help` prints. */
function helpOf(command: string): string {
  const asked = command === 'help' || command === 'version' ? [command] : [command, '--help'];
  const known = helpTexts.get(command);
  if (known !== undefined) return known;
  const { stdout } = spawnSync(process.execPath, [join(projectRoot, 'src/cli/main.ts'), ...asked], {
    encoding: 'utf8',
  });
  helpTexts.set(command, stdout);
  return stdout;
}

function exists(command: string): boolean {
  const [program, name = '', ...rest] = command.split(/\s+/);
  if (program === 'npm') return Object.hasOwn(scripts, rest.find((word) => !word.startsWith('-')) ?? '');
  if (/^[A-Z]+$/.test(name)) return true;
  const help = helpOf(name);
  return (
    help !== '' && rest.filter((word) => word.startsWith('--')).every((flag) => help.includes(flag.replace(/=.*/, '')))
  );
}

function leadsSomewhere(page: string, file: string, heading: string | undefined): boolean {
  const target = file === '' ? page : join(page, '..', file);
  if (!existsSync(join(projectRoot, target))) return false;
  if (heading === undefined) return true;
  return textOf(target)
    .split('\n')
    .some((line) => line.startsWith('#') && anchorOf(line.replace(/^#+ /, '')) === heading);
}

/** As GitHub makes them: small letters, punctuation gone, blanks to dashes. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
