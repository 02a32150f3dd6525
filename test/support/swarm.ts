/**
 * Docker Swarms of several machines on this one. A machine is a dockerd as the first process of namespaces of its own:
 *
 * - PID: with the first process everything in it dies at once, containers too, as without power.
 * - Mount, a slave of ours: what the driver mounts below its root appears here too, provided that this root was a shared
 *   mount before the machine started; what Docker mounts stays inside. Docker's directories are the machine's own, so
 *   that each dockerd finds its own plugin.
 * - Network: a cable (veth) to a switch (a bridge), which is a namespace too, so that nothing of it outlives its
 *   processes. They are entered with nsenter: `ip netns exec` mounts /sys anew, which hides the control groups.
 * - UTS: its host name.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { signalAll } from '../../src/sandbox/processes.ts';
import type { SandboxNode } from '../../src/sandbox/sandbox.ts';
import {
  type Engine,
  engineArguments,
  engineIn,
  importBusybox,
  ownDirectories,
  pluginAt,
  untilAnswers,
} from './dockerd.ts';
import { relayInto } from './relay.ts';
import { run } from './run.ts';
import { eventually } from './sandbox.ts';

/** A machine with an engine. */
export interface Host extends Engine {
  /** Its host name, by which Swarm lists it; a worker's is its instance's id. */
  readonly name: string;
  /** For DOCKER_HOST. */
  readonly host: string;
}

/** A machine whose engine is a node of the Swarm. */
export interface Member extends Host {
  /** Starts it again after its power was cut, its data kept, and waits until Swarm calls it ready. */
  boot(): Promise<void>;
  /** Cuts its power, without a word to EC2. */
  powerOff(): Promise<void>;
  /** Pulls its network cable, or plugs it in. */
  cable(to: 'up' | 'down'): Promise<void>;
}

export interface Swarm {
  /** On no instance. It runs no tasks, and calls a member down that is silent for six seconds. */
  readonly manager: Host;
  /** One on each instance: when EC2 cuts that one's power, its engine and containers die with the driver. */
  readonly workers: readonly Member[];
  /**
   * Arguments of `docker service create`. Without them a power cut stops the disk before it stops the service, which an
   * fsync just then may tell of success: where the power fails, nobody hears that.
   */
  readonly serviceArguments: readonly string[];
  /** What Swarm calls a member: "ready", "down". */
  stateOf(name: string): Promise<string>;
  /** Ends everything, whatever still runs. */
  close(): Promise<void>;
}

export interface SwarmOptions {
  /** Whether an engine finds its instance's daemon as its volume plugin "ebs", or none [true]. */
  readonly drivers?: boolean;
  /** Ports of this machine's loopback that answer on the loopback of every machine too. */
  readonly ports?: readonly number[];
  /** What is done on the machines before they join: Swarm learns only some time later of a plugin that comes afterwards. */
  readonly beforeJoin?: (manager: Host, workers: readonly Host[]) => Promise<void>;
}

/** A manager, and a worker on each of these running nodes of a sandbox, all with an image "busybox". */
export async function startSwarm(nodes: readonly SandboxNode[], options: SwarmOptions = {}): Promise<Swarm> {
  const dir = await mkdtemp(join(tmpdir(), 'dve-swarm-'));
  const lan = { network: await startSwitch(), ports: options.ports ?? [] };
  const manager = newMachine(dir, lan, 1);
  const workers = nodes.map((node, index) => newMachine(dir, lan, index + 2, node, options.drivers));
  const machines = [manager, ...workers];
  const close = async () => {
    const ends = await Promise.allSettled(machines.map((machine) => machine.end()));
    await lan.network.end();
    await removeControlGroups(basename(dir));
    await rm(dir, { recursive: true, force: true });
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  };
  try {
    await Promise.all(machines.map((machine) => machine.boot().then(() => importBusybox(machine.dir, machine))));
    await options.beforeJoin?.(manager, workers);
    await joinAll(manager, workers);
  } catch (error) {
    await close().catch(() => {});
    throw error;
  }
  const stateOf = (name: string) => manager.ok('node', 'inspect', '-f', '{{.Status.State}}', name);
  const memberOf = (machine: Machine): Member => ({
    ...machine,
    powerOff: () => machine.end(),
    async boot() {
      await machine.boot();
      await eventually(async () => (await stateOf(machine.name)) === 'ready');
    },
  });
  const serviceArguments = [
    '--network',
    'host',
    '--no-resolve-image',
    '--env',
    `${rootVariable}=${rootTemplate(nodes)}`,
  ];
  return { manager, workers: workers.map(memberOf), serviceArguments, stateOf, close };
}

/** The sandbox cuts the power of every process that has the instance's root in its environment under this name. */
const rootVariable = 'DVE_ROOT';

/** The root of the instance that a task runs on, as Swarm fills it in. */
const rootTemplate = ([node]: readonly SandboxNode[]): string =>
  node?.root.replaceAll(node.instanceId, '{{.Node.Hostname}}') ?? '';

async function joinAll(manager: Machine, workers: readonly Machine[]): Promise<void> {
  const { ok, address } = manager;
  await ok('swarm', 'init', '--advertise-addr', address, '--availability', 'drain', '--dispatcher-heartbeat', '2s');
  const token = await ok('swarm', 'join-token', '-q', 'worker');
  for (const worker of workers) {
    await worker.ok('swarm', 'join', '--token', token, '--advertise-addr', worker.address, `${address}:2377`);
  }
}

