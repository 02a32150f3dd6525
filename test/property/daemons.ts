import { pino } from 'pino';
import { loadSettings } from '../../src/config.ts';
import { tagKeys } from '../../src/ebs/tags.ts';
import type { Ec2 } from '../../src/ebs/types.ts';
import { openDriver } from '../../src/volumes/driver.ts';
import { encodeName } from '../../src/volumes/options/names.ts';
import { mountpointOf } from '../../src/volumes/state/node.ts';
import { bearers } from '../../src/volumes/state/succession.ts';
import type { VolumeDriver } from '../../src/volumes/types.ts';
import { FakeAudit } from '../support/fake-audit.ts';
import { FakeJournal } from '../support/fake-node.ts';
import { delay, pass, randomFrom } from './clock.ts';
import { Cloud } from './cloud.ts';
import { Machine } from './machine.ts';
import type { Witness } from './plugged.ts';

const zone = 'eu-west-1a';
const settings = loadSettings(['--root', '/ebs'], {});

interface Daemon {
  readonly life: AbortController;
  readonly driver: Promise<VolumeDriver & { close(): Promise<void> }>;
}

/** A caller whose Mount was answered with success, until it calls Unmount. */
export interface Holder {
  readonly name: string;
  readonly id: string | undefined;
  readonly volumeId: string;
  /** When its call began. */
  readonly began: number;
}

export interface NodeOf {
  readonly machine: Machine;
  readonly journal: FakeJournal;
  daemon: Daemon | undefined;
  holders: Holder[];
  /** When Unmount was called last, by name and id. */
  readonly unmounted: Map<string, number>;
  /** When its journal went: the ghost of a disk detached by force meanwhile is then nobody's. */
  lostJournalAt: number;
  /** Counts what a restart of the machine makes void. */
  life: number;
}

/** Some machines, an EC2 and the daemons on them; keeps the rules in sight. */
export class Daemons implements Witness {
  readonly cloud: Cloud;
  readonly nodes: NodeOf[] = [];
  readonly trace: string[] = [];
  readonly failures: string[] = [];
  readonly random: () => number;
  kills = 0;
  #calls = 0;
  /** Calls that are not answered yet. */
  protected readonly pending = new Map<number, string>();
  /** Calls that delete the trash, so far. */
  protected purges = 0;
  /** The volume of each name, and since when it is. */
  readonly #named = new Map<string, { readonly id: string; readonly since: number }>();
  /** The volumes as they were a moment ago: whether each had a name. */
  readonly #before = new Map<string, boolean>();
  /** When a volume of this name was there last. */
  protected readonly lastSeen = new Map<string, number>();

  constructor(seed: number, nodes: number) {
    this.random = randomFrom(seed);
    this.cloud = new Cloud(this.random, this);
    this.cloud.note = (text) => this.note(text);
    for (let index = 0; index < nodes; index++) {
      const instanceId = `i-${index + 1}`;
      this.cloud.addInstance(instanceId, zone);
      const machine = new Machine(this.cloud, instanceId, this);
      this.cloud.machines.set(instanceId, machine);
      this.nodes.push({
        machine,
        journal: new FakeJournal(),
        daemon: undefined,
        holders: [],
        unmounted: new Map(),
        lostJournalAt: Number.NEGATIVE_INFINITY,
        life: 0,
      });
    }
    for (const node of this.nodes) this.startDaemon(node);
  }

  note(text: string): void {
    this.trace.push(`${(Date.now() / 1000).toFixed(2).padStart(8)}  ${text}`);
  }

  broken(rule: string, what: string): void {
    if (this.failures.includes(`${rule}: ${what}`)) return;
    this.failures.push(`${rule}: ${what}`);
    this.note(`!!! ${rule}: ${what}`);
  }

