import { tagKeys } from '../../src/ebs/tags.ts';
import type {
  Attachment,
  AttachmentKey,
  CallOptions,
  CreateVolumeSpec,
  EbsVolume,
  Ec2,
  Instance,
} from '../../src/ebs/types.ts';
import type { DiskContent } from '../../src/host/types.ts';
import { ec2Error, FakeEc2 } from '../support/fake-ec2.ts';
import type { Machine } from './machine.ts';
import type { Witness } from './plugged.ts';

export type Ec2Fault = 'throttle' | 'error' | 'lost' | 'slow' | 'stale' | 'stuck-attaching' | 'stuck-detaching';
type Volume = Parameters<FakeEc2['endAttachment']>[0];
type Attached = Parameters<FakeEc2['endAttachment']>[1];

interface Sight {
  readonly at: number;
  readonly volumes: ReadonlyMap<string, EbsVolume>;
  readonly instances: ReadonlyMap<string, Instance>;
}

/** The oldest answer a stale read gives. */
export const stalenessMs = 8000;
const slowMs = 10_000;
/** Reads whose answers come from copies that lag behind. */
const mayBeStale = /^(find|list|describe(Volume|Instance)$)/;

/**
 * The network before FakeEc2, which knows EC2's rules: calls that come late, fail, lose their answer or get an old
 * one. It is a layer of its own because it must be random and also a witness: of whose disk a detach takes.
 */
export class Cloud extends FakeEc2 {
  /** What is written on each volume, durably. */
  readonly records = new Map<string, string[]>();
  readonly machines = new Map<string, Machine>();
  /** What each snapshot holds, and with how many records of another a volume began. */
  readonly taken = new Map<
    string,
    { readonly records: readonly string[]; readonly content: DiskContent | undefined }
  >();
  readonly copied = new Map<string, number>();
  /** Completed mkfs runs. */
  readonly mkfs = new Map<string, number>();
  /** Volumes that were detached by force or deleted behind the driver's back. */
  readonly tampered = new Map<string, number>();
  /** For people: every call that changed something. */
  note: (text: string) => void = () => {};
  readonly #until = new Map<Ec2Fault, number>();
  readonly #stuck: [Volume, Attached][] = [];
  readonly #history: Sight[] = [];
  readonly #witness: Witness;
  readonly #random: () => number;
  /** When the call was sent that made an attachment. */
  readonly #madeAt = new WeakMap<Attached, number>();
  /** When the call that takes effect now was sent. */
  #sentAt = 0;
  #byForce = false;

