import { join } from 'node:path';
import { type Account, usualAccount } from './account.ts';
import { newInstance, nextZone } from './actions/run-instances.ts';
import { CallLog, type CallRecord } from './calls.ts';
import { lockDirectory, prepareDirectory } from './directory.ts';
import { serveDockerSocket } from './docker-socket.ts';
import { Ec2Server } from './ec2-server.ts';
import { Exclusive } from './exclusive.ts';
import { Faults } from './faults.ts';
import { answerFaults } from './faults-api.ts';
import { listenOnLoopback } from './http.ts';
import { Iam, type IamPolicy } from './iam.ts';
import type { IamRequest } from './iam-requests.ts';
import { instanceTypes } from './instance-types.ts';
import { adopt, clearLeftovers } from './leftovers.ts';
import { Machines } from './machines.ts';
import { type CloudState, newId } from './model.ts';
import { type Moment, Moments } from './moments.ts';
import { ownDaemon } from './node-daemon.ts';
import { bootNow } from './power.ts';
import { settle } from './recovery.ts';
import { Store } from './store.ts';
import { Tasks } from './tasks.ts';
import { type FixedTimes, type TimingName, timingOf } from './timing.ts';
import { VolumeFiles } from './volume-files.ts';
import { type Watcher, Watchers } from './watchers.ts';
import type { World } from './world.ts';

export const region = 'us-east-1';
const acceptTimeoutMs = 30_000;
const stopGraceMs = 10_000;

export interface SandboxOptions {
  /** Where everything is kept; a sandbox started there again goes on where the last one ended. */
  readonly dir: string;
  /** Instances to have running, 0 to 20. */
  readonly nodes: number;
  /** Availability zones, 1 to 6; instances go round them. */
  readonly zones: number;
  readonly timing: TimingName;
  /** Steps that take this long instead. */
  readonly times?: FixedTimes;
  /** What the times are drawn from: numbers from 0 up to, not including, 1; Math.random without. */
  readonly random?: () => number;
  /** Settings (DVE_*) for every node's daemon besides its paths. */
  readonly nodeEnv?: Readonly<Record<string, string>>;
  /** A second path at which the first node's daemon answers, for dockerd to find. */
  readonly dockerSocket?: string | undefined;
  /** The instances it starts with can be hibernated. */
  readonly hibernation?: boolean;
  /** Tags of the instances it starts with, besides the cluster's own. */
  readonly nodeTags?: Readonly<Record<string, string>>;
  /** Volumes each instance type may have attached. */
  readonly attachmentLimits?: Readonly<Record<string, number>>;
  /** What is so for the whole account; {@link usualAccount} where nothing is said. */
  readonly account?: Partial<Account>;
  /** What the role of the instances may do; everything without. Other credentials always may. */
  readonly policy?: IamPolicy;
  /** The daemon to run on every node instead of the project's own. */
  readonly daemonCommand?: readonly string[];
  readonly log?: (line: string) => void;
}

export interface SandboxNode {
  readonly instanceId: string;
  readonly availabilityZone: string;
  /** The daemon's socket, its DVE_ROOT, its log and its process id; 0 when it has none. */
  readonly socket: string;
  readonly root: string;
  readonly log: string;
  readonly pid: number;
}

export interface Sandbox {
  /** For AWS_ENDPOINT_URL_EC2. Any credentials will do. */
  readonly endpoint: string;
  readonly region: string;
  /** The fault switchboard. */
  readonly faults: string;
  /** The running instances, oldest first. */
  nodes(): SandboxNode[];
  /** EC2 calls by action, refused ones too, since the start or the last reset. */
  calls(): Record<string, number>;
  /** The same calls one by one, in order. */
  callList(): readonly CallRecord[];
  resetCalls(): void;
  /** What the role's policy was asked for each call, in order; nothing without one, or for dry runs. */
  iamRequests(): readonly (readonly IamRequest[])[];
  /** When what was asked of EC2 had happened, since the start. */
  moments(): readonly Moment[];
  /** A copy of what EC2 knows now. */
  state(): CloudState;
  /** The fault switchboard, for this process. */
  readonly switchboard: Pick<Faults, 'add' | 'list' | 'clear'>;
  /** Tells of what happens from now on. Gives what ends it. */
  watch(watcher: Watcher): () => void;
  /** Starts the daemon of a running instance whose daemon has ended, and waits until it accepts. */
  startDaemon(instanceId: string): Promise<SandboxNode>;
  /** Stops every process of an instance where it is (SIGSTOP), as a machine that hangs; EC2 says "running". */
  suspend(instanceId: string): Promise<void>;
  /** Lets a suspended instance go on. */
  resume(instanceId: string): Promise<void>;
  /** The file that holds a volume's content now; undefined when there is no such volume. */
  volumeFile(volumeId: string): string | undefined;
  /** Ends daemons, mounts, loop devices and servers; the state stays in the directory. */
  close(): Promise<void>;
}

/**
 * Starts an EC2, and instances with running daemons, on this machine.
 * @throws Error saying what to do: no root, a directory that will not do or is in use, a daemon that does not start
 */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const cleanups: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    const failures: unknown[] = [];
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup().catch((error) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  };
  try {
    return await open(options, cleanups, close);
  } catch (error) {
    await close().catch(() => {});
    throw error;
  }
}

