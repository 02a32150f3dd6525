import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
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
  /** Ends it without any warning (SIGKILL); `start` begins anew on the same data. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts dockerd in a mount namespace of its own (mounts of the host reach it, its own stay there), with a volume
 * plugin "ebs" at `pluginSocket`, no bridge and an image "busybox" made of Debian's static busybox.
 */
export async function startDockerd(pluginSocket: string, extraArgs: readonly string[] = []): Promise<Dockerd> {
  const dir = await mkdtemp(join(tmpdir(), 'dve-dockerd-'));
  const host = `unix://${dir}/docker.sock`;
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
    if (running?.pid === undefined || running.exitCode !== null) return;
    const gone = new Promise((resolve) => running.once('exit', resolve));
    process.kill(running.pid, signal);
    await gone;
  };
  const start = async () => {
    const script = [
      'mount --make-rshared /',
      'mkdir -p /run/docker /etc/docker',
      'mount -t tmpfs tmpfs /run/docker && mount -t tmpfs tmpfs /etc/docker',
      `mkdir -p /run/docker/plugins /etc/docker/plugins && echo unix://${pluginSocket} > /etc/docker/plugins/ebs.spec`,
      'exec dockerd "$@"',
    ].join(' && ');
    const args = [
      ...['--data-root', `${dir}/data`, '--exec-root', `${dir}/exec`, '-p', `${dir}/pid`, '-H', host],
      ...['--iptables=false', '--ip6tables=false', '--bridge=none', ...extraArgs],
    ];
    child = spawn('unshare', ['--mount', '--propagation', 'slave', 'sh', '-c', script, 'sh', ...args], {
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
    kill: () => end('SIGKILL'),
    start,
    async stop() {
      const ids = (await docker('ps', '-aq')).stdout.split('\n').filter((id) => id !== '');
      if (ids.length > 0) await docker('rm', '-f', ...ids);
      await end('SIGTERM');
      await endContainerd(dir);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** A killed dockerd leaves its containerd behind. */
async function endContainerd(dir: string): Promise<void> {
  const pid = Number(await readFile(`${dir}/exec/containerd/containerd.pid`, 'utf8').catch(() => '0'));
  if (pid > 0) await run('kill', ['-9', String(pid)]);
}

/** An image with /data holding one file, so that copy-up can be seen. */
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
