import { tagKeys } from '../../src/ebs/tags.ts';
import type {
  Attachment,
  AttachmentKey,
  CreateVolumeSpec,
  EbsVolume,
  Ec2,
  Instance,
  InstanceState,
  Tags,
} from '../../src/ebs/types.ts';
import { DriverError, type ErrorCode } from '../../src/errors.ts';
import type { DiskContent } from '../../src/host/types.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type FakeVolume = Mutable<Omit<EbsVolume, 'attachments' | 'tags'>> & {
  attachments: Mutable<Attachment>[];
  tags: Record<string, string>;
  listedFrom: number;
};
type Method = keyof Ec2;

/** An EC2 error as the adapter would give it. */
export function ec2Error(code: ErrorCode, why = `EC2 said ${code}`): DriverError {
  return new DriverError(code, { tried: 'do as asked', why, todo: 'Look at the test' });
}

/** EC2 in memory: volume states, client tokens, attach as compare-and-swap. Times are those of the global timers. */
export class FakeEc2 implements Ec2 {
  readonly calls: { method: Method; args: unknown[] }[] = [];
  readonly volumes = new Map<string, FakeVolume>();
  readonly instances = new Map<string, Mutable<Omit<Instance, 'disks'>>>();
  /** What is written on each volume; blank unless told. */
  readonly contents = new Map<string, DiskContent>();
  /** Disks as the machines see them: "vol-1 i-1" to the EC2 device name. */
  readonly plugged = new Map<string, string>();
  /** Device names that EC2 refuses though nothing shows why. */
  readonly secretlyTaken = new Set<string>();
  /** Volumes whose disk never comes up in a machine. */
  readonly neverPlugged = new Set<string>();
  createMs = 600;
  attachMs = 2000;
  detachMs = 2000;
  /** From the detach on until the machine no longer has the disk. */
  unplugMs = 2000;
  /** From CreateVolume on until reads list the volume. */
  listedAfterMs = 0;
  readonly #cluster: string;
  readonly #tokens = new Map<string, { spec: string; volumeId: string }>();
  readonly #failures: { method: Method; error: unknown; when: 'instead' | 'after' }[] = [];
  readonly #watchers = new Set<() => void>();
  #count = 0;

  constructor(cluster = 'default') {
    this.#cluster = cluster;
  }

  /** The next call of a method fails: instead of taking effect, or with its answer lost. */
  failNext(method: Method, code: ErrorCode, when: 'instead' | 'after' = 'instead'): void {
    this.#failures.push({ method, error: ec2Error(code), when });
  }

  count(method: Method): number {
    return this.calls.filter((call) => call.method === method).length;
  }

  addInstance(id: string, zone = 'eu-west-1a', state: InstanceState = 'running'): void {
    this.instances.set(id, {
      id,
      state,
      zone,
      type: 'm5.large',
      launchTime: '2026-01-01T00:00:00.000Z',
      stateReason: undefined,
      hibernationConfigured: false,
      tags: {},
    });
  }

  setInstance(id: string, change: Partial<Omit<Instance, 'id' | 'disks'>>): void {
    Object.assign(this.instances.get(id) ?? {}, change);
  }

  /** A volume that is there already. */
  addVolume(change: Partial<Omit<FakeVolume, 'id'>> = {}): FakeVolume {
    this.#count += 1;
    const volume: FakeVolume = {
      id: `vol-${this.#count}`,
      zone: 'eu-west-1a',
      state: 'available',
      createdAt: new Date().toISOString(),
      type: 'gp3',
      sizeGib: 16,
      iops: 3000,
      throughput: 125,
      encrypted: false,
      kmsKeyId: undefined,
      snapshotId: undefined,
      multiAttach: false,
      attachments: [],
      tags: {},
      listedFrom: 0,
      ...change,
    };
    this.volumes.set(volume.id, volume);
    return volume;
  }

