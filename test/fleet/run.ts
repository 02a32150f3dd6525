/** `npm run fleet`: every storm, as a table; `npm run fleet -- WORD` plays those whose names have it, --seed another chance. */
import { parseArgs } from 'node:util';
import { play } from './storm.ts';
import { storms } from './storms.ts';

const { values, positionals } = parseArgs({
  options: { seed: { type: 'string', default: '1' } },
  allowPositionals: true,
});
const [word = ''] = positionals;
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const percent = (part: number, whole: number) => `${((100 * part) / whole).toFixed(1)} %`;

say('| storm | took | × the bound | calls | refused | by action: sent (refused) | mounts asked for again |');
say('| --- | --- | --- | --- | --- | --- | --- |');
for (const storm of storms.filter(({ name }) => name.includes(word))) {
  const { tookMs, boundMs, sent, refused, byAction, failed } = await play(storm, Number(values.seed));
  const actions = [...byAction].map(
    ([action, count]) => `${action} ${count.sent} (${percent(count.refused, count.sent)})`,
  );
  const factor = boundMs === 0 ? '–' : (tookMs / boundMs).toFixed(2);
  const took = `${(tookMs / 1000).toFixed(1)} s`;
  say(
    `| ${storm.name} | ${took} | ${factor} | ${sent} | ${percent(refused, sent)} | ${actions.join(', ')} | ${failed} |`,
  );
}