  /** Lets time pass, looking at the rules after everything that happens. */
  async pass(ms: number): Promise<void> {
    await pass(ms, () => this.#check());
  }

  #check(): void {
    for (const volumeId of this.cloud.volumes.keys()) {
      const writers = this.nodes.filter(({ machine }) => machine.powered && machine.users(volumeId).length > 0);
      if (writers.length > 1) this.broken('I1', `${writers.map(idOf).join(' and ')} both have ${volumeId} mounted`);
    }
    const names = new Map<string, string[]>();
    for (const { id, tags } of bearers([...this.cloud.volumes.values()])) {
      const name = tags[tagKeys.name];
      if (name !== undefined && !this.#isGiven(id)) names.set(name, [...(names.get(name) ?? []), id]);
    }
    for (const name of this.#named.keys()) if (!names.has(name)) this.#named.delete(name);
    for (const [name, [id = '', ...others]] of names) {
      this.lastSeen.set(name, Date.now());
      if (this.#named.get(name)?.id !== id) this.#named.set(name, { id, since: Date.now() });
      if (others.length > 0) this.broken('one volume', `${name} is ${[id, ...others].join(' and ')}`);
    }
    this.#checkMounts();
    this.#checkKept();
  }

  /** What is mounted under one name is one volume, wherever. */
  #checkMounts(): void {
    const mounts = new Map<string, Set<string>>();
    for (const { machine } of this.nodes) {
      if (!machine.powered) continue;
      for (const [target, disk] of machine.mounted)
        if (disk.live) mounts.set(target, (mounts.get(target) ?? new Set()).add(disk.volumeId));
    }
    for (const [target, ids] of mounts)
      if (ids.size > 1) this.broken('one name', `${[...ids].join(' and ')} are both mounted at ${target}`);
  }

  /** Nothing that has been written on goes but from the trash, and from there only when somebody says so. */
  #checkKept(): void {
    for (const [id, had] of this.#before) {
      if (this.cloud.volumes.has(id)) continue;
      this.#before.delete(id);
      const written = (this.cloud.records.get(id) ?? []).length > (this.cloud.copied.get(id) ?? 0);
      if (!written || this.cloud.tampered.has(id) || (!had && this.purges > 0)) continue;
      this.broken(
        'trash',
        `${id} is gone with what was written on it, ${had ? 'though it had a name' : 'before its time'}`,
      );
    }
    for (const { id, tags } of this.cloud.volumes.values()) this.#before.set(id, tags[tagKeys.name] !== undefined);
  }

  /** A volume that is being given a name, which is not its own before that is done. */
  #isGiven(volumeId: string): boolean {
    return this.nodes.some(({ journal }) =>
      [...journal.records.values()].some(({ giving, volume }) => giving && volume.id === volumeId),
    );
  }

  /** For how long a volume has had its name. */
  protected namedFor(name: string, id: string): number {
    const named = this.#named.get(encodeName(name));
    return named?.id === id ? Date.now() - named.since : 0;
  }

  volumeOf(name: string) {
    return bearers([...this.cloud.volumes.values()]).find(({ tags }) => tags[tagKeys.name] === encodeName(name));
  }

