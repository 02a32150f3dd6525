import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '../lab.ts';
import { type Row, rowOf } from '../row.ts';
import { type Case, forgottenMs, rounds } from './case.ts';

export const lists: Case = {
  name: 'lists',
  summary: 'list of 1, 100 and 500 volumes',
  async run(lab) {
    return [await listOf(lab, 1), await listOf(lab, 100), await listOf(lab, 500)];
  },
};

async function listOf(lab: Lab, count: number): Promise<Row> {
  const bed = await lab.bed({ seed: { count, formatted: false } });
  const samples = await rounds(5, async () => {
    await sleep(forgottenMs);
    return bed.measure(async () => {
      const { Volumes } = (await bed.call(bed.node(), 'List')) as { Volumes: unknown[] };
      if (Volumes.length !== count) throw new Error(`${Volumes.length} of ${count} volumes were listed`);
    });
  });
  await lab.clear();
  const operation = `list of ${count} volume${count === 1 ? '' : 's'}`;
  return rowOf({ id: `list-${count}`, operation, samples, limits: { calls: 1 } });
}
