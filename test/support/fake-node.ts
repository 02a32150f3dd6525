import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { loadSettings, type Settings } from '../../src/config.ts';
import { tagKeys } from '../../src/ebs/tags.ts';
import type { EbsVolume } from '../../src/ebs/types.ts';
import { DriverError } from '../../src/errors.ts';
import { openFencing } from '../../src/fencing/fencing.ts';
import { connect } from '../../src/volumes/connect.ts';
import { recall } from '../../src/volumes/lifecycle/recall.ts';
import { createVolume } from '../../src/volumes/requests/create.ts';
import { holdVolume, letVolumeGo } from '../../src/volumes/requests/hold.ts';
import { removeVolume } from '../../src/volumes/requests/remove.ts';
import type { DeviceUse } from '../../src/volumes/state/devices.ts';
import { type Ghost, openGhosts } from '../../src/volumes/state/ghosts.ts';
import type { Held } from '../../src/volumes/state/held.ts';
import type { Allowance, Identity, Journal, SavedTrash } from '../../src/volumes/state/journal.ts';
import type { LocalState } from '../../src/volumes/state/local.ts';
import { createNameMemory } from '../../src/volumes/state/memory.ts';
import type { Node } from '../../src/volumes/state/node.ts';
import type { ScratchRecord } from '../../src/volumes/state/scratch.ts';
import { FakeAudit } from './fake-audit.ts';
import { FakeEc2 } from './fake-ec2.ts';
import { FakeHost } from './fake-host.ts';
import { played } from './virtual-time.ts';

/** A journal in memory that can be full (nothing can be written) and that keeps every record it was given. */
export class FakeJournal implements Journal {
  readonly records = new Map<string, Held>();
  readonly history: Held[] = [];
  devices: DeviceUse[] = [];
  identity: Identity | undefined;
  allowance: Allowance | undefined;
  known = new Map<string, EbsVolume>();
  /** Says for each write whether it fails. */
  isFull: (write: { op: 'save' | 'saveDevices' | 'forget'; held?: Held }) => boolean = () => false;

  async load() {
    return { held: [...this.records.values()], damaged: [] };
  }

  async save(held: Held): Promise<void> {
    if (this.isFull({ op: 'save', held })) throw journalFull();
    this.records.set(held.name, structuredClone(held));
    this.history.push(structuredClone(held));
  }

  async forget(name: string): Promise<void> {
    if (this.isFull({ op: 'forget' })) throw journalFull();
    this.records.delete(name);
  }

  ghosts: readonly Ghost[] = [];

  async loadGhosts(): Promise<Ghost[]> {
    return [...this.ghosts];
  }

  async saveGhosts(ghosts: readonly Ghost[]): Promise<void> {
    this.ghosts = ghosts;
  }

  scratch: readonly ScratchRecord[] = [];

  async loadScratch(): Promise<ScratchRecord[]> {
    return structuredClone([...this.scratch]);
  }

  async saveScratch(records: readonly ScratchRecord[]): Promise<void> {
    this.scratch = structuredClone([...records]);
  }

  trash: readonly SavedTrash[] = [];

  async loadTrash(): Promise<SavedTrash[]> {
    return [...this.trash];
  }

  async saveTrash(saved: readonly SavedTrash[]): Promise<void> {
    this.trash = saved;
  }

  async loadDevices(): Promise<DeviceUse[]> {
    return this.devices;
  }

  async saveDevices(uses: readonly DeviceUse[]): Promise<void> {
    if (this.isFull({ op: 'saveDevices' })) throw journalFull();
    this.devices = [...uses];
  }

  async loadKnown(cluster: string): Promise<Map<string, EbsVolume>> {
    return new Map([...this.known].filter(([, { tags }]) => tags[tagKeys.cluster] === cluster));
  }

  async saveKnown(known: ReadonlyMap<string, EbsVolume>): Promise<void> {
    this.known = new Map(known);
  }

  async loadAllowance(): Promise<Allowance | undefined> {
    return this.allowance;
  }

  async saveAllowance(allowance: Allowance): Promise<void> {
    this.allowance = allowance;
  }

  reserveUsedSince(): string | undefined {
    return undefined;
  }

  async loadIdentity(): Promise<Identity | undefined> {
    return this.identity;
  }

  async saveIdentity(identity: Identity): Promise<void> {
    this.identity = identity;
  }
}

function journalFull(): DriverError {
  return new DriverError('JOURNAL_FAILED', { tried: 'write the journal', why: 'disk full', todo: 'Free space' });
}

