import { readFileSync, writeFileSync } from 'node:fs';
import { rexrayMarkdown } from '../src/cli/serve/rexray-settings.ts';
import { settingsMarkdown } from '../src/config.ts';

/** Writes the tables of settings into their pages, between their markers. */
writeTable('../docs/settings.md', 'settings', settingsMarkdown());
writeTable('../docs/migrating-from-rexray.md', 'rexray', rexrayMarkdown());

function writeTable(page: string, marker: string, table: string): void {
  const file = new URL(page, import.meta.url);
  const written = readFileSync(file, 'utf8');
  const [before, after] = [written.split(`<!-- ${marker} -->`)[0], written.split(`<!-- /${marker} -->`)[1]];
  if (before === undefined || after === undefined) throw new Error(`${page} has lost its markers`);
  writeFileSync(file, `${before}<!-- ${marker} -->\n${table}\n<!-- /${marker} -->${after}`);
}
