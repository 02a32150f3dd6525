import type { Bed } from '../bed.ts';
import type { Lab } from '../lab.ts';
import { type Limits, rowOf } from '../row.ts';
import { seedName } from '../seed.ts';
import { type Case, rounds } from './case.ts';

/** More than EC2 lets most instance types have: the sandbox is told to allow it. */
const attachmentLimits = { 'm5.large': 60 };

export const together: Case = {
  name: 'together',
  summary: '1, 2, 10 and 40 volumes mounted at once on one node',
  async run(lab) {
    const one = { calls: 3, overhead: 250 };
    return [
      await atOnce(lab, 1, 3, one),
      // "No slower than one": held to what one may cost.
      await atOnce(lab, 2, 3, { ...one, calls: 6 }),
      await atOnce(lab, 10, 2, { calls: 30 }),
      await atOnce(lab, 40, 1, { calls: 120 }),
    ];
  },
};

async function atOnce(lab: Lab, count: number, runs: number, limits: Limits) {
  const bed = await lab.bed({ seed: { count, formatted: true }, attachmentLimits });
  const names = Array.from({ length: count }, (_, index) => seedName(index));
  const samples = await rounds(runs, async () => {
    const sample = await bed.measure(() => Promise.all(names.map((name) => bed.mount(bed.node(), name))));
    await release(bed, names);
    return sample;
  });
  await lab.clear();
  const operation = count === 1 ? 'mount of one volume alone' : `mount of ${count} volumes at once`;
  return rowOf({ id: `together-${count}`, operation, samples, limits });
}

async function release(bed: Bed, names: readonly string[]): Promise<void> {
  await Promise.all(names.map((name) => bed.unmount(bed.node(), name)));
  await bed.detached();
}

export const callers: Case = {
  name: 'callers',
  summary: 'ten callers of one volume',
  async run(lab) {
    const bed = await lab.bed({ seed: { count: 1, formatted: true } });
    const ids = Array.from({ length: 10 }, (_, index) => `caller${index}`);
    const name = seedName(0);
    const samples = await rounds(3, async () => {
      const sample = await bed.measure(() => Promise.all(ids.map((id) => bed.mount(bed.node(), name, id))));
      await Promise.all(ids.map((id) => bed.unmount(bed.node(), name, id)));
      await bed.detached();
      return sample;
    });
    const limits = { calls: 3, overhead: 250 };
    return [rowOf({ id: 'callers-10', operation: 'mount of one volume by 10 callers at once', samples, limits })];
  },
};
