import { tagKeys } from '../../src/ebs/tags.ts';
import type {
  Attachment,
  AttachmentKey,
  CreateVolumeSpec,
  EbsVolume,
  Ec2,
  Instance,
  Tags,
} from '../../src/ebs/types.ts';
import type { DiskContent } from '../../src/host/types.ts';
import { ec2Error, later, type Mutable } from './fake-instances.ts';
import { FakeModifications } from './fake-modifications.ts';

export { ec2Error };

type FakeVolume = Mutable<Omit<EbsVolume, 'attachments' | 'tags'>> & {
  attachments: Mutable<Attachment>[];
  tags: Record<string, string>;
  listedFrom: number;
};

/**
 * The one model of EC2 in memory: volume states, client tokens, attach as compare-and-swap. Times are those of the
 * global timers. Faults are set one by one; `Cloud` in test/property/ puts a network with random faults before it.
 */
export class FakeEc2 extends FakeModifications implements Ec2 {
  readonly volumes = new Map<string, FakeVolume>();
  /** What is written on each volume; blank unless told. */
  readonly contents = new Map<string, DiskContent>();
  /** Disks as the machines see them: "vol-1 i-1" to the EC2 device name. */
  readonly plugged = new Map<string, string>();
  /** Device names that EC2 refuses though nothing shows why. */
  readonly secretlyTaken = new Set<string>();
  /** Volumes whose disk never comes up in a machine. */
  readonly neverPlugged = new Set<string>();
  /** Where a ClientToken counts. */
  tokenScope: 'region' | 'zone' = 'region';
  /** The account encrypts what is made, whatever is asked. */
  encryptsByDefault = false;
  createMs = 600;
  attachMs = 2000;
  detachMs = 2000;
  /** From the detach on until the machine no longer has the disk. */
  unplugMs = 2000;
  /** From CreateVolume on until reads list the volume. */
  listedAfterMs = 0;
  readonly #tokens = new Map<string, { spec: string; volumeId: string }>();
  #count = 0;

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

  findVolumes(nameTag: string): Promise<EbsVolume[]> {
    return this.call('findVolumes', [nameTag], () =>
      this.#listed().filter((volume) => volume.tags[tagKeys.name] === nameTag),
    );
  }

  findDisplayed(name: string): Promise<EbsVolume[]> {
    return this.call('findDisplayed', [name], () =>
      this.#listed().filter(({ tags }) => tags[tagKeys.displayName] === name),
    );
  }

