import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorsMarkdown } from './errors/page.ts';
import { collectTexts } from './errors/sites.ts';
import { readSources } from './errors/syntax.ts';

/** Writes all that the program can say into docs/errors.md, after its marker. */
const project = join(import.meta.dirname, '..');
const file = join(project, 'docs/errors.md');
const [before] = readFileSync(file, 'utf8').split('<!-- generated -->');
writeFileSync(file, `${before}<!-- generated -->\n\n${errorsMarkdown(collectTexts(readSources(project)))}\n`);
