import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { loadSettings, type Settings } from '../../src/config.ts';
import { DriverError } from '../../src/errors.ts';
import { connect, type LocalState } from '../../src/volumes/connect.ts';
import { createVolume } from '../../src/volumes/create.ts';
import type { Held } from '../../src/volumes/held.ts';
import { holdVolume, letVolumeGo } from '../../src/volumes/hold.ts';
import type { Identity, Journal } from '../../src/volumes/journal.ts';
import type { Node } from '../../src/volumes/node.ts';
import { recall } from '../../src/volumes/recall.ts';
import { removeVolume } from '../../src/volumes/remove.ts';
import type { FakeEc2 } from './fake-ec2.ts';
import { FakeHost } from './fake-host.ts';
import { played } from './virtual-time.ts';

/** A journal in memory that can be full (nothing can be written) and that keeps every record it was given. */
export class FakeJournal implements Journal {
  readonly records = new Map<string, Held>();
  readonly history: Held[] = [];
  devices: string[] = [];
  identity: Identity | undefined;
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

  async loadDevices(): Promise<string[]> {
    return this.devices;
  }

  async saveDevices(names: readonly string[]): Promise<void> {
    if (this.isFull({ op: 'saveDevices' })) throw journalFull();
    this.devices = [...names];
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
}

export interface FakeNodeParts {
  readonly instanceId?: string;
  readonly zone?: string;
  readonly settings?: Partial<Settings>;
  /** A machine and a journal that were there before, as after a restart of the daemon. */
  readonly host?: FakeHost;
  readonly journal?: FakeJournal;
}

/** A node as the driver builds it, on a fake EC2 and a fake machine; EC2 has been asked what is attached here. */
export async function fakeNode(ec2: FakeEc2, parts: FakeNodeParts = {}): Promise<FakeNode> {
  const { instanceId = 'i-1', zone = 'eu-west-1a' } = parts;
  const host = parts.host ?? new FakeHost(ec2, instanceId);
  const journal = parts.journal ?? new FakeJournal();
  if (!ec2.instances.has(instanceId)) ec2.addInstance(instanceId, zone);
  const local: LocalState = {
    settings: { ...loadSettings(['--root', '/ebs'], {}), ...parts.settings },
    log: pino({ level: 'silent' }),
    world: {
      openHost: async () => host,
      openJournal: async () => journal,
      openEc2: () => ec2,
      readIdentity: async () => ({ instanceId, availabilityZone: zone, region: 'eu-west-1' }),
    },
    host,
    journal,
    held: new Map([...journal.records].map(([name, held]) => [name, structuredClone(held)])),
    waits: new Map(),
  };
  await recall(local);
  const closing = new AbortController();
  onTestFinished(() => closing.abort());
  const before = ec2.calls.length;
  const node = await connect(local, closing.signal).node;
  await played(node.surveyed);
  ec2.calls.length = before;
  return node as FakeNode;
}

/** The verbs of a node, each in its volume's queue as the driver runs them, in virtual time. */
export function verbs(node: FakeNode) {
  const inTurn = <T>(name: string, work: () => Promise<T>) => node.queue.run(name, work);
  return {
    create: (name: string, options: Record<string, string> = {}) =>
      played(inTurn(name, () => createVolume(node, name, options))),
    mount: (name: string, id?: string, signal?: AbortSignal) =>
      played(inTurn(name, () => holdVolume(node, name, id, signal))),
    unmount: (name: string, id?: string) => played(inTurn(name, () => letVolumeGo(node, name, id))),
    remove: (name: string) => played(inTurn(name, () => removeVolume(node, name))),
  };
}
