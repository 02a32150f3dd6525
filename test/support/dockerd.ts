import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CommandResult, run } from '../../src/host/run.ts';

/** A Docker engine of the tests' own: nothing of it touches the machine's engine or its plugins. */
export interface Dockerd {
  readonly pid: number;
  /** Runs the docker CLI against it; gives exit code and output. */
  docker(...args: string[]): Promise<CommandResult>;
  /** The same, failing the test unless it succeeds; gives its trimmed output. */
  ok(...args: string[]): Promise<string>;
  /** A volume as `docker volume inspect` shows it. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into Status, which has every shape.
  volume(name: string): Promise<any>;
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
 * with a volume plugin "ebs" at `pluginSocket`, no bridge and an image "busybox" made of Debian's static busybox.
 */
export async function startDockerd(pluginSocket: string, extraArgs: readonly string[] = []): Promise<Dockerd> {
  const dir = await mkdtemp(join(tmpdir(), 'dve-dockerd-'));
  const host = `unix://${dir}/docker.sock`;
  const machine = await startMachine(pluginSocket);
  let child: ChildProcess | undefined;

  const docker = (...args: string[]) => run('docker', ['-H', host, ...args], { timeoutMs: 180_000 });
  const ok = async (...args: string[]) => {
    const { code, stdout, stderr } = await docker(...args);
    if (code !== 0) throw new Error(`docker ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`);
    return stdout.trim();
  };
  const end = async (signal: NodeJS.Signals) => {
    const running = child;
    child = undefined;
    if (running?.pid === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const gone = once(running, 'exit');
    process.kill(running.pid, signal);
    await gone;
  };
  const start = async () => {
    const args = [
      ...['--data-root', `${dir}/data`, '--exec-root', `${dir}/exec`, '-p', `${dir}/pid`, '-H', host],
      ...['--iptables=false', '--ip6tables=false', '--bridge=none', ...extraArgs],
    ];
    child = spawn('nsenter', [`--mount=/proc/${machine.pid}/ns/mnt`, 'dockerd', ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const log: string[] = [];
    child.stderr?.setEncoding('utf8').on('data', (text: string) => log.push(text));
    for (;;) {
      if ((await docker('version')).code === 0) return;
      if (child.exitCode !== null) throw new Error(`dockerd ended with ${child.exitCode}:\n${log.join('')}`);
      await sleep(100);
    }
  };

  await start();
  await importBusybox(dir, ok);
  return {
    get pid() {
      return child?.pid ?? 0;
    },
    docker,
    ok,
    async volume(name) {
      return JSON.parse(await ok('volume', 'inspect', name))[0];
    },
    async kill() {
      await end('SIGKILL');
      await endContainerd(dir);
    },
    terminate: () => end('SIGTERM'),
    start,
    async stop() {
      const ids = (await docker('ps', '-aq')).stdout.split('\n').filter((id) => id !== '');
      if (ids.length > 0) await docker('rm', '-f', ...ids);
      await end('SIGTERM');
      await endLeftovers(dir);
      machine.kill('SIGKILL');
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** A process that holds the engine's mount namespace: a dockerd that starts again finds the mounts of the last one. */
async function startMachine(pluginSocket: string): Promise<ChildProcess> {
  const script = [
    'mount --make-rshared /',
    'mkdir -p /run/docker /etc/docker',
    'mount -t tmpfs tmpfs /run/docker && mount -t tmpfs tmpfs /etc/docker',
    `mkdir -p /run/docker/plugins /etc/docker/plugins && echo unix://${pluginSocket} > /etc/docker/plugins/ebs.spec`,
    'echo ready && exec sleep infinity',
  ].join(' && ');
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

/** What a killed dockerd leaves behind: containers, their shims, containerd. */
async function endLeftovers(dir: string): Promise<void> {
  const tasks = `${dir}/exec/containerd/daemon/io.containerd.runtime.v2.task/moby`;
  for (const id of await readdir(tasks).catch(() => [])) await killIfThere(`${tasks}/${id}/init.pid`);
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
async function importBusybox(dir: string, ok: (...args: string[]) => Promise<string>): Promise<void> {
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
