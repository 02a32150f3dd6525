/** `npm run docs` writes docs/benchmarks.md and its charts by this, from what `npm run bench -- --json` measured last. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { page } from '../bench/page.ts';
import { chartPictures } from './pictures/charts.ts';

const docs = join(import.meta.dirname, '../docs');
const report = JSON.parse(await readFile(join(docs, 'benchmarks.json'), 'utf8'));
await writeFile(join(docs, 'benchmarks.md'), page(report, report.rows));
for (const [name, picture] of Object.entries(chartPictures(report.rows))) {
  await writeFile(join(docs, 'pictures', name), picture);
}