  findTagged(tagKey: string): Promise<EbsVolume[]> {
    return this.call('findTagged', [tagKey], () => this.#listed().filter(({ tags }) => tagKey in tags));
  }

  listVolumes(): Promise<EbsVolume[]> {
    return this.call('listVolumes', [], () => this.#listed());
  }

  describeVolume(volumeId: string): Promise<EbsVolume | undefined> {
    return this.call('describeVolume', [volumeId], () => {
      const volume = this.volumes.get(volumeId);
      return volume === undefined ? undefined : sight(volume);
    });
  }

  createVolume({ clientToken, ...spec }: CreateVolumeSpec): Promise<EbsVolume> {
    return this.call('createVolume', [{ ...spec, clientToken }], () => {
      const token = this.tokenScope === 'zone' ? `${clientToken} ${spec.zone}` : clientToken;
      const earlier = this.#tokens.get(token);
      // Another zone is no mismatch (AWS "Ensuring idempotency in Amazon EC2 API requests").
      const asked = JSON.stringify({ ...spec, zone: undefined });
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
        encrypted: spec.encrypted ?? this.encryptsByDefault,
        kmsKeyId: spec.kmsKeyId,
        snapshotId: spec.snapshotId,
        ...(spec.sourceVolumeId === undefined ? {} : { encrypted: this.#volume(spec.sourceVolumeId).encrypted }),
        tags: { ...spec.tags },
        listedFrom: Date.now() + this.listedAfterMs,
      });
      const taken = this.snapshots.find(({ id }) => id === spec.snapshotId);
      const copied = this.contents.get(spec.sourceVolumeId ?? taken?.volumeId ?? '');
      if (copied !== undefined) this.contents.set(volume.id, copied);
      this.#tokens.set(token, { spec: asked, volumeId: volume.id });
      later(this.createMs, () => {
        if (volume.state === 'creating') volume.state = 'available';
      });
      // However soon it is made, only a repeated answer shows another state.
      return { ...sight(volume), state: 'creating' };
    });
  }

  deleteVolume(volumeId: string): Promise<void> {
    return this.call('deleteVolume', [volumeId], () => {
      if (this.#volume(volumeId).attachments.length > 0) throw ec2Error('EC2_VOLUME_IN_USE');
      this.volumes.delete(volumeId);
    });
  }

  attachVolume({ card, ...key }: AttachmentKey & { readonly card?: number | undefined }): Promise<Attachment> {
    const { volumeId, instanceId, device } = key;
    return this.call('attachVolume', [card === undefined ? key : { ...key, card }], () => {
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

  detachVolume(
    key: AttachmentKey,
    { force = false, inTurn = (send) => send() }: NonNullable<Parameters<Ec2['detachVolume']>[1]> = {},
  ): Promise<Attachment> {
    const send = <T>(work: () => T) => inTurn(() => this.call('detachVolume', force ? [key, { force }] : [key], work));
    return send(() => {
      const { volumeId, instanceId, device } = key;
      const volume = this.#volume(volumeId);
      if (volume.attachments.length === 0) throw ec2Error('EC2_INCORRECT_STATE');
      const attachment = volume.attachments.find((each) => each.instanceId === instanceId && each.device === device);
      if (attachment === undefined) throw ec2Error('EC2_NOT_ATTACHED');
      if (attachment.state === 'detaching' && !force) throw ec2Error('EC2_INCORRECT_STATE');
      attachment.state = 'detaching';
      if (this.unplugMs < this.detachMs) later(this.unplugMs, () => this.#plug(`${volumeId} ${instanceId}`, undefined));
      later(this.detachMs, () => this.endAttachment(volume, attachment));
      return { ...attachment };
    });
  }

  /** The end of an attachment, whoever asked for it. */
  endAttachment(volume: FakeVolume, attachment: Mutable<Attachment>): void {
    if (attachment.state === 'detached') return;
    attachment.state = 'detached';
    volume.attachments = volume.attachments.filter((each) => each !== attachment);
    if (volume.attachments.length === 0) volume.state = 'available';
    this.#plug(`${volume.id} ${attachment.instanceId}`, undefined);
  }

  createTags(resourceIds: string | readonly string[], tags: Tags): Promise<void> {
    return this.call('createTags', [resourceIds, tags], () => {
      for (const resource of [resourceIds].flat().map((id) => this.#tagged(id))) Object.assign(resource.tags, tags);
    });
  }

  deleteTags(
    resourceIds: string | readonly string[],
    tags: Readonly<Record<string, string | undefined>>,
  ): Promise<void> {
    return this.call('deleteTags', [resourceIds, tags], () => {
      for (const resource of [resourceIds].flat().map((id) => this.#tagged(id))) {
        for (const [key, value] of Object.entries(tags)) {
          if (value === undefined || resource.tags[key] === value) delete resource.tags[key];
        }
      }
    });
  }

  describeInstance(instanceId: string): Promise<Instance | undefined> {
    return this.call('describeInstance', [instanceId], () => {
      const instance = this.instances.get(instanceId);
      return instance === undefined
        ? undefined
        : { ...instance, disks: this.#disksOf(instanceId), answeredAt: wholeSecond(Date.now()) };
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
      .filter(({ tags, listedFrom }) => tags[tagKeys.cluster] === this.cluster && listedFrom <= Date.now())
      .map(sight);
  }

  #tagged(id: string): { readonly tags: Record<string, string> } {
    return this.snapshots.find((each) => each.id === id) ?? this.#volume(id);
  }

  #volume(id: string): FakeVolume {
    const volume = this.volumes.get(id);
    if (volume === undefined) throw ec2Error('EC2_NO_SUCH_VOLUME');
    return volume;
  }

  #plug(slot: string, device: string | undefined): void {
    if (device === undefined) this.plugged.delete(slot);
    else this.plugged.set(slot, device);
    this.changed();
  }
}

/** What an answer of EC2 shows: a copy, so that later changes do not reach it. */
function sight({ listedFrom: _, ...volume }: FakeVolume): EbsVolume {
  return structuredClone(volume);
}

/** As a Date header has it. */
const wholeSecond = (ms: number): string => new Date(Math.floor(ms / 1000) * 1000).toISOString();
