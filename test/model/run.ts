/** `npm run model`: every variant within its large bounds, as a table. `npm run model -- WORD` runs those whose names have it. */
import { resourceUsage } from 'node:process';
import * as commitment from './commitment.ts';
import * as intents from './intents.ts';
import * as rollback from './rollback.ts';
import * as trash from './trash.ts';
import { searchVariant, surprise, type Variant } from './variants.ts';

const [word = ''] = process.argv.slice(2);
const say = (line: string): void => void process.stdout.write(`${line}\n`);
let failures = 0;

interface Found {
  readonly states: number;
  readonly violation: { readonly invariants: string; readonly trace: readonly string[] } | undefined;
}

function table<V extends { readonly name: string }>(
  title: string,
  variants: readonly V[],
  search: (variant: V) => { readonly found: Found; readonly wrong: string | undefined },
): void {
  say(`\n${title}\n\n| variant | states | result | seconds |\n| --- | --- | --- | --- |`);
  for (const variant of variants.filter(({ name }) => name.includes(word))) {
    const began = performance.now();
    const { found, wrong } = search(variant);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const { violation } = found;
    const result =
      violation === undefined ? 'no violation' : `${violation.invariants} after ${violation.trace.length} steps`;
    say(`| ${variant.name} | ${found.states} | ${result} | ${seconds} |`);
    if (wrong === undefined) continue;
    failures += 1;
    say(`NOT AS EXPECTED: ${wrong}`);
  }
}

const fencing = (variant: Variant) => {
  const found = searchVariant(variant, variant.large ?? variant.bounds);
  return { found, wrong: surprise(variant, found) };
};
table('commitment rules (production)', [...commitment.safe, ...commitment.weakened], fencing);
table('intents and quarantine', [...intents.safe, ...intents.weakened], fencing);
const names = (variant: trash.TrashVariant) => {
  const found = trash.searchTrash(variant);
  return { found, wrong: trash.surpriseOf(variant, found) };
};
table('the trash (production)', [...trash.safe, ...trash.weakened], names);
table('rollback (production)', [...rollback.safe, ...rollback.weakened], names);
say(`\nat most ${Math.round(resourceUsage().maxRSS / 1024)} MB of memory`);
process.exitCode = failures === 0 ? 0 : 1;
