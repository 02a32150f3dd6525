import { pino } from 'pino';
import { loadSettings } from '../../src/config.ts';
import { tagKeys } from '../../src/ebs/tags.ts';
import type { Ec2 } from '../../src/ebs/types.ts';
import { isCode } from '../../src/errors.ts';
import { openDriver } from '../../src/volumes/driver.ts';
import { encodeName } from '../../src/volumes/options/names.ts';
import { mountpointOf } from '../../src/volumes/state/node.ts';
import type { VolumeDriver } from '../../src/volumes/types.ts';
import { FakeAudit } from '../support/fake-audit.ts';
import { FakeJournal } from '../support/fake-node.ts';
import { delay, pass, randomFrom } from './clock.ts';
import { Cloud, stalenessMs } from './cloud.ts';
import { type Container, Machine, type Witness } from './machine.ts';

const zone = 'eu-west-1a';
const settings = loadSettings(['--root', '/ebs'], {});
/** What every reader must have seen by then, with all that a read may take. */
const knownMs = stalenessMs + 20_000;

interface Daemon {
  readonly life: AbortController;
  readonly driver: Promise<VolumeDriver & { close(): Promise<void> }>;
}

/** A caller whose Mount was answered with success, until it calls Unmount. */
interface Holder {
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
export class World implements Witness {
  readonly cloud: Cloud;
  readonly nodes: NodeOf[] = [];
  readonly trace: string[] = [];
  readonly failures: string[] = [];
  readonly random: () => number;
  /** What every volume must still hold: the records whose writers were told that they are safe. */
  readonly acknowledged = new Map<string, string[]>();
  kills = 0;
  #calls = 0;
  #records = 0;
  readonly #pending = new Map<number, string>();
  /** When a volume of this name was there last. */
  readonly #lastSeen = new Map<string, number>();
  readonly #changing = new Map<string, number>();

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
    for (const { id, tags } of this.cloud.volumes.values()) {
      const name = tags[tagKeys.name] ?? '';
      names.set(name, [...(names.get(name) ?? []), id]);
    }
    for (const name of names.keys()) this.#lastSeen.set(name, Date.now());
    for (const [name, ids] of names) if (ids.length > 1) this.broken('one volume', `${name} is ${ids.join(' and ')}`);
  }

  volumeOf(name: string) {
    return [...this.cloud.volumes.values()].find(({ tags }) => tags[tagKeys.name] === encodeName(name));
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
        if (typeof member !== 'function' || key === 'watchDevices')
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
  #call<T>(node: NodeOf, what: string, work: (driver: VolumeDriver) => Promise<T>): Promise<T> | undefined {
    const { daemon } = node;
    if (daemon === undefined) return undefined;
    this.#calls += 1;
    const call = this.#calls;
    const label = `#${call} ${idOf(node)} ${what}`;
    this.note(label);
    this.#pending.set(call, label);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const ended = () => {
      this.#pending.delete(call);
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
    daemon.life.signal.addEventListener('abort', () => this.#pending.delete(call));
    return promise;
  }

  /** Holds "no such volume" against the world: the volume was there all the time and every read must show it. */
  #mayBeAbsent(name: string): (error: unknown) => void {
    const before = this.volumeOf(name);
    const known = before !== undefined && Date.now() - Date.parse(before.createdAt) > knownMs;
    return (error) => {
      if (known && this.volumeOf(name)?.id === before.id && isCode(error, 'NO_SUCH_VOLUME'))
        this.broken('exists', `${name} is ${before.id}, and yet: ${(error as Error).message}`);
    };
  }

  /** Runs a call that changes whether a name exists. */
  #changingCall(name: string, call: Promise<unknown> | undefined, done: (alone: boolean) => void): void {
    const mine = (this.#changing.get(name) ?? 0) + 1;
    this.#changing.set(name, mine);
    call?.then(
      () => done(this.#changing.get(name) === mine),
      () => undefined,
    );
  }

  create(node: NodeOf, name: string): void {
    const call = this.#call(node, `create ${name}`, (driver) => driver.create(name, {}));
    this.#changingCall(name, call, (alone) => {
      const stale = Date.now() - (this.#lastSeen.get(name) ?? Number.NEGATIVE_INFINITY) < knownMs;
      if (alone && !stale && this.volumeOf(name) === undefined)
        this.broken('create', `${name} was made and is not there`);
    });
  }

