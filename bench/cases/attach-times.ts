import type { Moment } from '../../src/sandbox/moments.ts';
import type { Bed } from '../bed.ts';
import { median } from '../figures.ts';
import type { Lab } from '../lab.ts';
import { type Row, rowOf } from '../row.ts';
import { seedName } from '../seed.ts';
import { type Case, rounds } from './case.ts';

export const attachTimes: Case = {
  name: 'attach-times',
  summary: 'from attached to mounted, for attach times of 0.5 to 30 s',
  async run(lab) {
    const rows: Row[] = [];
    const runsOf = { 500: 3, 2000: 3, 5000: 3, 10000: 1, 30000: 1 };
    for (const [attach, runs] of Object.entries(runsOf)) rows.push(await attachTime(lab, Number(attach), runs));
    return rows;
  },
};

async function attachTime(lab: Lab, attach: number, runs: number): Promise<Row> {
  const bed = await lab.bed({ seed: { count: runs, formatted: true }, times: { attach } });
  const measured = await rounds(runs, async (round) => {
    const sample = await bed.measure(() => bed.mount(bed.node(), seedName(round)));
    const answered = Date.now();
    await bed.until('EC2 to say attached', () => nth(bed, 'attached', round) !== undefined);
    return { sample, ...sinceMoments(bed, round, answered) };
  });
  await lab.clear();
  const after = median(measured.map(({ sinceAttached }) => sinceAttached));
  return rowOf({
    id: `attach-${attach / 1000}`,
    operation: `mount when attaching takes ${attach / 1000} s`,
    samples: measured.map(({ sample }) => sample),
    limits: { overhead: 250 },
    note: `mounted ${seconds(median(measured.map(({ sincePlugged }) => sincePlugged)))} s after the disk was there, ${seconds(Math.abs(after))} s ${after < 0 ? 'before' : 'after'} EC2 said "attached"`,
  });
}

const seconds = (ms: number): string => (ms / 1000).toFixed(2);

const nth = (bed: Bed, what: Moment['what'], index: number): Moment | undefined =>
  bed.sandbox.moments().filter((moment) => moment.what === what)[index];

/** From the two moments of the n-th attachment to the answer. */
function sinceMoments(bed: Bed, index: number, answered: number) {
  const since = (what: Moment['what']) => answered - (nth(bed, what, index)?.at ?? Number.NaN);
  return { sincePlugged: since('plugged'), sinceAttached: since('attached') };
}