async function open(
  options: SandboxOptions,
  cleanups: (() => Promise<void>)[],
  close: () => Promise<void>,
): Promise<Sandbox> {
  const log = options.log ?? (() => {});
  const dir = await prepareDirectory(options.dir);
  cleanups.push(await lockDirectory(dir));
  const files = new VolumeFiles(dir);
  await files.prepare();
  const watchers = new Watchers();
  const store = new Store(join(dir, 'state.json'), (before, after) => watchers.changed(before, after));
  await clearLeftovers(dir, store, files);

  const calls = new CallLog((call) => watchers.called(call));
  const faults = new Faults();
  let ec2: Ec2Server | undefined;
  const server = await listenOnLoopback((request, response) => {
    const answer = request.url?.startsWith('/faults')
      ? answerFaults(request, response, { faults, calls })
      : ec2?.answer(request, response);
    answer?.catch(() => response.destroy());
  });
  cleanups.push(() => server.close());

  const machines = new Machines({
    dir,
    reach: join(dir, 'reach'),
    region,
    endpoint: server.url,
    daemonCommand: options.daemonCommand ?? ownDaemon(),
    nodeEnv: options.nodeEnv ?? {},
    files,
    faults,
    adopt: (volume, file) => adopt(store, volume, file),
  });
  const tasks = new Tasks(log);
  const world: World = {
    region,
    zones: [...'abcdef'].slice(0, options.zones).map((letter) => `${region}${letter}`),
    account: { ...usualAccount, ...options.account },
    instanceTypes: instanceTypes(options.attachmentLimits),
    store,
    files,
    machines,
    timing: timingOf(options.timing, options.times, options.random),
    tasks,
    moments: new Moments(),
    faults,
    iam: new Iam(options.policy, region),
    order: new Exclusive(),
  };
  ec2 = new Ec2Server(world, calls, log);
  cleanups.push(() => shutDown(world));
  await boot(world, options);

  const sandbox = describeSandbox(world, calls, watchers, { endpoint: server.url, close });
  if (options.dockerSocket !== undefined) {
    cleanups.push(await serveDockerSocket(options.dockerSocket, () => sandbox.nodes()[0]?.socket));
  }
  return sandbox;
}

/** Boots what ran before, adds instances until enough run, and waits until every daemon accepts. */
async function boot(world: World, options: SandboxOptions): Promise<void> {
  const { store, files, machines, order } = world;
  const unmade = settle(store.state);
  store.save();
  for (const volume of unmade) await files.create(volume.file, volume.sizeGib, volume.snapshotId);
  // What was being modified when the sandbox ended has its new size since.
  for (const { file, sizeGib, modifications } of store.state.volumes)
    if (modifications.length > 0) await files.grow(file, sizeGib);
  await files.removeStrays(new Set(store.state.volumes.map(({ file }) => file)));
  const running = store.state.instances.filter(({ state }) => state === 'running');
  // As an installation does it: an instance that may be stopped for a volume's sake carries its cluster's tag.
  const tags = { 'docker-volume-ebs:cluster': options.nodeEnv?.['DVE_CLUSTER'] ?? 'default', ...options.nodeTags };
  const hibernation = options.hibernation ?? false;
  const fixed = { type: 'm5.large', hibernation, stopProtected: false, terminationProtected: false };
  while (running.length < options.nodes) {
    running.push(newInstance(world, { ...fixed, tags, zone: nextZone(world), reservationId: newId('r') }));
  }
  for (const instance of running) await order.run(instance.id, () => bootNow(world, instance));
  await Promise.all(running.map((instance) => machines.of(instance).accepting(acceptTimeoutMs)));
}

/** Ends background work, then every machine, in good order where it runs. */
async function shutDown({ tasks, machines, store }: World): Promise<void> {
  await tasks.close();
  const hibernated = new Set(store.state.instances.filter(({ state }) => state !== 'running').map(({ id }) => id));
  await Promise.all(
    machines.entries().map(async ([id, machine]) => {
      if (hibernated.has(id)) return machine.cutPower();
      await machine.thaw();
      await machine.shutDown(stopGraceMs);
    }),
  );
}

function describeSandbox(
  world: World,
  calls: CallLog,
  watchers: Watchers,
  { endpoint, close }: Pick<Sandbox, 'endpoint' | 'close'>,
): Sandbox {
  const nodes = (): SandboxNode[] =>
    world.store.state.instances.flatMap(({ id, zone, state }) => {
      const machine = world.machines.find(id);
      if (state !== 'running' || machine === undefined) return [];
      const { socket, root, log } = machine.layout;
      return [{ instanceId: id, availabilityZone: zone, socket, root, log, pid: machine.pid }];
    });
  return {
    endpoint,
    region,
    faults: `${endpoint}/faults`,
    nodes,
    calls: () => calls.counts(),
    callList: () => calls.list(),
    resetCalls: () => calls.reset(),
    iamRequests: () => world.iam.asked,
    moments: () => world.moments.list(),
    state: () => structuredClone(world.store.state),
    switchboard: world.faults,
    watch: (watcher) => watchers.add(watcher),
    startDaemon: async (instanceId) => {
      await world.order.run(instanceId, async () => world.machines.find(instanceId)?.startDaemon());
      await world.machines.find(instanceId)?.accepting(acceptTimeoutMs);
      const node = nodes().find((each) => each.instanceId === instanceId);
      if (node === undefined) throw new Error(`${instanceId} is not running`);
      return node;
    },
    suspend: (instanceId) => world.order.run(instanceId, async () => world.machines.find(instanceId)?.freeze()),
    resume: (instanceId) => world.order.run(instanceId, async () => world.machines.find(instanceId)?.thaw()),
    volumeFile: (volumeId) => {
      const volume = world.store.state.volumes.find(({ id }) => id === volumeId);
      return volume && world.files.path(volume.file);
    },
    close,
  };
}