  remove(node: NodeOf, name: string): void {
    const before = this.volumeOf(name);
    const known = before !== undefined && Date.now() - Date.parse(before.createdAt) > knownMs;
    const call = this.#call(node, `remove ${name}`, (driver) => driver.remove(name));
    this.#changingCall(name, call, () => {
      if (known && this.volumeOf(name)?.id === before.id)
        this.broken('remove', `${before.id} was removed and is there`);
    });
  }

  look(node: NodeOf, name: string, verb: 'get' | 'path'): void {
    const check = this.#mayBeAbsent(name);
    let held = false;
    const call = this.#call(node, `${verb} ${name}`, async (driver) => {
      held = node.journal.records.has(name);
      let answered = false;
      const answer = driver[verb](name);
      answer.then(
        () => {
          answered = true;
        },
        () => undefined,
      );
      // An answer from memory needs no time; every call of EC2 does.
      for (let turn = 0; turn < 20; turn++) await undefined;
      if (held && !answered) this.broken('get', `${verb} of ${name}, held on ${idOf(node)}, is not from memory`);
      return answer;
    });
    call?.catch((error: Error) => {
      check(error);
      if (held) this.broken('get', `${verb} of ${name}, held on ${idOf(node)}: ${error.message}`);
    });
  }

  list(node: NodeOf): void {
    this.#call(node, 'list', (driver) => driver.list())?.catch(() => undefined);
  }

  /** Mounts; a caller may leave after a while, and a container may start on what it gets. */
  mount(node: NodeOf, name: string, id: string | undefined, more: { leavesMs?: number; containerMs?: number }): void {
    const { machine, life } = node;
    const left = new AbortController();
    const { signal } = left;
    if (more.leavesMs !== undefined) void delay(more.leavesMs).then(() => left.abort());
    const began = Date.now();
    const check = this.#mayBeAbsent(name);
    const call = this.#call(node, `mount ${name} ${id ?? 'anonymous'}`, (driver) => driver.mount(name, id, { signal }));
    call?.then((directory) => {
      const disk = machine.mounted.get(targetOf(name));
      const volumeId = disk?.volumeId ?? '';
      if (directory !== `${targetOf(name)}/data` || disk === undefined)
        return this.broken('mounted', `${name} on ${idOf(node)} is not, though Mount succeeded`);
      const harmed = (this.cloud.tampered.get(volumeId) ?? -1) >= began;
      if (!disk.live && !harmed) this.broken('mounted', `${name} on ${idOf(node)} is a ghost, though Mount succeeded`);
      if (disk.live) this.#checkContent(volumeId, disk.records ?? []);
      const others = node.holders.filter((each) => each.name !== name || each.id !== id);
      node.holders = [...others, { name, id, volumeId, began }];
      const { containerMs } = more;
      if (containerMs !== undefined) void delay(containerMs).then(() => this.#startContainer(node, life, name, id));
    }, check);
  }

  #startContainer(node: NodeOf, life: number, name: string, id: string | undefined): void {
    const { machine } = node;
    const holder = node.holders.find((each) => each.name === name && each.id === id);
    if (node.life !== life || holder === undefined) return;
    const disk = machine.mounted.get(targetOf(name));
    const harmed = (this.cloud.tampered.get(holder.volumeId) ?? -1) >= holder.began;
    if (disk === undefined || !disk.live) {
      const ended = this.#mayHaveEnded(node, holder);
      if (!harmed && !ended) this.broken('mounted', `${name} on ${idOf(node)} went before its container ${id} started`);
      return;
    }
    const container: Container = { name, disk, id: id ?? null };
    machine.containers.add(container);
    this.note(`${idOf(node)} container ${id ?? 'anonymous'} starts on ${name}`);
    this.write(node, container);
  }

  /** An Unmount of the holder itself; without the records of before, an Unmount of the volume counts for anybody. */
  #mayHaveEnded({ unmounted, lostJournalAt }: NodeOf, { name, id, began }: Holder): boolean {
    if ((unmounted.get(`${name} ${id}`) ?? -1) >= began) return true;
    const last = Math.max(...[...unmounted].filter(([who]) => who.startsWith(`${name} `)).map(([, at]) => at));
    return lostJournalAt >= began && last >= lostJournalAt;
  }

  write({ machine }: NodeOf, { disk }: Container): void {
    this.#records += 1;
    const record = `r${this.#records}`;
    if (!machine.write(disk, record)) return;
    this.acknowledged.set(disk.volumeId, [...(this.acknowledged.get(disk.volumeId) ?? []), record]);
    this.#checkContent(disk.volumeId, this.cloud.records.get(disk.volumeId) ?? []);
  }

  #checkContent(volumeId: string, found: readonly string[]): void {
    const missing = (this.acknowledged.get(volumeId) ?? []).filter((record) => !found.includes(record));
    if (missing.length > 0) this.broken('data', `${volumeId} has lost ${missing.join(', ')}`);
  }

  containers(): { node: NodeOf; container: Container }[] {
    return this.nodes.flatMap((node) => [...node.machine.containers].map((container) => ({ node, container })));
  }

  /** A container ends; dockerd says so, or not. */
  endContainer(node: NodeOf, container: Container, says: boolean): void {
    node.machine.containers.delete(container);
    this.note(`${idOf(node)} container ${container.id ?? 'anonymous'} of ${container.name} ends`);
    if (says) this.unmount(node, container.name, container.id ?? undefined);
  }

  unmount(node: NodeOf, name: string, id: string | undefined): void {
    if (node.daemon !== undefined) node.holders = node.holders.filter((each) => each.name !== name || each.id !== id);
    node.unmounted.set(`${name} ${id}`, Date.now());
    const call = this.#call(node, `unmount ${name} ${id ?? 'anonymous'}`, (driver) => driver.unmount(name, id));
    call?.catch(() => undefined);
  }

  /** The daemon is killed and starts anew without its records. */
  loseJournal(node: NodeOf): void {
    this.killDaemon(node);
    node.lostJournalAt = Date.now();
    node.journal.records.clear();
    this.startDaemon(node);
  }

  reboot(node: NodeOf): void {
    if (!node.machine.powered) return;
    this.killDaemon(node);
    this.note(`${idOf(node)} reboots`);
    node.life += 1;
    node.holders = [];
    node.machine.powerOff('cut');
    node.machine.powerOn();
  }

  /** Stops an instance: until it is stopped, its machine works on. */
  async stop(node: NodeOf, how: 'cut' | 'hibernate'): Promise<void> {
    const id = idOf(node);
    if (this.cloud.instances.get(id)?.state !== 'running') return;
    this.note(`${id} stops (${how})`);
    this.cloud.setInstance(id, { state: 'stopping', stateReason: undefined });
    await delay(2000);
    if (this.cloud.instances.get(id)?.state !== 'stopping') return;
    this.#losePower(node, how);
    const stateReason = how === 'cut' ? 'Client.UserInitiatedShutdown' : 'Client.UserInitiatedHibernate';
    this.cloud.setInstance(id, { state: 'stopped', stateReason });
    this.note(`${id} is stopped`);
  }

  async start(node: NodeOf): Promise<void> {
    const id = idOf(node);
    if (this.cloud.instances.get(id)?.state !== 'stopped') return;
    this.note(`${id} starts`);
    this.cloud.setInstance(id, { state: 'pending', stateReason: undefined });
    await delay(1000);
    if (this.cloud.instances.get(id)?.state !== 'pending') return;
    this.cloud.setInstance(id, { state: 'running', launchTime: new Date().toISOString() });
    node.machine.powerOn();
    this.startDaemon(node);
  }

  async terminate(node: NodeOf): Promise<void> {
    const id = idOf(node);
    const living = this.nodes.filter((each) => !this.#isGone(each));
    if (living.length <= 1 || this.#isGone(node)) return;
    this.note(`${id} is terminated`);
    this.cloud.setInstance(id, { state: 'shutting-down' });
    await delay(2000);
    this.#losePower(node, 'cut');
    this.cloud.terminated(id);
  }

  #isGone(node: NodeOf): boolean {
    return /shutting-down|terminated/.test(this.cloud.instances.get(idOf(node))?.state ?? '');
  }

  #losePower(node: NodeOf, how: 'cut' | 'hibernate'): void {
    this.killDaemon(node);
    if (how === 'cut') {
      node.life += 1;
      node.holders = [];
    }
    node.machine.powerOff(how);
  }

  force(name: string, andDelete: boolean): void {
    const volume = this.volumeOf(name);
    if (volume === undefined) return;
    this.note(`somebody detaches ${volume.id} by force${andDelete ? ' and deletes it' : ''}`);
    this.cloud.force(volume, andDelete);
    for (const node of this.nodes) node.holders = node.holders.filter(({ volumeId }) => volumeId !== volume.id);
  }

  /** Ends every fault and every user, and looks whether the world comes to rest, and still serves. */
  async end(names: readonly string[]): Promise<void> {
    this.note('--- the end: no more faults');
    this.cloud.clearFaults();
    for (const node of this.nodes) {
      node.machine.faults.clear();
      node.journal.isFull = () => false;
    }
    await this.pass(10_000);
    for (const node of this.nodes) void this.start(node);
    await this.pass(2000);
    for (const node of this.nodes) this.startDaemon(node);
    await this.#answered(names);
    for (const { node, container } of this.containers()) this.endContainer(node, container, this.random() < 0.5);
    for (const node of this.nodes) for (const name of names) this.unmount(node, name, undefined);
    await this.pass(120_000);
    for (const reason of await this.#waits(names)) this.broken('end', reason);
    this.#checkRest('at rest');
    if (this.failures.length > 0) return;
    for (const name of names) await this.#mountFresh(name);
    await this.pass(60_000);
    this.#checkRest('after fresh mounts');
  }

  /** Waits for every call, and for the containers that start after. */
  async #answered(names: readonly string[]): Promise<void> {
    for (let waited = 0; this.#pending.size > 0 && waited < 600_000; waited += 5000) await this.pass(5000);
    if (this.#pending.size === 0) return this.pass(5000);
    for (const reason of await this.#waits(names)) this.note(reason);
    for (const left of this.#pending.values()) this.broken('end', `still under way: ${left}`);
  }

  /** What the drivers say that they wait for. */
  async #waits(names: readonly string[]): Promise<string[]> {
    const found: string[] = [];
    for (const node of this.nodes) {
      const driver = await node.daemon?.driver;
      for (const name of names) {
        const reason = driver?.waitingFor(name);
        if (reason !== undefined) found.push(`${name} on ${idOf(node)} waits for ${reason}`);
      }
    }
    return found;
  }

  async #mountFresh(name: string): Promise<void> {
    if (this.volumeOf(name) === undefined) return;
    const able = this.nodes.filter(({ daemon }) => daemon !== undefined);
    const node = able[Math.floor(this.random() * able.length)];
    if (node === undefined) return;
    let outcome: string | undefined;
    this.#call(node, `mount ${name} for the last time`, (driver) => driver.mount(name, 'last'))?.then(
      () => {
        outcome = 'mounted';
      },
      (error: Error) => {
        outcome = error.message;
      },
    );
    for (let waited = 0; outcome === undefined && waited < 120_000; waited += 1000) await this.pass(1000);
    const disk = node.machine.mounted.get(targetOf(name));
    if (outcome !== 'mounted' || disk === undefined)
      this.broken('end', `a fresh mount of ${name} fails: ${outcome ?? 'no answer'}`);
    else this.#checkContent(disk.volumeId, disk.records ?? []);
    this.unmount(node, name, 'last');
  }

  #checkRest(when: string): void {
    for (const { id, state, attachments } of this.cloud.volumes.values()) {
      if (attachments.length > 0 || state !== 'available')
        this.broken('end', `${when}: ${id} is ${state}, ${JSON.stringify(attachments)}`);
      this.#checkContent(id, this.cloud.records.get(id) ?? []);
    }
    for (const { machine, journal, daemon, lostJournalAt } of this.nodes) {
      const left = [...journal.records.values()].map(({ name, phase }) => `a record of ${name} (${phase})`);
      left.push(
        ...[...machine.mounted]
          .filter(([, disk]) => disk.live || lostJournalAt < 0)
          .map(([target]) => `a mount at ${target}`),
      );
      if (daemon !== undefined && left.length > 0)
        this.broken('end', `${when}: ${machine.instanceId} has ${left.join(', ')}`);
    }
  }
}

export const idOf = (node: NodeOf): string => node.machine.instanceId;
const targetOf = (name: string): string => mountpointOf(settings, name);

function signalOf(arg: unknown): AbortSignal | undefined {
  if (arg instanceof AbortSignal) return arg;
  if (typeof arg !== 'object' || arg === null || !('signal' in arg)) return undefined;
  return arg.signal instanceof AbortSignal ? arg.signal : undefined;
}
