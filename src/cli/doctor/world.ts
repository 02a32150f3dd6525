import type { Settings } from '../../config.ts';
import { type Inspection, openInspection } from '../../ebs/inspect.ts';
import { openMesos } from '../../fencing/mesos.ts';
import { openSwarm } from '../../fencing/swarm.ts';
import type { Scheduler } from '../../fencing/types.ts';
import { readIdentity } from '../../host/identity.ts';
import { openImds } from '../../host/imds.ts';
import type { NodeStatus } from '../../volumes/types.ts';
import { callDriver } from '../dvdi-client.ts';
import { askHealth } from '../health/health.ts';
import type { Variables } from '../node-variables.ts';
import type { Facts, SchedulerFact } from './facts.ts';
import { openMachine } from './machine.ts';

interface WorldOptions {
  readonly settings: Settings;
  readonly variables: Variables;
  readonly env: NodeJS.ProcessEnv;
  /** Ends all calls of EC2. */
  readonly deadline: AbortSignal;
  /** Called when EC2 refuses a call for its rate. */
  readonly onThrottled: () => void;
}

/** The facts of this very machine and of EC2. */
export function openWorld({ settings, variables, env, deadline, onThrottled }: WorldOptions): Facts {
  const log = { debug: () => undefined, info: onThrottled };
  const asked = { signal: deadline, lane: 'list' } as const;
  const identity = once(() => readIdentity(settings, env));
  const imds = openImds(env, 'ask the metadata service');
  // As the daemon: a region of the environment wins, else it is the instance's own.
  const inspection = once(async (): Promise<Inspection> => {
    const own = env['AWS_REGION'] ? undefined : await identity().then((known) => known.region, noRegion);
    return openInspection({ cluster: settings.cluster, region: own, log });
  });
  // Asked about this instance's type alone.
  const limitOf = once(async (type: string) => (await inspection()).ec2.attachmentLimit(type, asked));
  return {
    ...{ settings, variables, identity },
    metadata: (path) => imds.get(path),
    region: once(async () => (await inspection()).region()),
    credentials: once(async () => (await inspection()).credentials()),
    instance: once(async () => (await inspection()).instance((await identity()).instanceId, deadline)),
    volumes: once(async () => (await inspection()).ec2.listVolumes(asked)),
    ec2: {
      denied: async (permission) => (await inspection()).ec2.denied(permission, asked),
      attachmentLimit: (type) => limitOf(type),
      describeInstance: async (id) => (await inspection()).ec2.describeInstance(id, asked),
    },
    clockAheadMs: async () => (await inspection()).clockAheadMs(),
    schedulers: once(() => askSchedulers(settings)),
    daemon: once(() => whereOneListens(() => askHealth(settings.socket, settings.root))),
    mounted: once(async () => {
      const ask = () =>
        callDriver(settings.socket, 'Ebs.Status', {}, deadline) as Promise<unknown> as Promise<NodeStatus>;
      const status = await whereOneListens(ask);
      return (status?.volumes ?? []).filter(({ phase }) => phase === 'mounted');
    }),
    machine: openMachine(settings),
  };
}

const noRegion = () => undefined;

/** The outcome of the first call, for all of them. */
function once<A extends unknown[], T>(find: (...given: A) => Promise<T>): (...given: A) => Promise<T> {
  let found: Promise<T> | undefined;
  return (...given) => {
    found ??= find(...given);
    return found;
  };
}

async function askSchedulers({ mesosMasters, mesosAgent, swarmSocket }: Settings): Promise<SchedulerFact[]> {
  const schedulers: Scheduler[] = [];
  if (mesosMasters.trim() !== '') schedulers.push(openMesos(mesosMasters, mesosAgent));
  if (swarmSocket !== '') schedulers.push(openSwarm(swarmSocket));
  return Promise.all(
    schedulers.map(async ({ source, ownId, testimony }) => {
      const own = await ownId();
      return { source, ownId: own, testimony: await testimony(own ?? 'this node', undefined) };
    }),
  );
}

/** Undefined where no daemon listens. */
async function whereOneListens<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return undefined;
    throw error;
  }
}
