import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { tagKeys } from '../../src/ebs/tags.ts';
import type { SandboxOptions } from '../../src/sandbox/sandbox.ts';
import type { Held } from '../../src/volumes/state/held.ts';
import { builtBundle } from '../support/bundle.ts';
import { type CrashPoint, filesOf } from '../support/crash-orders.ts';
import { eventually, mountedAt, type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';

/** A sandbox whose daemons die on order, and start soon. */
export async function crashSandbox({ nodeEnv, ...more }: Partial<SandboxOptions> = {}): Promise<TestSandbox> {
  const cache = fileURLToPath(new URL('../../node_modules/.cache/crashing-daemon', import.meta.url));
  const env = { DVE_LINGER: '0.3', DVE_SIZE: '1', DVE_LOG_LEVEL: 'debug', NODE_COMPILE_CACHE: cache, ...nodeEnv };
  const daemonCommand = more.daemonCommand ?? [process.execPath, await builtBundle('crashing-daemon')];
  return testSandbox({ nodes: 1, nodeEnv: env, ...more, daemonCommand });
}

/** Everything that a volume's name stands for, outside the daemon. */
export interface State {
  /** Ids of the EBS volumes of the name. */
  readonly volumes: readonly string[];
  /** "instance device state" of each attachment. */
  readonly attachments: readonly string[];
  /** Those that EC2 has under the name still: a retained volume is not. */
  readonly named: readonly string[];
  readonly record: Held | undefined;
  readonly mounted: boolean;
  /** Whether the mountpoint is there. */
  readonly directory: boolean;
}

/** One node of a sandbox, as crashes and restarts leave it. */
export class Bench {
  readonly box: TestSandbox;
  readonly instanceId: string;
  readonly root: string;
  readonly #files: ReturnType<typeof filesOf>;

  constructor(box: TestSandbox, which: number | string = 0) {
    this.box = box;
    const { instanceId, root } = box.node(which);
    this.instanceId = instanceId;
    this.root = root;
    this.#files = filesOf(root);
  }

  target = (name: string): string => join(this.root, 'volumes', name);
  recordFile = (name: string): string => join(this.root, 'state/volumes', `${name}.json`);
  marker = (name: string): string => join(this.target(name), 'data/marker');

  get pid(): number {
    return this.box.node(this.instanceId).pid;
  }

  ok(verb: string, body: unknown) {
    return this.box.ok(this.instanceId, verb, body);
  }

  /** Calls a verb of a daemon that may die meanwhile; gives the error's text, or undefined for success. */
  async attempt(verb: string, body: unknown): Promise<string | undefined> {
    try {
      await this.ok(verb, body);
      return undefined;
    } catch (error) {
      return String(error);
    }
  }

  /** Traces the steps of a volume from now on, and kills the daemon at one of them. */
  async order(about: readonly string[], at?: CrashPoint): Promise<void> {
    await rm(this.#files.trace, { force: true });
    await this.reorder(about, at);
  }

  /** The same, going on with the trace. */
  async reorder(about: readonly string[], at?: CrashPoint): Promise<void> {
    const text = JSON.stringify({ about, ...(at === undefined ? {} : { at }) });
    await writeFile(`${this.#files.orders}.new`, text);
    await rename(`${this.#files.orders}.new`, this.#files.orders);
  }

  async endOrders(): Promise<void> {
    await rm(this.#files.orders, { force: true });
  }

  /** The points passed since the orders. */
  async trace(): Promise<string[]> {
    const text = await readFile(this.#files.trace, 'utf8').catch(() => '');
    return text.split('\n').filter((line) => line !== '');
  }

  async methods(): Promise<string[]> {
    return (await readFile(this.#files.methods, 'utf8')).split('\n');
  }

  /** kill -9. */
  async kill(): Promise<void> {
    if (this.pid !== 0) process.kill(this.pid, 'SIGKILL');
    await eventually(async () => this.pid === 0);
  }

  async start(): Promise<void> {
    await this.box.sandbox.startDaemon(this.instanceId);
  }

  async state(name: string): Promise<State> {
    const volumes = await this.box.volumes(name);
    return {
      volumes: volumes.map(({ VolumeId = '' }) => VolumeId),
      attachments: volumes.flatMap(({ Attachments = [] }) =>
        Attachments.map(({ InstanceId, Device, State }) => `${InstanceId} ${Device} ${State}`),
      ),
      named: volumes.filter((each) => tagsOf(each)[tagKeys.name] !== undefined).map(({ VolumeId = '' }) => VolumeId),
      record: await this.record(name),
      mounted: (await mountedAt(this.target(name))) !== undefined,
      directory: existsSync(this.target(name)),
    };
  }

  async record(name: string): Promise<Held | undefined> {
    const text = await readFile(this.recordFile(name), 'utf8').catch(() => undefined);
    return text === undefined ? undefined : JSON.parse(text);
  }

  /** Waits until the volume's state is as wanted. @throws Error with the state that it stays in */
  async reaches(name: string, wanted: (state: State, bench: Bench) => boolean, withinMs = 20_000): Promise<State> {
    const deadline = Date.now() + withinMs;
    for (;;) {
      const state = await this.state(name);
      if (wanted(state, this)) return state;
      if (Date.now() > deadline) throw new Error(`it stays ${JSON.stringify({ ...state, record: brief(state) })}`);
      await sleep(30);
    }
  }
}

function brief({ record }: State): unknown {
  return record && { phase: record.phase, device: record.device, holders: record.holders.map(({ id }) => id) };
}

/** Nothing of it is on the node, and EC2 has one volume, free. */
export const released = (state: State): boolean => state.volumes.length === 1 && free(state);
/** EC2 has no such volume either. */
export const absent = (state: State): boolean => state.volumes.length === 0 && free(state);
/** EC2 keeps it under no name; what is left of it here is the attachment under which the name went, for a while. */
export const retained = (state: State): boolean =>
  state.volumes.length === 1 &&
  state.named.length === 0 &&
  !state.mounted &&
  !state.directory &&
  (free(state) || state.record?.removing === true);
const free = ({ attachments, record, mounted, directory }: State): boolean =>
  attachments.length === 0 && record === undefined && !mounted && !directory;

/** Mounted here, for exactly these holders. */
export const heldBy =
  (...ids: readonly (string | null)[]) =>
  (state: State, { instanceId }: Bench): boolean =>
    state.volumes.length === 1 &&
    state.attachments.length === 1 &&
    state.attachments[0]?.startsWith(instanceId) === true &&
    state.attachments[0].endsWith('attached') &&
    state.record?.phase === 'mounted' &&
    state.record.holders.length === ids.length &&
    state.record.holders.every(({ id }) => ids.includes(id)) &&
    state.mounted &&
    state.directory;

/** Writes and syncs through its own mount until it is ended; any error ends it. */
const writer = `
const { openSync, writeSync, fsyncSync } = require('node:fs');
const file = openSync(process.argv[1] + '/written', 'a');
for (;;) {
  writeSync(file, '.');
  fsyncSync(file);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
}`;

/** A container as far as mounts go: a mount namespace of its own, with the volume's directory and no other volume. */
export class Container {
  /** The volume's. */
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #file: string;

  private constructor(name: string, child: ChildProcess, file: string) {
    this.name = name;
    this.#child = child;
    this.#file = file;
  }

  static async start(bench: Bench, name: string): Promise<Container> {
    const directory = join(bench.target(name), 'data');
    const place = join(bench.box.dir, `container-${name}`);
    await mkdir(place);
    const script = 'mount --bind "$1" "$2" && umount --recursive --lazy "$3" && exec "$4" -e "$5" "$2"';
    const args = [
      '--mount',
      '--propagation',
      'slave',
      'sh',
      '-c',
      script,
      'sh',
      directory,
      place,
      bench.root,
      process.execPath,
      writer,
    ];
    const child = spawn('unshare', args, { stdio: ['ignore', 'ignore', 'inherit'] });
    const container = new Container(name, child, join(directory, 'written'));
    await eventually(async () => {
      container.#refuseEnded();
      return (await container.written()) > 0;
    });
    return container;
  }

  #refuseEnded(): void {
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) throw new Error(`the container ended: ${exitCode ?? signalCode}`);
  }

  async written(): Promise<number> {
    return (await stat(this.#file).catch(() => undefined))?.size ?? 0;
  }

  /** Waits until it has written more. @throws Error when it has met an error */
  async goesOn(): Promise<void> {
    const before = await this.written();
    await eventually(async () => {
      this.#refuseEnded();
      return (await this.written()) > before;
    });
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}
