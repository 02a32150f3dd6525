import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bed } from '../bed.ts';
import { cpuRow, memoryRow } from '../row.ts';
import { seedName } from '../seed.ts';
import type { Case } from './case.ts';
import { residentMb } from './daemon.ts';

const volumes = 10;
const cycles = 1000;
const idleMs = 5000;
/** Kernel ticks a second (USER_HZ), in which /proc counts CPU time: 100 on every architecture that Node runs on. */
const ticks = 100;

export const cycles1000: Case = {
  name: 'cycles',
  summary: `memory and CPU of ${cycles} mounts and unmounts`,
  async run(lab) {
    const bed = await lab.bed({ seed: { count: volumes, formatted: true } });
    await cycle(bed, volumes);
    const before = await cpu(bed);
    await cycle(bed, cycles);
    const after = await cpu(bed);
    await sleep(idleMs);
    const resident = await residentMb(bed.node().pid);
    await bed.detached();
    return [
      memoryRow('cycles-memory', `the daemon idle after ${cycles} mounts and unmounts`, [resident], 90),
      cpuRow('cycles-cpu', 'CPU of the daemon for a mount and unmount', (1000 * (after.own - before.own)) / cycles, 30),
      cpuRow('cycles-tools', 'CPU of the tools it starts for them', (1000 * (after.tools - before.tools)) / cycles),
    ];
  },
};

/** Each volume is mounted again before its disk goes: what is measured is the work on this machine. */
async function cycle(bed: Bed, count: number): Promise<void> {
  const node = bed.node();
  await Promise.all(
    Array.from({ length: volumes }, async (_, index) => {
      for (let round = 0; round < count / volumes; round += 1) {
        await bed.mount(node, seedName(index));
        await bed.unmount(node, seedName(index));
      }
    }),
  );
}

/** Seconds of CPU that the daemon, and the children it has waited for, have used up (proc_pid_stat(5)). */
async function cpu(bed: Bed): Promise<{ readonly own: number; readonly tools: number }> {
  const stat = await readFile(`/proc/${bed.node().pid}/stat`, 'utf8');
  const [user = 0, system = 0, childUser = 0, childSystem = 0] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
    .map(Number);
  return { own: (user + system) / ticks, tools: (childUser + childSystem) / ticks };
}
