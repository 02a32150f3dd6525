import {
  EC2Client,
  StopInstancesCommand,
  TerminateInstancesCommand,
  waitUntilInstanceStopped,
} from '@aws-sdk/client-ec2';
import { fenceTimings } from '../../src/fencing/timings.ts';
import type { SandboxNode } from '../../src/sandbox/sandbox.ts';
import type { Bed } from '../bed.ts';
import type { Lab } from '../lab.ts';
import { type Limits, type Row, rowOf } from '../row.ts';
import type { Sample } from '../sample.ts';
import { seedName } from '../seed.ts';
import { type Case, rounds } from './case.ts';

const runs = 3;
/** As on EC2: of an owner that ended more than a minute ago nothing is waited for. */
const settled = { DVE_FENCE_SETTLE: '60' };
const lingerMs = 2000;
/** Between looks at an owner that stops. */
const lookSeconds = 0.1;

/** EC2's clock, as it tells an instance's health, is this much ahead: then what has just begun is no suspicion too young. */
const healthAheadMs = 610_000;

export const takeover: Case = {
  name: 'takeover',
  summary: 'mount what another node has: terminated, stopped, cleanly left, suspect, or just letting go',
  async run(lab) {
    const { recheckMs, visibleMs } = fenceTimings;
    return [
      await moved(lab, {
        id: 'takeover-terminated',
        operation: 'takeover, owner terminated',
        limits: { calls: 6, overhead: 500 },
        nodeEnv: settled,
        end: terminate,
      }),
      await moved(lab, {
        id: 'takeover-stopped',
        operation: 'takeover, owner stopped',
        limits: { calls: 12, overhead: 500 },
        nodeEnv: settled,
        end: stopLongAgo,
        waitMs: recheckMs,
        note: `waits ${recheckMs / 1000} s by design before a second look at the owner`,
      }),
      await moved(lab, {
        id: 'takeover-clean',
        operation: 'takeover, left cleanly by a daemon that died before the detach',
        end: leave,
      }),
      await moved(lab, {
        id: 'takeover-stonith',
        operation: "takeover, owner's checks fail (stonith)",
        nodeEnv: { DVE_FENCE_POLICY: 'stonith' },
        end: impair,
        waitMs: visibleMs + recheckMs,
        apart: stopTime,
        note: `waits ${visibleMs / 1000} s by design after announcing it and ${recheckMs / 1000} s before a second look at the stopped owner; they are not counted as overhead, nor is EC2's time for the stop`,
      }),
      await planned(lab),
    ];
  },
};

interface Move {
  readonly id: string;
  readonly operation: string;
  readonly limits?: Limits;
  readonly nodeEnv?: Readonly<Record<string, string>>;
  /** What becomes of the owner. */
  readonly end: (bed: Bed, owner: SandboxNode, volume: string) => Promise<void>;
  /** Waits by design. */
  readonly waitMs?: number;
  /** What else is not ours to cut: watches the run that begins now, and gives it in milliseconds. */
  readonly apart?: (bed: Bed, owner: SandboxNode) => Promise<number>;
  readonly note?: string;
}

/** Mounts on one node what a second one has mounted, after that one's end. */
async function moved(lab: Lab, { id, operation, limits = {}, end, waitMs = 0, ...move }: Move): Promise<Row> {
  const apart = new Map<Sample, number>();
  for (let run = 0; run < runs; run += 1) {
    const bed = await lab.bed({ nodes: 2, seed: { count: 1, formatted: true }, nodeEnv: move.nodeEnv ?? {} });
    const [taker, owner] = [bed.node(0), bed.node(1)];
    await bed.mount(owner, seedName(0));
    await bed.until('EC2 to say attached', () => bed.sandbox.moments().some(({ what }) => what === 'attached'));
    await end(bed, owner, seedName(0));
    const [sample, more = 0] = await Promise.all([
      bed.measure(() => bed.mount(taker, seedName(0))),
      move.apart?.(bed, owner),
    ]);
    apart.set(sample, waitMs + more);
    await lab.clear();
  }
  const samples = [...apart.keys()];
  return rowOf({ id, operation, samples, limits, apart: (sample) => apart.get(sample) ?? 0, note: move.note });
}

async function terminate(bed: Bed, { instanceId }: SandboxNode): Promise<void> {
  await longAgo(bed, instanceId);
  await clientOf(bed).send(new TerminateInstancesCommand({ InstanceIds: [instanceId] }));
  await bed.until('the owner to be terminated', () => bed.sandbox.moments().some(({ what }) => what === 'detached'));
}

async function stopLongAgo(bed: Bed, { instanceId }: SandboxNode): Promise<void> {
  await longAgo(bed, instanceId);
  await clientOf(bed).send(new StopInstancesCommand({ InstanceIds: [instanceId] }));
  await stopped(bed, instanceId);
  await bed.quiet();
}

/** The instance's next stop or termination was asked for an hour ago, EC2 says. */
const longAgo = (bed: Bed, instance: string): Promise<void> =>
  setFault(bed, {
    kind: 'stop-reason',
    instance,
    code: 'Client.UserInitiatedShutdown',
    at: new Date(Date.now() - 3_600_000).toISOString(),
    times: 1,
  });

/** Waits until EC2 says so: that its daemon has ended is not enough. */
async function stopped(bed: Bed, instanceId: string): Promise<void> {
  await bed.until('the owner to end', () => !bed.sandbox.nodes().some((node) => node.instanceId === instanceId));
  await waitUntilInstanceStopped(
    { client: clientOf(bed), minDelay: lookSeconds, maxDelay: lookSeconds, maxWaitTime: 60 },
    { InstanceIds: [instanceId] },
  );
}

/** Its checks fail, from outside and from inside, and it runs on. */
async function impair(bed: Bed, { instanceId }: SandboxNode): Promise<void> {
  const fault = { kind: 'health', instance: instanceId, system: 'impaired', guest: 'impaired', ms: healthAheadMs };
  await setFault(bed, fault);
  await bed.quiet();
}

/** From the call that stops the owner until it is stopped. */
async function stopTime(bed: Bed, { instanceId }: SandboxNode): Promise<number> {
  await stopped(bed, instanceId);
  // The one that was not only asked for by DryRun.
  const told = bed.sandbox.callList().find(({ action, result }) => action === 'StopInstances' && result === 'OK');
  return told === undefined ? 0 : Date.now() - Date.parse(told.time);
}

/** The clean tag is written and the detach refused: then the daemon dies. */
async function leave(bed: Bed, owner: SandboxNode, volume: string): Promise<void> {
  const fault = { kind: 'deny', action: 'DetachVolume', caller: owner.instanceId };
  await setFault(bed, fault);
  await bed.unmount(owner, volume);
  const refused = () => bed.sandbox.callList().some(({ action }) => action === 'DetachVolume');
  await bed.until('the owner to begin its detach', refused);
  process.kill(owner.pid, 'SIGKILL');
  await bed.quiet();
}

async function setFault({ sandbox }: Bed, fault: object): Promise<void> {
  const { ok, status } = await fetch(sandbox.faults, { method: 'POST', body: JSON.stringify(fault) });
  if (!ok) throw new Error(`the sandbox takes no such fault: ${status}`);
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
