import { type Bed, inParallel } from '../bed.ts';
import { percentile } from '../figures.ts';
import { type Limits, type Row, rowOf } from '../row.ts';
import { seedName } from '../seed.ts';
import type { Case } from './case.ts';

const requests = 1000;
/** Requests in hand at a time. */
const width = 100;
const names = 50;

export const storm: Case = {
  name: 'storm',
  summary: '1,000 gets',
  async run(lab) {
    const bed = await lab.bed({ seed: { count: names + 1, formatted: true } });
    const held = seedName(names);
    await bed.mount(bed.node(), held);
    return [
      await getStorm(bed, 'storm-held', 'get of a held volume', () => held, { calls: 0 }),
      await getStorm(bed, 'storm', `gets of ${names} other volumes`, (index) => seedName(index % names), {}),
    ];
  },
};

async function getStorm(
  bed: Bed,
  id: string,
  what: string,
  nameOf: (index: number) => string,
  limits: Limits,
): Promise<Row> {
  const latencies: number[] = [];
  let failures = 0;
  const get = async (index: number) => {
    const start = performance.now();
    await bed.call(bed.node(), 'Get', { Name: nameOf(index) }).catch(() => {
      failures += 1;
    });
    latencies.push(performance.now() - start);
  };
  const sample = await bed.measure(() => inParallel(requests, width, get));
  const slowest = [0.5, 0.99].map((share) => `${Math.round(percentile(latencies, share))} ms`);
  return rowOf({
    id,
    operation: `${requests} × ${what}, ${width} at a time`,
    samples: [sample],
    limits,
    failures,
    note: `median answer ${slowest[0]}, 99th percentile ${slowest[1]}; ${failures} failed`,
  });
}
