import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { meanings } from '../../scripts/errors/codes.ts';
import { cell, errorsMarkdown } from '../../scripts/errors/page.ts';
import { collectTexts, textsIn } from '../../scripts/errors/sites.ts';
import { readSources } from '../../scripts/errors/syntax.ts';
import { fixedParts } from '../../scripts/errors/wording.ts';

const project = resolve(import.meta.dirname, '../..');
const sources = readSources(project);
const texts = collectTexts(sources);
const [, page = ''] = readFileSync(join(project, 'docs/errors.md'), 'utf8').split('<!-- generated -->\n\n');

describe('docs/errors.md', () => {
  it('is as the sources are now (npm run docs)', () => {
    expect(page === `${errorsMarkdown(texts)}\n`).toBe(true);
  });

  it.each(sources)('has every text of $file', ({ nodes }) => {
    const parts = textsIn(nodes).flatMap(({ node }) => fixedParts(node));
    expect(parts.map(cell).filter((part) => part !== '' && !page.includes(part))).toEqual([]);
  });

  it.each(Object.keys(meanings))('has an error %s, which says why and what to do', (code) => {
    const own = texts.errors.filter((error) => error.code.includes(code));
    expect(own).not.toEqual([]);
    for (const { why, todo } of own) expect([why !== '', todo !== '']).toEqual([true, true]);
  });

  it('has each error once, with the words that a helper was given for it', () => {
    const section = (code: string) => page.split(`### ${code}\n`)[1]?.split('\n### ')[0] ?? '';
    expect(section('ATTACHED_ELSEWHERE')).toMatch(/which is running.* \| If .* aws ec2 stop-instances --instance-ids /);
    expect(section('INVALID_NAME')).toContain('| use this name | it is empty | Choose another name');
    expect(section('EC2_THROTTLED')).toContain("‹EC2's own words› | Try again in a moment");
  });
});
