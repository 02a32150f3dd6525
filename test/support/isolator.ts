import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { SandboxNode } from '../../src/sandbox/sandbox.ts';

const program = [process.execPath, fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url)), 'dvdcli'];

/** A container that is being prepared. */
export interface Launch {
  /** Kills dvdcli where it is, as the isolator does when its time is over, and waits until it has ended. */
  kill(): Promise<void>;
  /** What the container is to have. @throws Error with dvdcli's words, once the clean-up that follows has been done */
  readonly directory: Promise<string>;
}

/**
 * A Mesos agent's docker/volume isolator with a sandbox's node for its machine, as the driver sees it (apache/mesos
 * src/slave/containerizer/mesos/isolators/docker/volume/isolator.cpp): a mount for each container, one unmount after the
 * last that used the volume, also when it was never mounted; calls about one volume one after another.
 */
export class Isolator {
  readonly #node: SandboxNode;
  /** The containers by volume. */
  readonly #users = new Map<string, Set<string>>();
  readonly #sequences = new Map<string, Promise<unknown>>();
  readonly #dying = new AbortController();

  constructor(node: SandboxNode) {
    this.#node = node;
  }

  /** Prepares a container with a volume of 1 GiB, which is created unless it is there. */
  launch(container: string, volume: string): Launch {
    const killing = new AbortController();
    const users = this.#users.get(volume) ?? new Set();
    this.#users.set(volume, users.add(container));
    const mounting = this.#dvdcli(['mount', '--volumeopts=size=1'], volume, killing.signal);
    const undo = async (error: unknown): Promise<never> => {
      if (!this.#dying.signal.aborted) await this.end(container, volume);
      throw error;
    };
    return {
      async kill() {
        killing.abort();
        await mounting.catch(() => {});
      },
      directory: mounting.catch(undo),
    };
  }

  /** The agent dies: its supervisor kills every dvdcli under way, and nothing is cleaned up. */
  die(): void {
    this.#dying.abort();
  }

  /** The container has ended. @throws Error with dvdcli's words */
  async end(container: string, volume: string): Promise<void> {
    const users = this.#users.get(volume);
    users?.delete(container);
    if (users === undefined || users.size === 0) await this.#dvdcli(['unmount'], volume);
  }

  #dvdcli(command: readonly string[], volume: string, killing = this.#dying.signal): Promise<string> {
    const signal = AbortSignal.any([killing, this.#dying.signal]);
    const call = () => dvdcli(this.#node, [...command, '--volumedriver=ebs', `--volumename=${volume}`], signal);
    const result = (this.#sequences.get(volume) ?? Promise.resolve()).then(call);
    this.#sequences.set(
      volume,
      result.catch(() => {}),
    );
    return result;
  }
}

/**
 * mesos-module-dvdi on a sandbox's node (emccode/mesos-module-dvdi isolator/docker_volume_driver_isolator.cpp): only a
 * volume's first container mounts it, only the last unmounts it, each through a shell, and an unmount's failure is
 * nobody's business. With `explicit` its task has DVDI_VOLUME_EXPLICITCREATE.
 */
export class ModuleIsolator {
  readonly #node: SandboxNode;
  readonly #mounted = new Map<string, { readonly directory: string; readonly containers: Set<string> }>();

  constructor(node: SandboxNode) {
    this.#node = node;
  }

  /** What the container is to have. @throws Error where dvdcli fails, or prints nothing */
  async launch(container: string, volume: string, { explicit }: { readonly explicit: boolean }): Promise<string> {
    const there = this.#mounted.get(volume);
    if (there !== undefined) {
      there.containers.add(container);
      return there.directory;
    }
    const directory = await this.#shell('mount', volume, explicit ? '--explicitCreate=true' : '--volumeopts=size=1');
    if (directory === '') throw new Error('dvdcli mount returned an empty mountpoint name');
    this.#mounted.set(volume, { directory, containers: new Set([container]) });
    return directory;
  }

  async end(container: string, volume: string): Promise<void> {
    const containers = this.#mounted.get(volume)?.containers;
    containers?.delete(container);
    if (containers?.size !== 0) return;
    this.#mounted.delete(volume);
    await this.#shell('unmount', volume).catch(() => {});
  }

  #shell(command: string, volume: string, options = ''): Promise<string> {
    const words = [...program, command, '--volumedriver=ebs', `--volumename=${volume}`, options];
    return outcome(start(this.#node, ['sh', '-c', words.join(' ')]), words);
  }
}

type Started = ChildProcessByStdio<null, Readable, Readable>;

/** Runs as on the node's machine. By DVE_ROOT the sandbox knows the processes there, which end with its power. */
function start(node: SandboxNode, [file = '', ...args]: readonly string[]): Started {
  return spawn(file, args, {
    env: { ...process.env, DVE_ROOT: node.root, DVE_SOCKET: node.socket },
    // A process group, to be killed with all its children.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Gives what dvdcli wrote, trimmed. */
function dvdcli(node: SandboxNode, args: readonly string[], killing: AbortSignal): Promise<string> {
  const child = start(node, [...program, ...args]);
  const kill = () => process.kill(-(child.pid ?? 0), 'SIGKILL');
  killing.addEventListener('abort', kill);
  child.once('exit', () => killing.removeEventListener('abort', kill));
  return outcome(child, ['dvdcli', ...args]);
}

async function outcome(child: Started, words: readonly string[]): Promise<string> {
  const [output, complaint, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  if (code !== 0) throw new Error(`${words.join(' ')} ended with ${code ?? signal}: ${complaint}`);
  return output.trim();
}
