import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ownProgram } from '../host/own-program.ts';
import { enterNode } from './mounts.ts';
import type { NodeLayout } from './node-layout.ts';
import { killAll, processesBeside, processesOfNodes } from './processes.ts';

interface DaemonSettings {
  readonly layout: NodeLayout;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** The project's own daemon: from its sources, or the bundle or executable that runs now. */
export function ownDaemon(): string[] {
  return [...ownProgram(), 'serve'];
}

/**
 * The environment of a node's daemon: as on an EC2 instance, without anything that this process knows of AWS or of
 * other daemons. Credentials come from the instance's role.
 */
export function daemonEnvironment(
  layout: NodeLayout,
  aws: { readonly endpoint: string; readonly imds: string; readonly region: string },
  extra: Readonly<Record<string, string>>,
): Record<string, string> {
  const inherited = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !/^(AWS_|DVE_)/.test(entry[0]),
  );
  return {
    ...Object.fromEntries(inherited),
    // Nothing of a machine here outlasts the cut of its power.
    DVE_FENCE_SETTLE: '0',
    ...extra,
    AWS_REGION: aws.region,
    AWS_ENDPOINT_URL_EC2: aws.endpoint,
    AWS_EC2_METADATA_SERVICE_ENDPOINT: aws.imds,
    AWS_CONFIG_FILE: join(layout.home, 'no-aws-config'),
    AWS_SHARED_CREDENTIALS_FILE: join(layout.home, 'no-aws-credentials'),
    DVE_SOCKET: layout.socket,
    DVE_ROOT: layout.root,
    DVE_DEVICE_ROOT: layout.devices,
    DVE_SYSFS_ROOT: layout.sysfs,
    DVE_BOOT_ID_FILE: layout.bootIdFile,
  };
}

/** A node's daemon in its own mount namespace. */
export class NodeDaemon {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #layout: NodeLayout;
  /** What ran beside it when it was asked to end: once it has, its namespace cannot be told any more. */
  #company: readonly number[] = [];

  private constructor(child: ChildProcess, pid: number, layout: NodeLayout) {
    this.#child = child;
    this.pid = pid;
    this.#layout = layout;
  }

  /** Starts it; it need not accept yet. @throws Error when it cannot be started */
  static async start({ layout, command, environment }: DaemonSettings): Promise<NodeDaemon> {
    const log = await open(layout.log, 'a');
    try {
      // Every step of this chain replaces the one before, so the daemon has the child's process id.
      const args = ['--mount', '--propagation', 'unchanged', 'sh', '-c', enterNode, 'sh', layout.root, ...command];
      // Apart from the terminal: Ctrl-C there is for the sandbox only.
      const child = spawn('unshare', args, { env: environment, detached: true, stdio: ['ignore', log.fd, log.fd] });
      await once(child, 'spawn');
      return new NodeDaemon(child, child.pid ?? 0, layout);
    } finally {
      await log.close();
    }
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The daemon and everything that runs in its mount namespace or was started by it. */
  async processes(): Promise<number[]> {
    const beside = this.alive ? [this.pid, ...(await processesBeside(this.pid))] : [];
    return [...new Set([...beside, ...this.#company, ...(await processesOfNodes(this.#layout.home))])];
  }

  /** Waits until it accepts on its socket. @throws Error with the end of its log when it exits or takes too long */
  async accepting(timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!(await accepts(this.#layout.socket))) {
      if (!this.alive || Date.now() > deadline) throw new Error(await this.#complaint());
      await delay(20);
    }
  }

  async #complaint(): Promise<string> {
    const log = await readFile(this.#layout.log, 'utf8').catch(() => '');
    const what = this.alive ? 'does not accept' : 'exited before it accepted';
    return `the daemon ${what} on ${this.#layout.socket}; the end of ${this.#layout.log}:\n${log.slice(-2000)}`;
  }

  /** Asks it to end. @returns false when it has not after `graceMs` */
  async end(graceMs: number): Promise<boolean> {
    this.#company = (await this.processes()).filter((pid) => pid !== this.pid);
    if (this.alive) {
      const exit = once(this.#child, 'exit');
      this.#child.kill('SIGTERM');
      await Promise.race([exit, delay(graceMs)]);
    }
    return !this.alive;
  }

  /** Asks it to end, and kills it with everything it started when it has not after `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    await this.end(graceMs);
    await this.kill();
  }

  /** Kills it and everything it started, now. */
  async kill(): Promise<void> {
    await killAll(await this.processes());
  }
}

/** True when something accepts connections on a Unix socket. */
export function accepts(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socket);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}