export interface FakeNode extends Node {
  readonly ec2: FakeEc2;
  readonly host: FakeHost;
  readonly journal: FakeJournal;
  /** What outlives the daemon. */
  readonly machine: { readonly host: FakeHost; readonly journal: FakeJournal };
  /** The daemon dies here and now: nothing it has begun goes on, nothing it waits for arrives. */
  kill(): void;
}

export interface FakeNodeParts {
  readonly instanceId?: string;
  readonly zone?: string;
  readonly settings?: Partial<Settings>;
  /** A machine and a journal that were there before, as after a restart of the daemon. */
  readonly host?: FakeHost;
  readonly journal?: FakeJournal;
  readonly audit?: FakeAudit;
}

/** A node as the driver builds it, on a fake EC2 and a fake machine; EC2 has been asked what is attached here. */
export async function fakeNode(ec2: FakeEc2, parts: FakeNodeParts = {}): Promise<FakeNode> {
  const { instanceId = 'i-1', zone = 'eu-west-1a' } = parts;
  const host = parts.host ?? new FakeHost(ec2, instanceId);
  const journal = parts.journal ?? new FakeJournal();
  if (!ec2.instances.has(instanceId)) ec2.addInstance(instanceId, zone);
  const life = new AbortController();
  onTestFinished(() => life.abort());
  const mine = { host: mortal(host, life.signal), journal: mortal(journal, life.signal) };
  // Most tests are about what is gone after a removal.
  const settings = { ...loadSettings(['--root', '/ebs', '--on-remove', 'delete'], {}), ...parts.settings };
  const audit = parts.audit ?? new FakeAudit();
  const local: LocalState = {
    ...mine,
    settings,
    fencing: openFencing(settings, audit.audit),
    log: pino({ level: 'silent' }),
    world: {
      openHost: async () => mine.host,
      openJournal: async () => mine.journal,
      openAudit: () => audit.audit,
      openEc2: () => mortal(ec2, life.signal),
      readIdentity: async () => ({ instanceId, availabilityZone: zone, region: 'eu-west-1' }),
    },
    names: createNameMemory({
      known: await mine.journal.loadKnown(settings.cluster),
      keep: (known) => mine.journal.saveKnown(known),
    }),
    held: new Map([...journal.records].map(([name, held]) => [name, structuredClone(held)])),
    waits: new Map(),
    faults: new Map(),
    ec2Says: new Map(),
    sizes: new Map(),
    growths: new Map(),
    scheduleFaults: new Map(),
    ghosts: await openGhosts(journal, pino({ level: 'silent' })),
    tagLooks: new Map(),
  };
  await recall(local);
  const node = await connect(local, life.signal).node;
  await played(node.survey.done);
  for (const survey of ['describeInstance', 'attachmentLimit', 'listVolumes']) {
    const index = ec2.calls.findIndex(({ method }) => method === survey);
    if (index !== -1) ec2.calls.splice(index, 1);
  }
  return Object.assign(node as FakeNode, { machine: { host, journal }, kill: () => life.abort() });
}

/** The same, until the signal is aborted: from then on no call takes effect and no promise of it settles. */
function mortal<T extends object>(target: T, life: AbortSignal): T {
  return new Proxy(target, {
    get(_, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        if (life.aborted) return new Promise(() => undefined);
        const result: unknown = value.apply(target, args);
        return result instanceof Promise ? whileAlive(result, life) : result;
      };
    },
    set: (_, key, value) => Reflect.set(target, key, value, target),
  });
}

function whileAlive<T>(result: Promise<T>, life: AbortSignal): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  result.then(
    (value) => life.aborted || resolve(value),
    (error: unknown) => life.aborted || reject(error),
  );
  return promise;
}

/** The verbs of a node, each in its volume's queue as the driver runs them, in virtual time. */
export function verbs(node: FakeNode) {
  const inTurn = <T>(name: string, work: () => Promise<T>) => node.queue.run(name, work);
  return {
    create: (name: string, options: Record<string, string> = {}) =>
      played(inTurn(name, () => createVolume(node, name, options))),
    mount: (name: string, id?: string, signal?: AbortSignal, pid?: number) =>
      played(inTurn(name, () => holdVolume(node, name, id, signal, pid))),
    unmount: (name: string, id?: string) => played(inTurn(name, () => letVolumeGo(node, name, id))),
    remove: (name: string) => played(inTurn(name, () => removeVolume(node, name))),
  };
}

/** A node and a volume "a" that exists, before any call has been counted. */
export async function nodeWithVolume(parts: FakeNodeParts = {}) {
  const ec2 = new FakeEc2();
  const node = await fakeNode(ec2, parts);
  const does = verbs(node);
  await does.create('a');
  ec2.calls.length = 0;
  const volume = ec2.volumes.get('vol-1');
  if (volume === undefined) throw new Error('no volume');
  return { ec2, node, volume, ...does };
}
