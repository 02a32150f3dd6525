import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CommandResult } from '../../src/host/run.ts';
import { run } from './run.ts';

/** What tests ask of an engine. */
export interface Engine {
  /** Runs the docker CLI against it; gives exit code and output. */
  docker(...args: string[]): Promise<CommandResult>;
  /** The same, failing the test unless it succeeds; gives its trimmed output. */
  ok(...args: string[]): Promise<string>;
  /** A volume as `docker volume inspect` shows it. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into Status, which has every shape.
  volume(name: string): Promise<any>;
}

/** A Docker engine of the tests' own: nothing of it touches the machine's engine or its plugins. */
export interface Dockerd extends Engine {
  readonly pid: number;
  /** For DOCKER_HOST. */
  readonly host: string;
  /** Its log since it was started, with what its managed plugins write. */
  log(): string;
  /** Ends it without any warning (SIGKILL); `start` begins anew on the same data. */
  kill(): Promise<void>;
  /** Ends it in good order (SIGTERM), its data kept; with live-restore its containers run on. */
  terminate(): Promise<void>;
  /** Starts it and waits until it answers. */
  start(): Promise<void>;
  /** Removes its containers and ends it for good. */
  stop(): Promise<void>;
}

/** Arguments of `docker run` that give a container this volume of the driver's. */
export const withVolume = (name: string, target = '/v'): string[] => [
  '--mount',
  `type=volume,source=${name},target=${target},volume-driver=ebs`,
];

/**
 * Starts dockerd in a mount namespace of its own that outlives it (mounts of the host reach it, its own stay there),
 * with a volume plugin "ebs" at `pluginSocket` (undefined: none), no bridge and an image "busybox" made of Debian's static busybox.
 */
export async function startDockerd(
  pluginSocket: string | undefined,
  extraArgs: readonly string[] = [],
): Promise<Dockerd> {
  const dir = await mkdtemp(join(tmpdir(), 'dve-dockerd-'));
  const machine = await startMachine(pluginSocket);
  let child: ChildProcess | undefined;
  let log: string[] = [];

  const engine = engineIn(dir);
  const end = async (signal: NodeJS.Signals) => {
    const running = child;
    child = undefined;
    if (running?.pid === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const gone = once(running, 'exit');
    process.kill(running.pid, signal);
    await gone;
  };
  const start = async () => {
    const args = [`--mount=/proc/${machine.pid}/ns/mnt`, 'dockerd', ...engineArguments(dir), ...extraArgs];
    child = spawn('nsenter', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    log = [];
    child.stderr?.setEncoding('utf8').on('data', (text: string) => log.push(text));
    await untilAnswers(engine, child, () => log.join(''));
  };

  await start();
  await importBusybox(dir, engine);
  return {
    get pid() {
      return child?.pid ?? 0;
    },
    host: `unix://${dir}/docker.sock`,
    log: () => log.join(''),
    ...engine,
    async kill() {
      await end('SIGKILL');
      await endContainerd(dir);
    },
    terminate: () => end('SIGTERM'),
    start,
    async stop() {
      const ids = (await engine.docker('ps', '-aq')).stdout.split('\n').filter((id) => id !== '');
      if (ids.length > 0) await engine.docker('rm', '-f', ...ids);
      await end('SIGTERM');
      await endLeftovers(dir);
      machine.kill('SIGKILL');
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** The engine that has its things, its socket too, in this directory. */
export function engineIn(dir: string): Engine {
  const docker = (...args: string[]) =>
    run('docker', ['-H', `unix://${dir}/docker.sock`, ...args], { timeoutMs: 180_000 });
  const ok = async (...args: string[]) => {
    const { code, stdout, stderr } = await docker(...args);
    if (code !== 0) throw new Error(`docker ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`);
    return stdout.trim();
  };
  return {
    docker,
    ok,
    async volume(name) {
      return JSON.parse(await ok('volume', 'inspect', name))[0];
    },
  };
}

/** Arguments of the dockerd that {@link engineIn} talks to; it makes no network of its own. */
export const engineArguments = (dir: string): string[] => [
  ...[
    '--data-root',
    `${dir}/data`,
    '--exec-root',
    `${dir}/exec`,
    '-p',
    `${dir}/pid`,
    '-H',
    `unix://${dir}/docker.sock`,
  ],
  ...['--iptables=false', '--ip6tables=false', '--bridge=none'],
];

/** Waits until an engine answers. @throws Error with its log when its process ends instead */
export async function untilAnswers({ docker }: Engine, child: ChildProcess, log: () => string): Promise<void> {
  while ((await docker('version')).code !== 0) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`dockerd ended (${child.exitCode ?? child.signalCode}):\n${log()}`);
    }
    await sleep(100);
  }
}

/** A shell command that gives a mount namespace directories of Docker's of its own. */
export const ownDirectories = [
  'mount --make-rshared /',
  'mkdir -p /run/docker /etc/docker',
  'mount -t tmpfs tmpfs /run/docker && mount -t tmpfs tmpfs /etc/docker',
  'mkdir -p /run/docker/plugins /etc/docker/plugins',
].join(' && ');

/** A shell command that makes the volume plugin "ebs" known in them. */
export const pluginAt = (socket: string): string => `echo unix://${socket} > /etc/docker/plugins/ebs.spec`;

/** A process that holds the engine's mount namespace: a dockerd that starts again finds the mounts of the last one. */
async function startMachine(pluginSocket: string | undefined): Promise<ChildProcess> {
  const known = pluginSocket === undefined ? 'true' : pluginAt(pluginSocket);
  const script = `${ownDirectories} && ${known} && echo ready && exec sleep infinity`;
  const machine = spawn('unshare', ['--mount', '--propagation', 'slave', 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(machine.stdout, 'data');
  return machine;
}

/** The containerd of a killed dockerd is killed with it, a moment later: a dockerd that starts meanwhile would wait for it. */
async function endContainerd(dir: string): Promise<void> {
  const pidFile = `${dir}/exec/containerd/containerd.pid`;
  const pid = await readFile(pidFile, 'utf8').catch(() => 'none');
  await killIfThere(pidFile);
  while ((await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')) !== '') await sleep(20);
  await rm(pidFile, { force: true });
}

/** What a killed dockerd leaves behind: containers, managed plugins, their shims, containerd. */
async function endLeftovers(dir: string): Promise<void> {
  for (const namespace of ['moby', 'plugins.moby']) {
    const tasks = `${dir}/exec/containerd/daemon/io.containerd.runtime.v2.task/${namespace}`;
    for (const id of await readdir(tasks).catch(() => [])) await killIfThere(`${tasks}/${id}/init.pid`);
  }
  const ours = async (pid: string) =>
    (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes(`${dir}/exec/`);
  for (const pid of await readdir('/proc')) {
    if (/^\d+$/.test(pid) && (await ours(pid))) await run('kill', ['-9', pid]);
  }
}

async function killIfThere(pidFile: string): Promise<void> {
  const pid = Number(await readFile(pidFile, 'utf8').catch(() => ''));
  if (pid > 0) await run('kill', ['-9', String(pid)]);
}

/** An image with /seeded holding one file, so that copy-up can be seen. */
export async function importBusybox(dir: string, { ok }: Engine): Promise<void> {
  const root = join(dir, 'image');
  await mkdir(join(root, 'bin'), { recursive: true });
  await mkdir(join(root, 'seeded'));
  await run('cp', ['/bin/busybox', join(root, 'bin/busybox')]);
  for (const tool of ['sh', 'cat', 'echo', 'sleep', 'ls', 'sha256sum', 'sync', 'dd', 'stat', 'true']) {
    await symlink('busybox', join(root, 'bin', tool));
  }
  await writeFile(join(root, 'seeded/from-image'), 'seed\n');
  await run('tar', ['-C', root, '-cf', join(dir, 'image.tar'), '.']);
  await ok('import', join(dir, 'image.tar'), 'busybox');
  await rm(root, { recursive: true });
}
