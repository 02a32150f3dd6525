import { readFileSync, writeFileSync } from 'node:fs';
import { settingsMarkdown } from '../src/config.ts';

/** Writes the table of settings into docs/settings.md, between its markers. */
const file = new URL('../docs/settings.md', import.meta.url);
const written = readFileSync(file, 'utf8');
const [before, after] = [written.split('<!-- settings -->')[0], written.split('<!-- /settings -->')[1]];
if (before === undefined || after === undefined) throw new Error('docs/settings.md has lost its markers');
writeFileSync(file, `${before}<!-- settings -->\n${settingsMarkdown()}\n<!-- /settings -->${after}`);