  /** An attachment that is there already, its disk in the machine. */
  addAttachment(volume: FakeVolume, instanceId: string | undefined, device = '/dev/xvdba'): Mutable<Attachment> {
    const attachment: Mutable<Attachment> = {
      volumeId: volume.id,
      instanceId,
      device,
      state: 'attached',
      attachTime: new Date().toISOString(),
      deleteOnTermination: false,
    };
    volume.attachments.push(attachment);
    volume.state = 'in-use';
    if (instanceId !== undefined) this.plugged.set(`${volume.id} ${instanceId}`, device);
    return attachment;
  }

  /** Calls back at every change of the disks in the machines, until the returned function is called. */
  watch(changed: () => void): () => void {
    this.#watchers.add(changed);
    return () => this.#watchers.delete(changed);
  }

  findVolumes(nameTag: string): Promise<EbsVolume[]> {
    return this.#call('findVolumes', [nameTag], () =>
      this.#listed().filter((volume) => volume.tags[tagKeys.name] === nameTag),
    );
  }

  listVolumes(): Promise<EbsVolume[]> {
    return this.#call('listVolumes', [], () => this.#listed());
  }

  describeVolume(volumeId: string): Promise<EbsVolume | undefined> {
    return this.#call('describeVolume', [volumeId], () => {
      const volume = this.volumes.get(volumeId);
      return volume === undefined ? undefined : sight(volume);
    });
  }

  createVolume({ clientToken, ...spec }: CreateVolumeSpec): Promise<EbsVolume> {
    return this.#call('createVolume', [{ ...spec, clientToken }], () => {
      const earlier = this.#tokens.get(clientToken);
      const asked = JSON.stringify(spec);
      if (earlier !== undefined) {
        const volume = this.volumes.get(earlier.volumeId);
        if (earlier.spec !== asked) throw ec2Error('EC2_TOKEN_REUSED', 'the parameters are inconsistent');
        if (volume === undefined) throw ec2Error('EC2_TOKEN_REUSED', 'its resource is already deleted');
        return sight(volume);
      }
      const volume = this.addVolume({
        state: 'creating',
        zone: spec.zone,
        type: spec.type,
        sizeGib: spec.sizeGib ?? 8,
        iops: spec.iops ?? 3000,
        throughput: spec.throughput ?? 125,
        encrypted: spec.encrypted ?? false,
        kmsKeyId: spec.kmsKeyId,
        snapshotId: spec.snapshotId,
        tags: { ...spec.tags },
        listedFrom: Date.now() + this.listedAfterMs,
      });
      this.#tokens.set(clientToken, { spec: asked, volumeId: volume.id });
      later(this.createMs, () => {
        if (volume.state === 'creating') volume.state = 'available';
      });
      return sight(volume);
    });
  }

  deleteVolume(volumeId: string): Promise<void> {
    return this.#call('deleteVolume', [volumeId], () => {
      if (this.#volume(volumeId).attachments.length > 0) throw ec2Error('EC2_VOLUME_IN_USE');
      this.volumes.delete(volumeId);
    });
  }

  attachVolume({ volumeId, instanceId, device }: AttachmentKey): Promise<Attachment> {
    return this.#call('attachVolume', [{ volumeId, instanceId, device }], () => {
      const volume = this.#volume(volumeId);
      this.#refuseAttach(volume, instanceId, device);
      const attachment: Mutable<Attachment> = {
        volumeId,
        instanceId,
        device,
        state: 'attaching',
        attachTime: new Date().toISOString(),
        deleteOnTermination: false,
      };
      volume.attachments.push(attachment);
      volume.state = 'in-use';
      later(this.attachMs, () => {
        if (attachment.state !== 'attaching' || this.neverPlugged.has(volumeId)) return;
        attachment.state = 'attached';
        this.#plug(`${volumeId} ${instanceId}`, device);
      });
      return { ...attachment };
    });
  }

  #refuseAttach(volume: FakeVolume, instanceId: string, device: string): void {
    const instance = this.instances.get(instanceId);
    if (instance === undefined) throw ec2Error('EC2_NO_SUCH_INSTANCE');
    if (instance.zone !== volume.zone) throw ec2Error('WRONG_ZONE');
    if (volume.attachments.length > 0) throw ec2Error('EC2_VOLUME_IN_USE');
    if (volume.state !== 'available') throw ec2Error('EC2_INCORRECT_STATE');
    const taken = this.#disksOf(instanceId).some((disk) => disk.device === device);
    if (taken || this.secretlyTaken.has(device)) throw ec2Error('EC2_DEVICE_NAME_IN_USE');
  }

  detachVolume(key: AttachmentKey): Promise<Attachment> {
    return this.#call('detachVolume', [key], () => {
      const { volumeId, instanceId, device } = key;
      const volume = this.#volume(volumeId);
      if (volume.attachments.length === 0) throw ec2Error('EC2_INCORRECT_STATE');
      const attachment = volume.attachments.find((each) => each.instanceId === instanceId && each.device === device);
      if (attachment === undefined) throw ec2Error('EC2_NOT_ATTACHED');
      if (attachment.state === 'detaching') throw ec2Error('EC2_INCORRECT_STATE');
      attachment.state = 'detaching';
      if (this.unplugMs < this.detachMs) later(this.unplugMs, () => this.#plug(`${volumeId} ${instanceId}`, undefined));
      later(this.detachMs, () => this.endAttachment(volume, attachment));
      return { ...attachment };
    });
  }

  /** The end of an attachment, whoever asked for it. */
  endAttachment(volume: FakeVolume, attachment: Mutable<Attachment>): void {
    attachment.state = 'detached';
    volume.attachments = volume.attachments.filter((each) => each !== attachment);
    if (volume.attachments.length === 0) volume.state = 'available';
    this.#plug(`${volume.id} ${attachment.instanceId}`, undefined);
  }

  createTags(resourceId: string, tags: Tags): Promise<void> {
    return this.#call('createTags', [resourceId, tags], () => {
      Object.assign(this.#volume(resourceId).tags, tags);
    });
  }

  deleteTags(resourceId: string, keys: readonly string[]): Promise<void> {
    return this.#call('deleteTags', [resourceId, keys], () => {
      for (const key of keys) delete this.#volume(resourceId).tags[key];
    });
  }

  createSnapshot(volumeId: string, description: string, tags: Tags): Promise<string> {
    return this.#call('createSnapshot', [volumeId, description, tags], () => `snap-of-${this.#volume(volumeId).id}`);
  }

  describeInstance(instanceId: string): Promise<Instance | undefined> {
    return this.#call('describeInstance', [instanceId], () => {
      const instance = this.instances.get(instanceId);
      return instance === undefined ? undefined : { ...instance, disks: this.#disksOf(instanceId) };
    });
  }

  #disksOf(instanceId: string) {
    return [...this.volumes.values()].flatMap(({ attachments }) =>
      attachments
        .filter((each) => each.instanceId === instanceId)
        .map(({ device, volumeId, state, attachTime }) => ({ device, volumeId, state, attachTime })),
    );
  }

  #listed(): EbsVolume[] {
    return [...this.volumes.values()]
      .filter(({ tags, listedFrom }) => tags[tagKeys.cluster] === this.#cluster && listedFrom <= Date.now())
      .map(sight);
  }

  #volume(id: string): FakeVolume {
    const volume = this.volumes.get(id);
    if (volume === undefined) throw ec2Error('EC2_NO_SUCH_VOLUME');
    return volume;
  }

  #plug(slot: string, device: string | undefined): void {
    if (device === undefined) this.plugged.delete(slot);
    else this.plugged.set(slot, device);
    for (const changed of [...this.#watchers]) changed();
  }

  async #call<T>(method: Method, args: unknown[], work: () => T): Promise<T> {
    this.calls.push({ method, args });
    const index = this.#failures.findIndex((failure) => failure.method === method);
    const [failure] = index === -1 ? [] : this.#failures.splice(index, 1);
    if (failure?.when === 'instead') throw failure.error;
    const answer = work();
    if (failure !== undefined) throw failure.error;
    return answer;
  }
}

function later(ms: number, work: () => void): void {
  if (ms === 0) work();
  else setTimeout(work, ms);
}

/** What an answer of EC2 shows: a copy, so that later changes do not reach it. */
function sight({ listedFrom: _, ...volume }: FakeVolume): EbsVolume {
  return structuredClone(volume);
}
