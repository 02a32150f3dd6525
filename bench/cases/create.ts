import { rowOf } from '../row.ts';
import { type Case, rounds } from './case.ts';

export const create: Case = {
  name: 'create',
  summary: 'make a volume',
  async run(lab) {
    const bed = await lab.bed();
    const node = bed.node();
    const samples = await rounds(5, (round) =>
      bed.measure(() => bed.call(node, 'Create', { Name: `made${round}`, Opts: { size: '1' } })),
    );
    return [rowOf({ id: 'create', operation: 'create', samples, limits: { calls: 3, overhead: 250 } })];
  },
};