  startDaemon(node: NodeOf): void {
    const state = this.cloud.instances.get(idOf(node))?.state;
    if (node.daemon !== undefined || !node.machine.powered || state !== 'running') return;
    const life = new AbortController();
    const { machine, journal } = node;
    const world = {
      openHost: async () => this.#reach(machine, life.signal, (method, args) => this.#onHost(node, method, args)),
      openJournal: async () => this.#reach(journal, life.signal),
      openAudit: () => new FakeAudit().audit,
      openEc2: () =>
        this.#reach(this.cloud, life.signal, (method, args) => {
          // A request may be on its way already when its sender dies.
          const sent = () => !life.signal.aborted || this.random() < 0.5;
          return this.cloud.over(method as keyof Ec2, args, sent);
        }),
      readIdentity: async () => ({ instanceId: machine.instanceId, availabilityZone: zone, region: 'eu-west-1' }),
    };
    const driver = openDriver(settings, pino({ level: 'silent' }), world);
    driver.catch(async (error: Error) => {
      if (life.signal.aborted) return;
      this.note(`${idOf(node)} daemon cannot start: ${error.message}`);
      this.killDaemon(node);
      await delay(1000);
      this.startDaemon(node);
    });
    node.daemon = { life, driver };
    this.note(`${idOf(node)} daemon starts`);
  }

  killDaemon(node: NodeOf): void {
    if (node.daemon === undefined) return;
    this.kills += 1;
    this.note(`${idOf(node)} daemon killed`);
    const { life, driver } = node.daemon;
    node.daemon = undefined;
    life.abort();
    driver.then(
      (open) => void open.close(),
      () => undefined,
    );
  }

  /** A thing as a daemon reaches it: nothing arrives at a dead one, and it begins nothing. */
  #reach<T extends object>(
    target: T,
    life: AbortSignal,
    call?: (method: string, args: unknown[]) => Promise<unknown>,
  ): T {
    return new Proxy(target, {
      get: (_, key) => {
        const member: unknown = Reflect.get(target, key, target);
        if (typeof member !== 'function' || answersAtOnce.has(key))
          return typeof member === 'function' ? member.bind(target) : member;
        return (...args: unknown[]) => {
          const { promise, resolve, reject } = Promise.withResolvers<unknown>();
          if (life.aborted) return promise;
          const signal = args.map(signalOf).find((each) => each !== undefined);
          const result: unknown = call?.(String(key), args) ?? member.apply(target, args);
          if (!(result instanceof Promise)) return result;
          result.then(
            (value) => life.aborted || resolve(value),
            (error: unknown) => life.aborted || reject(error),
          );
          const leave = () => life.aborted || reject(signal?.reason);
          if (signal?.aborted) leave();
          signal?.addEventListener('abort', leave, { once: true });
          return promise;
        };
      },
    });
  }

  /** A step on a machine takes a moment; when its daemon or the machine dies in it, it may never be. */
  async #onHost(node: NodeOf, method: string, args: unknown[]): Promise<unknown> {
    const { machine, daemon, life } = node;
    await delay(Math.ceil(this.random() * 10));
    const dead = daemon?.life.signal.aborted === true && this.random() < 0.5;
    if (dead || node.life !== life) return new Promise(() => {});
    if (/^(makeFilesystem|mount|unmount|abandonMount)$/.test(method))
      this.note(`${idOf(node)} ${method} ${args[1] ?? args[0]}`);
    const work = Reflect.get(machine, method) as (...given: unknown[]) => Promise<unknown>;
    const result = await work.apply(machine, args);
    await delay(Math.ceil(this.random() * 10));
    return result;
  }

  /** Calls a verb without waiting for it. */
  protected call<T>(node: NodeOf, what: string, work: (driver: VolumeDriver) => Promise<T>): Promise<T> | undefined {
    const { daemon } = node;
    if (daemon === undefined) return undefined;
    this.#calls += 1;
    const call = this.#calls;
    const label = `#${call} ${idOf(node)} ${what}`;
    this.note(label);
    this.pending.set(call, label);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const ended = () => {
      this.pending.delete(call);
      return daemon.life.signal.aborted;
    };
    daemon.driver.then(work).then(
      (value) => {
        if (ended()) return;
        this.note(`#${call} answers ${JSON.stringify(value) ?? 'ok'}`.slice(0, 120));
        resolve(value);
      },
      (error: Error) => {
        if (ended()) return;
        this.note(`#${call} fails: ${error.message}`);
        reject(error);
      },
    );
    daemon.life.signal.addEventListener('abort', () => this.pending.delete(call));
    return promise;
  }
}

/** What a machine does in no time. */
const answersAtOnce = new Set<string | symbol>(['watchDevices', 'unanswered']);

export const idOf = (node: NodeOf): string => node.machine.instanceId;
/** Where a volume is mounted on every machine. */
export const targetOf = (name: string): string => mountpointOf(settings, name);

function signalOf(arg: unknown): AbortSignal | undefined {
  if (arg instanceof AbortSignal) return arg;
  if (typeof arg !== 'object' || arg === null || !('signal' in arg)) return undefined;
  return arg.signal instanceof AbortSignal ? arg.signal : undefined;
}
