import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { SandboxNode } from '../../src/sandbox/sandbox.ts';

const program = fileURLToPath(new URL('dvdcli-process.ts', import.meta.url));

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

/** Gives what it wrote, trimmed. */
async function dvdcli(node: SandboxNode, args: readonly string[], killing: AbortSignal): Promise<string> {
  // By DVE_ROOT the sandbox knows the machine's processes, which end with its power.
  const child = spawn(process.execPath, [program, dirname(node.socket), ...args], {
    env: { ...process.env, DVE_ROOT: node.root },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const kill = () => child.kill('SIGKILL');
  killing.addEventListener('abort', kill);
  const [output, complaint, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  if (code !== 0) throw new Error(`dvdcli ${args.join(' ')} ended with ${code ?? signal}: ${complaint}`);
  return output.trim();
}
