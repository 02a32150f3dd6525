/** `npm run model`: every variant within its large bounds, as a table. `npm run model -- WORD` runs those whose names have it. */
import { resourceUsage } from 'node:process';
import * as commitment from './commitment.ts';
import * as intents from './intents.ts';
import { searchVariant, surprise, type Variant } from './variants.ts';

const [word = ''] = process.argv.slice(2);
const say = (line: string): void => void process.stdout.write(`${line}\n`);
let failures = 0;

function run(variant: Variant): void {
  if (!variant.name.includes(word)) return;
  const began = performance.now();
  const found = searchVariant(variant, variant.large ?? variant.bounds);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const { violation } = found;
  const result =
    violation === undefined ? 'no violation' : `${violation.invariants} after ${violation.trace.length} steps`;
  say(`| ${variant.name} | ${found.states} | ${result} | ${seconds} |`);
  const wrong = surprise(variant, found);
  if (wrong === undefined) return;
  failures += 1;
  say(`NOT AS EXPECTED: ${wrong}`);
}

for (const [title, { safe, weakened }] of Object.entries({
  'commitment rules (production)': commitment,
  'intents and quarantine': intents,
})) {
  say(`\n${title}\n\n| variant | states | result | seconds |\n| --- | --- | --- | --- |`);
  for (const variant of [...safe, ...weakened]) run(variant);
}
say(`\nat most ${Math.round(resourceUsage().maxRSS / 1024)} MB of memory`);
process.exitCode = failures === 0 ? 0 : 1;