  constructor(random: () => number, witness: Witness) {
    super();
    this.#random = random;
    this.#witness = witness;
    this.watch(() => this.#remember());
  }

  /** Faults strike every other call for a while. */
  fault(kind: Ec2Fault, ms: number): void {
    this.#until.set(kind, Date.now() + ms);
  }

  clearFaults(): void {
    this.#until.clear();
    for (const [volume, attachment] of this.#stuck.splice(0)) this.endAttachment(volume, attachment);
  }

  formatted(volumeId: string): void {
    const times = (this.mkfs.get(volumeId) ?? 0) + 1;
    this.mkfs.set(volumeId, times);
    if (times > 1) this.#witness.broken('mkfs', `${volumeId} was formatted ${times} times`);
  }

  /** A person detaches a volume by force, or deletes it too. */
  force(volume: Volume, andDelete: boolean): void {
    this.tampered.set(volume.id, Date.now());
    this.#byForce = true;
    for (const attachment of [...volume.attachments]) this.endAttachment(volume, attachment);
    this.#byForce = false;
    if (andDelete) this.volumes.delete(volume.id);
    this.#remember();
  }

  /** The instance is gone for good, and its attachments with it. */
  terminated(instanceId: string): void {
    this.setInstance(instanceId, { state: 'terminated' });
    this.#byForce = true;
    for (const volume of this.volumes.values()) {
      for (const each of [...volume.attachments]) if (each.instanceId === instanceId) this.endAttachment(volume, each);
    }
    this.#byForce = false;
    this.#remember();
  }

  /** One call as it goes over the network: late, failed, with its answer lost, with an old answer. */
  async over<T>(method: keyof Ec2, args: unknown[], wasSent: () => boolean): Promise<T> {
    const sentAt = Date.now();
    await this.#latency('slow');
    // What was never sent is never answered.
    if (!wasSent()) return new Promise(() => {});
    this.#sentAt = sentAt;
    const reads = /^(find|list|describe|attachmentLimit|denied)/.test(method);
    if (this.#strikes('throttle')) throw ec2Error('EC2_THROTTLED');
    if (this.#strikes('error')) throw ec2Error('EC2_UNAVAILABLE');
    this.#remember();
    const [first] = args;
    const what = typeof first === 'object' ? JSON.stringify(first) : args.map((arg) => JSON.stringify(arg)).join(' ');
    try {
      const answer =
        mayBeStale.test(method) && this.#strikes('stale') ? this.#old(method, args) : await this.#now(method, args);
      if (!reads) this.note(`EC2 ${method} ${what}`);
      this.#remember();
      if (this.#strikes('lost')) throw ec2Error('EC2_UNAVAILABLE', 'the answer was lost');
      return answer as T;
    } catch (error) {
      if (!reads) this.note(`EC2 ${method} ${what}: ${(error as Error).message}`);
      throw error;
    } finally {
      await this.#latency('slow');
    }
  }

  override addSnapshot(volumeId: string, change: Parameters<FakeEc2['addSnapshot']>[1] = {}) {
    const snapshot = super.addSnapshot(volumeId, change);
    const records = this.records.get(volumeId) ?? [];
    this.taken.set(snapshot.id, { records: [...records], content: this.contents.get(volumeId) });
    return snapshot;
  }

  override async createVolume(spec: CreateVolumeSpec): Promise<EbsVolume> {
    const { sourceVolumeId = '', snapshotId = '' } = spec;
    const source = { records: this.records.get(sourceVolumeId) ?? [], content: this.contents.get(sourceVolumeId) };
    const { records, content } = this.taken.get(snapshotId) ?? source;
    const before = new Set(this.volumes.keys());
    const answer = await super.createVolume(spec);
    if (before.has(answer.id) || content === undefined) return answer;
    this.contents.set(answer.id, content);
    this.records.set(answer.id, [...records]);
    this.copied.set(answer.id, records.length);
    return answer;
  }

  override async attachVolume(key: AttachmentKey): Promise<Attachment> {
    const { state } = this.instances.get(key.instanceId) ?? {};
    if (state !== 'running' && state !== 'stopped') throw ec2Error('EC2_INCORRECT_STATE', `the instance is ${state}`);
    if (this.#strikes('stuck-attaching')) this.neverPlugged.add(key.volumeId);
    else this.neverPlugged.delete(key.volumeId);
    const answer = await super.attachVolume(key);
    const made = this.volumes.get(key.volumeId)?.attachments.at(-1);
    // EC2 counts in whole seconds.
    const attachTime = answer.attachTime.replace(/\.\d+/, '.000');
    if (made !== undefined) {
      made.attachTime = attachTime;
      this.#madeAt.set(made, this.#sentAt);
    }
    return { ...answer, attachTime };
  }

  override async detachVolume(
    key: AttachmentKey,
    options: CallOptions & { readonly force?: boolean } = {},
  ): Promise<Attachment> {
    const answer = await super.detachVolume(key, options);
    this.#checkUnused(key.volumeId, key.instanceId, 'is accepted');
    const attachment = this.volumes.get(key.volumeId)?.attachments.find(({ device }) => device === key.device);
    if (attachment !== undefined && (this.#madeAt.get(attachment) ?? 0) > this.#sentAt)
      this.#witness.broken('I3', `a detach sent before hits ${JSON.stringify(attachment)}`);
    if (attachment !== undefined && this.#strikes('stuck-detaching')) attachment.state = 'busy';
    return answer;
  }

  override endAttachment(volume: Volume, attachment: Attached): void {
    if (attachment.state === 'detached') return;
    if (attachment.state === 'busy' && this.#isOn('stuck-detaching') && !this.#byForce) {
      this.#stuck.push([volume, attachment]);
      return;
    }
    if (!this.#byForce) this.#checkUnused(volume.id, attachment.instanceId ?? '', 'takes effect');
    super.endAttachment(volume, attachment);
  }

  #checkUnused(volumeId: string, instanceId: string, what: string): void {
    const users = this.machines.get(instanceId)?.users(volumeId) ?? [];
    if (users.length === 0) return;
    this.#witness.broken('I2', `a detach of ${volumeId} from ${instanceId} ${what} under ${users.join(', ')}`);
  }

  async #latency(fault: Ec2Fault): Promise<void> {
    const ms = this.#strikes(fault) ? this.#random() * slowMs : 1 + this.#random() * 60;
    await new Promise((resolve) => void setTimeout(resolve, Math.ceil(ms)));
  }

  #isOn = (kind: Ec2Fault): boolean => (this.#until.get(kind) ?? 0) > Date.now();
  #strikes = (kind: Ec2Fault): boolean => this.#isOn(kind) && this.#random() < 0.5;

  #now(method: keyof Ec2, args: unknown[]): Promise<unknown> {
    const call = this[method] as (...given: unknown[]) => Promise<unknown>;
    return call.apply(this, args);
  }

  /** The same read as of some time ago. */
  #old(method: keyof Ec2, [key]: unknown[]): unknown {
    const then = Date.now() - this.#random() * stalenessMs;
    const { volumes, instances } = this.#history.findLast(({ at }) => at <= then) ?? this.#sight();
    if (method === 'describeVolume') return volumes.get(String(key));
    if (method === 'describeInstance') return instances.get(String(key));
    const all = [...volumes.values()];
    if (method === 'listVolumes') return all;
    if (method === 'findDisplayed') return all.filter(({ tags }) => tags[tagKeys.displayName] === key);
    if (method === 'findTagged') return all.filter(({ tags }) => String(key) in tags);
    return all.filter(({ tags }) => tags[tagKeys.name] === key);
  }

  #remember(): void {
    this.#history.push(this.#sight());
    while ((this.#history[1]?.at ?? Number.POSITIVE_INFINITY) < Date.now() - stalenessMs) this.#history.shift();
  }

  #sight(): Sight {
    const disks = [...this.volumes.values()].flatMap(({ attachments }) => attachments.map((each) => ({ ...each })));
    return {
      at: Date.now(),
      volumes: new Map(
        [...this.volumes].map(([id, { listedFrom: _, ...volume }]) => [
          id,
          { ...volume, tags: { ...volume.tags }, attachments: volume.attachments.map((each) => ({ ...each })) },
        ]),
      ),
      instances: new Map(
        [...this.instances].map(([id, instance]) => [
          id,
          {
            ...instance,
            answeredAt: new Date().toISOString(),
            disks: disks.filter(({ instanceId }) => instanceId === id),
          },
        ]),
      ),
    };
  }
}