interface Machine extends Host {
  readonly dir: string;
  readonly address: string;
  /** Starts it and waits until its engine answers. */
  boot(): Promise<void>;
  cable(to: 'up' | 'down'): Promise<void>;
  /** Cuts its power if it has any, and waits until nothing of it runs. @throws Error if it had failed by itself before */
  end(): Promise<void>;
}

interface Lan {
  readonly network: Switch;
  readonly ports: readonly number[];
}

/**
 * @param port of the switch, from 1 up.
 * @param node the sandbox's node that it is, if it is one. @param driver whether its daemon is the engine's plugin.
 */
function newMachine(swarmDir: string, lan: Lan, port: number, node?: SandboxNode, driver = true): Machine {
  const name = node?.instanceId ?? 'manager';
  const dir = join(swarmDir, name);
  const address = `192.0.2.${port}`;
  const engine = engineIn(dir);
  const script = [
    ownDirectories,
    node !== undefined && driver ? pluginAt(node.socket) : 'true',
    `hostname ${name}`,
    'echo ready && read -r plugged',
    `ip link set lo up && ip address add ${address}/24 dev eth0 && ip link set eth0 up`,
    'exec "$@"',
  ].join(' && ');
  const groups = ['--exec-opt', 'native.cgroupdriver=cgroupfs', '--cgroup-parent', `/${basename(swarmDir)}`];
  const dockerd = ['dockerd', ...engineArguments(dir), ...groups];
  let running: Namespaced | undefined;
  let unplug = () => {};
  return {
    ...engine,
    ...{ name, dir, address, host: `unix://${dir}/docker.sock` },
    async boot() {
      await mkdir(dir, { recursive: true });
      // A real machine has these in /run.
      for (const lost of ['exec', 'pid']) await rm(join(dir, lost), { recursive: true, force: true });
      const environment = { ...process.env, ...(node === undefined ? {} : { [rootVariable]: node.root }) };
      const own = ['--pid', '--fork', '--kill-child', '--mount-proc', '--mount', '--propagation', 'slave', '--uts'];
      const { child, log } = await inNamespaces(own, ['sh', '-c', script, 'sh', ...dockerd], environment);
      running = { child, log };
      await lan.network.plug(port, child.pid ?? 0);
      child.stdin?.end('plugged\n');
      await untilAnswers(engine, child, log);
      unplug();
      if (lan.ports.length > 0) unplug = await relayInto(child.pid ?? 0, lan.ports);
      // Docker knows a plugin, and Swarm places tasks that need it, only once it has been asked of.
      await engine.ok('volume', 'ls');
    },
    cable: (to) => lan.network.set(port, to),
    async end() {
      unplug();
      if (running === undefined) return;
      const { child, log } = running;
      running = undefined;
      if (hasEnded(child)) {
        if (node !== undefined && child.signalCode === 'SIGKILL') return;
        throw new Error(`${name} had ended (${child.exitCode ?? child.signalCode}): ${log().slice(-2000)}`);
      }
      const gone = once(child, 'exit');
      // unshare itself ends after the first process inside, and that one after all the others.
      const inside = await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').catch(() => '');
      signalAll([Number(inside) || Number(child.pid)], 'SIGKILL');
      await gone;
    },
  };
}

interface Switch {
  /** Gives the network namespace of a process an "eth0", in the place of what was at this port before. */
  plug(port: number, pid: number): Promise<void>;
  set(port: number, to: 'up' | 'down'): Promise<void>;
  end(): Promise<void>;
}

async function startSwitch(): Promise<Switch> {
  const script = 'ip link add lan type bridge && ip link set lan up && echo ready && exec sleep infinity';
  const { child } = await inNamespaces([], ['sh', '-c', script], process.env);
  const ip = async (...args: string[]) => {
    const { code, stderr } = await run('nsenter', [`--net=/proc/${child.pid}/ns/net`, 'ip', 'link', ...args]);
    if (code !== 0) throw new Error(`ip link ${args.join(' ')} ended with ${code}: ${stderr}`);
  };
  return {
    async plug(port, pid) {
      // The kernel takes away the cable of a machine that ended, some time later.
      await ip('delete', `port${port}`).catch(() => {});
      await ip('add', `port${port}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(pid));
      await ip('set', `port${port}`, 'master', 'lan', 'up');
    },
    set: (port, to) => ip('set', `port${port}`, to),
    async end() {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}

interface Namespaced {
  readonly child: ChildProcess;
  /** What it has said on stderr. */
  log(): string;
}

/** Starts a program in a network namespace of its own and others, and waits for its first word; it dies with this process. */
async function inNamespaces(
  others: readonly string[],
  command: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<Namespaced> {
  const args = ['--pdeathsig', 'KILL', 'unshare', '--net', ...others, ...command];
  const child = spawn('setpriv', args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  const said: string[] = [];
  const log = () => said.join('');
  child.stderr.setEncoding('utf8').on('data', (text: string) => said.push(text));
  await Promise.race([once(child.stdout, 'data'), once(child, 'close')]);
  if (hasEnded(child)) throw new Error(`${command.join(' ')} ended: ${log()}`);
  return { child, log };
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null;

/** Those of killed containers stay: runc, which made them, is not asked to remove them. */
async function removeControlGroups(parent: string): Promise<void> {
  const groups = ['-depth', '-type', 'd', '-path', `*/${parent}*`];
  await run('find', ['/sys/fs/cgroup', ...groups, '-exec', 'rmdir', '{}', '+']);
}
