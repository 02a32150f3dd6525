import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { enterNode } from '../../src/sandbox/mounts.ts';
import type { SandboxNode } from '../../src/sandbox/sandbox.ts';

const program = fileURLToPath(new URL('writer-process.ts', import.meta.url));

/** What a writer told of a record, and when, by this machine's clock in milliseconds. */
export interface Told {
  readonly number: number;
  readonly at: number;
}

export interface WriterPlace {
  readonly node: SandboxNode;
  /** The directory that the node's Mount answered with. */
  readonly directory: string;
  readonly epoch: number;
  /** Where it gets a directory of its own, as a container. */
  readonly dir: string;
}

/** The file that writers append to, in the volume's directory. */
export const recordFile = 'records';

/** A container's process as one of the node's: it is stopped and killed with the node. It writes numbered records. */
export class RecordWriter {
  readonly pid: number;
  readonly node: string;
  readonly epoch: number;
  readonly written: Told[] = [];
  readonly synced: Told[] = [];
  /** The word of the kernel for why it took no more, as "EIO". */
  failed: string | undefined;
  /** Resolves once it has ended and all it told is known. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  #more = Promise.withResolvers<void>();

  private constructor(child: ChildProcess, { node, epoch }: WriterPlace) {
    this.#child = child;
    this.pid = child.pid ?? 0;
    this.node = node.instanceId;
    this.epoch = epoch;
    if (child.stdout === null) throw new Error('a writer tells by its standard output');
    createInterface(child.stdout).on('line', (line) => this.#hear(line));
    this.ended = once(child, 'close').then(() => this.#wake());
  }

  #hear(line: string): void {
    const [what, word = '', at] = line.split(' ');
    const told = { number: Number(word), at: Number(at) };
    if (what === 'w') this.written.push(told);
    else if (what === 's') this.synced.push(told);
    else this.failed = word;
    this.#wake();
  }

  #wake(): void {
    this.#more.resolve();
    this.#more = Promise.withResolvers();
  }

  /** Starts it in a mount namespace of its own, which has the directory and no other volume. */
  static async start(place: WriterPlace): Promise<RecordWriter> {
    const { node, directory, epoch, dir } = place;
    const inside = await mkdtemp(join(dir, 'writer-'));
    const container =
      'mount --make-rprivate "$1" && mount --bind "$2" "$3" && umount --recursive --lazy "$1" && shift 3 && exec "$@"';
    const command = [process.execPath, program, join(inside, recordFile), String(epoch), node.instanceId];
    const enter = ['sh', '-c', enterNode, 'sh', node.root];
    const args = ['--mount', '--propagation', 'unchanged', ...enter, 'sh', '-c', container, 'sh'];
    const child = spawn('unshare', [...args, node.root, directory, inside, ...command], {
      // The sandbox knows a node's processes by this.
      env: { ...process.env, DVE_ROOT: node.root },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child, 'spawn');
    return new RecordWriter(child, place);
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Waits until it has synced so many more. @throws Error when it ends before */
  async goesOn(records: number): Promise<void> {
    const wanted = this.synced.length + records;
    while (this.synced.length < wanted) {
      if (!this.alive)
        throw new Error(`the writer on ${this.node} has ended: ${this.failed ?? this.#child.signalCode}`);
      await this.#more.promise;
    }
  }

  async kill(): Promise<void> {
    if (this.alive) this.#child.kill('SIGKILL');
    await this.ended;
  }
}
