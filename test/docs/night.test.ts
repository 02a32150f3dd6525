import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { usage } from '../../src/cli/fence/fence.ts';
import { openPage, projectRoot } from './page.ts';

const night = openPage('docs/night.md');
const text = readFileSync(join(projectRoot, 'docs/night.md'), 'utf8');

describe('docs/night.md', () => {
  const tree = night.definition('mermaid', 'flowchart');
  const rows = [...text.matchAll(/^\| (\d+) \| ([^|]+) \|/gm)];

  it('has a row for each end of its tree', () => {
    const ends = [...tree.matchAll(/: (\d+)"\]/g)].map(([, number]) => Number(number));
    expect(ends.toSorted((one, other) => one - other)).toEqual(rows.map(([, number]) => Number(number)));
    expect(rows.length).toBeGreaterThan(8);
  });

  it('quotes texts that the driver says', () => {
    const errors = readFileSync(join(projectRoot, 'docs/errors.md'), 'utf8');
    const quoted = rows.flatMap(([, , seen = '']) => [...seen.matchAll(/\*([^*]+)\*/g)].map(([, quote = '']) => quote));
    const parts = quoted.flatMap((quote) => quote.split(/…|i-|us-east-1a/)).map((part) => part.trim());
    expect(parts.filter((part) => part.length > 8 && !errors.includes(part))).toEqual([]);
  });

  it('has commands that take what it gives them', () => {
    const first = night.take('docker-volume-ebs status');
    expect(first).toContain('docker-volume-ebs fence explain VOLUME');
    expect(night.take('docker-volume-ebs fence pause')).toContain(' --reason "');
    expect(usage()).toMatch(/fence explain VOLUME[\s\S]*fence pause --reason TEXT/);
  });
});

describe('docs/README.md', () => {
  it('leads to every page', () => {
    const index = readFileSync(join(projectRoot, 'docs/README.md'), 'utf8');
    const pages = globSync('docs/*.md', { cwd: projectRoot }).map((page) => page.replace('docs/', ''));
    expect(pages.filter((page) => page !== 'README.md' && !index.includes(`](${page})`))).toEqual([]);
  });
});
