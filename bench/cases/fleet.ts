import { setTimeout as sleep } from 'node:timers/promises';
import { bucketOf } from '../../src/sandbox/throttle.ts';
import type { Bed } from '../bed.ts';
import { rowOf } from '../row.ts';
import { type Sample, throttledOf } from '../sample.ts';
import { seedName } from '../seed.ts';
import type { Case } from './case.ts';

const nodes = 20;
const volumes = 400;
const retryMs = 1000;
/** After this a volume that is not mounted yet counts as lost, and the case ends. */
const giveUpMs = 300_000;

export const fleet: Case = {
  name: 'fleet',
  summary: `${nodes} nodes mount ${volumes} volumes at once against EC2's token buckets`,
  async run(lab) {
    const bed = await lab.bed({ nodes, seed: { count: volumes, formatted: true } });
    const outcome: Outcome = { errors: [], unmounted: 0 };
    const sample = await bed.measure(() => everyMount(bed, outcome));
    if (outcome.unmounted > 0) throw new Error(`${outcome.unmounted} volumes were not mounted in five minutes`);
    return [
      rowOf({
        id: 'fleet',
        operation: `${nodes} nodes mount ${volumes} volumes at once`,
        samples: [{ ...sample, ec2Ms: attachBound(volumes) * 1000 }],
        failures: outcome.errors.length,
        note: fleetNote(sample, outcome.errors),
      }),
    ];
  },
};

interface Outcome {
  /** What mounts were answered instead of a directory. */
  readonly errors: string[];
  unmounted: number;
}

/**
 * Each node mounts its share; a caller that gets an error tries again, as schedulers do. Callers without an id, as those
 * of Mesos: the driver would release what is mounted for a container that never comes.
 */
async function everyMount(bed: Bed, outcome: Outcome): Promise<void> {
  const deadline = performance.now() + giveUpMs;
  const mountOne = async (index: number): Promise<void> => {
    for (;;) {
      try {
        await bed.call(bed.node(index % nodes), 'Mount', { Name: seedName(index) });
        return;
      } catch (error) {
        outcome.errors.push(error instanceof Error ? error.message : String(error));
      }
      if (performance.now() > deadline) break;
      await sleep(retryMs);
    }
    outcome.unmounted += 1;
  };
  await Promise.all(Array.from({ length: volumes }, (_, index) => mountOne(index)));
}

/** The least time in which the account's bucket for AttachVolume lets so many calls through, in seconds. */
export function attachBound(count: number): number {
  const { size, refill } = bucketOf('AttachVolume', {}).bucket;
  return Math.max(0, count - size) / refill;
}

function fleetNote({ calls, wallMs }: Sample, errors: readonly string[]): string {
  const throttled = throttledOf({ calls });
  const byAction = [...Map.groupBy(throttled, ({ action }) => action)].map(
    ([action, group]) => `, of ${calls.filter((call) => call.action === action).length} ${action} ${group.length}`,
  );
  const bound = attachBound(volumes);
  return [
    `${((100 * throttled.length) / calls.length).toFixed(1)} % of the calls throttled${byAction.join('')}`,
    `EC2's own time is what the bucket of AttachVolume alone takes, and the wall time ${(wallMs / 1000 / bound).toFixed(2)} times that`,
    `${errors.length} mounts answered with an error and were asked again${errors[0] === undefined ? '' : `, the first with: ${errors[0].replace(/\.$/, '')}`}`,
  ].join('; ');
}
