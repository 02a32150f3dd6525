/** `npm run soak`: as long as --minutes says (5), by --seed (any number); tells its story on standard error. */
import { parseArgs } from 'node:util';
import { Soak } from './soak.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string', default: String(Date.now() % 100_000) },
  },
});
const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
if (!(minutes > 0 && minutes <= 600) || !Number.isSafeInteger(seed)) {
  process.stderr.write('soak takes --minutes 1 to 600, and --seed with a whole number\n');
  process.exit(2);
}
const figures = await Soak.run({
  seed,
  forMs: minutes * 60_000,
  volumes: 8,
  endings: ['stopped', 'powerCut', 'terminated'],
  tell: (line) => void process.stderr.write(`${line}\n`),
});
process.stdout.write(`${figures.join('\n')}\n`);
