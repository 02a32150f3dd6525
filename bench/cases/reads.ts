import type { Bed } from '../bed.ts';
import { type Row, rowOf } from '../row.ts';
import { seedName } from '../seed.ts';
import { type Case, rounds } from './case.ts';

export const reads: Case = {
  name: 'reads',
  summary: 'get and path',
  async run(lab) {
    const bed = await lab.bed({ seed: { count: 21, formatted: true } });
    const node = bed.node();
    const held = seedName(20);
    await bed.mount(node, held);
    const verb = (name: string) => (volume: string) => bed.call(node, name, { Name: volume });
    return [
      await heldRow(bed, 'get-held', 'get of a held volume', () => verb('Get')(held)),
      await heldRow(bed, 'path-held', 'path of a held volume', () => verb('Path')(held)),
      await remoteRow(bed, 'get', 'get of another volume', (round) => verb('Get')(seedName(round))),
      await remoteRow(bed, 'path', 'path of another volume', (round) => verb('Path')(seedName(10 + round))),
    ];
  },
};

async function heldRow(bed: Bed, id: string, operation: string, work: () => Promise<unknown>): Promise<Row> {
  const samples = await rounds(200, () => bed.measure(work));
  return rowOf({ id, operation, samples, limits: { calls: 0, wall: 10 } });
}

/** Each time another name: what was asked before may be remembered. */
async function remoteRow(
  bed: Bed,
  id: string,
  operation: string,
  work: (round: number) => Promise<unknown>,
): Promise<Row> {
  const samples = await rounds(10, (round) => bed.measure(() => work(round)));
  return rowOf({ id, operation, samples, limits: { calls: 1 } });
}
