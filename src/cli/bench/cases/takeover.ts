import { EC2Client, StopInstancesCommand, TerminateInstancesCommand } from '@aws-sdk/client-ec2';
import { fenceTimings } from '../../../fencing/timings.ts';
import type { SandboxNode } from '../../../sandbox/sandbox.ts';
import type { Bed } from '../bed.ts';
import type { Lab } from '../lab.ts';
import { type Limits, type Row, rowOf } from '../row.ts';
import type { Sample } from '../sample.ts';
import { seedName } from '../seed.ts';
import { type Case, rounds } from './case.ts';

const runs = 3;
const lingerMs = 2000;

export const takeover: Case = {
  name: 'takeover',
  summary: 'mount what another node has: terminated, stopped, cleanly left, or just letting go',
  async run(lab) {
    return [
      await moved(lab, 'takeover-terminated', 'takeover, owner terminated', { calls: 6, overhead: 500 }, terminate),
      await moved(
        lab,
        'takeover-stopped',
        'takeover, owner stopped',
        { calls: 12, overhead: 500 },
        stop,
        fenceTimings.recheckMs,
      ),
      await moved(lab, 'takeover-clean', 'takeover, left cleanly by a daemon that died before the detach', {}, leave),
      await planned(lab),
    ];
  },
};

/** Mounts on one node what a second one has mounted, after that one's end. */
async function moved(
  lab: Lab,
  id: string,
  operation: string,
  limits: Limits,
  end: (bed: Bed, owner: SandboxNode, volume: string) => Promise<void>,
  waitMs = 0,
): Promise<Row> {
  const samples: Sample[] = [];
  for (let run = 0; run < runs; run += 1) {
    const bed = await lab.bed({ nodes: 2, seed: { count: 1, formatted: true } });
    const [taker, owner] = [bed.node(0), bed.node(1)];
    await bed.mount(owner, seedName(0));
    await bed.until('EC2 to say attached', () => bed.sandbox.moments().some(({ what }) => what === 'attached'));
    await end(bed, owner, seedName(0));
    samples.push(await bed.measure(() => bed.mount(taker, seedName(0))));
    await lab.clear();
  }
  const note = waitMs === 0 ? undefined : `waits ${waitMs / 1000} s by design before a second look at the owner`;
  return rowOf({ id, operation, samples, limits, apart: () => waitMs, note });
}

async function terminate(bed: Bed, { instanceId }: SandboxNode): Promise<void> {
  await clientOf(bed).send(new TerminateInstancesCommand({ InstanceIds: [instanceId] }));
  await bed.until('the owner to be terminated', () => bed.sandbox.moments().some(({ what }) => what === 'detached'));
}

async function stop(bed: Bed, { instanceId }: SandboxNode): Promise<void> {
  await clientOf(bed).send(new StopInstancesCommand({ InstanceIds: [instanceId] }));
  const runs = () => bed.sandbox.nodes().some((node) => node.instanceId === instanceId);
  await bed.until('the owner to be stopped', () => !runs());
  await bed.quiet();
}

/** The clean tag is written and the detach refused: then the daemon dies. */
async function leave(bed: Bed, owner: SandboxNode, volume: string): Promise<void> {
  const fault = { kind: 'deny', action: 'DetachVolume', caller: owner.instanceId };
  await fetch(bed.sandbox.faults, { method: 'POST', body: JSON.stringify(fault) });
  await bed.unmount(owner, volume);
  const refused = () => bed.sandbox.callList().some(({ action }) => action === 'DetachVolume');
  await bed.until('the owner to begin its detach', refused);
  process.kill(owner.pid, 'SIGKILL');
  await bed.quiet();
}

/** A container moves: its owner lets go at the same moment. */
async function planned(lab: Lab): Promise<Row> {
  const bed = await lab.bed({ nodes: 2, seed: { count: 1, formatted: true } });
  const name = seedName(0);
  await bed.mount(bed.node(1), name);
  const samples = await rounds(runs, async (round) => {
    const [to, from] = [bed.node(round % 2), bed.node((round + 1) % 2)];
    return bed.measure(async () => {
      await bed.unmount(from, name);
      await bed.mount(to, name);
    });
  });
  return rowOf({
    id: 'move',
    operation: 'move: unmount on one node, mount on another at once',
    samples,
    apart: () => lingerMs,
    note: `the owner keeps the disk for the linger (${lingerMs / 1000} s), which is not counted as overhead`,
  });
}

const clientOf = ({ sandbox }: Bed): EC2Client =>
  new EC2Client({
    endpoint: sandbox.endpoint,
    region: sandbox.region,
    credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' },
  });
