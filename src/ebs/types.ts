/** What the rooms above see of EC2: plain values and one interface. No AWS SDK type leaves `ebs/`. */

export type VolumeState = 'creating' | 'available' | 'in-use' | 'deleting' | 'deleted' | 'error';
export type AttachmentState = 'attaching' | 'attached' | 'detaching' | 'detached' | 'busy';
export type InstanceState = 'pending' | 'running' | 'shutting-down' | 'terminated' | 'stopping' | 'stopped';

export type Tags = Readonly<Record<string, string>>;

/** EC2's record that a volume belongs to an instance: the lock and the lease. */
export interface Attachment {
  readonly volumeId: string;
  /** Absent when the volume is attached to a resource that AWS manages (an ECS or Fargate task). */
  readonly instanceId: string | undefined;
  /** The EC2 device name, as "/dev/xvdba"; not necessarily the name the kernel gives the disk. */
  readonly device: string;
  readonly state: AttachmentState;
  /** RFC 3339 in whole seconds: part of the fencing token, so compared as text. */
  readonly attachTime: string;
  readonly deleteOnTermination: boolean;
}

export interface EbsVolume {
  readonly id: string;
  readonly zone: string;
  readonly state: VolumeState;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly type: string;
  readonly sizeGib: number;
  readonly iops: number | undefined;
  /** MiB/s, gp3 only. */
  readonly throughput: number | undefined;
  readonly encrypted: boolean;
  readonly kmsKeyId: string | undefined;
  readonly snapshotId: string | undefined;
  readonly multiAttach: boolean;
  readonly attachments: readonly Attachment[];
  readonly tags: Tags;
}

export interface Instance {
  readonly id: string;
  readonly state: InstanceState;
  readonly zone: string;
  readonly type: string;
  /** RFC 3339; changes at every start, not at a reboot. */
  readonly launchTime: string;
  /** EC2's StateReason code, as "Client.UserInitiatedShutdown" or "Client.UserInitiatedHibernate". */
  readonly stateReason: string | undefined;
  readonly hibernationConfigured: boolean;
  readonly tags: Tags;
  /** The instance's own view of its disks (BlockDeviceMappings). */
  readonly disks: readonly InstanceDisk[];
}

export interface InstanceDisk {
  readonly device: string;
  readonly volumeId: string;
  readonly state: AttachmentState;
  readonly attachTime: string;
}

export interface CreateVolumeSpec {
  readonly zone: string;
  /** GiB; absent only together with a snapshot, whose size EC2 then takes. */
  readonly sizeGib: number | undefined;
  readonly type: string;
  readonly iops: number | undefined;
  readonly throughput: number | undefined;
  readonly encrypted: boolean | undefined;
  readonly kmsKeyId: string | undefined;
  readonly snapshotId: string | undefined;
  readonly tags: Tags;
  /** At most 64 ASCII characters; the same token with the same parameters gives the same volume. */
  readonly clientToken: string;
}

/** (volume, instance, device): every detach names all three, so a late one cannot hit a newer attachment. */
export interface AttachmentKey {
  readonly volumeId: string;
  readonly instanceId: string;
  readonly device: string;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * The EC2 calls the driver makes, one method a call (reads page until done). Every method throws DriverError with an
 * EC2_* code (or NODE_FULL, WRONG_ZONE); a failed or throttled read throws and never answers "absent".
 */
export interface Ec2 {
  /** All volumes of this cluster whose name tag is `nameTag`, in every zone of the region. */
  findVolumes(nameTag: string, options?: CallOptions): Promise<EbsVolume[]>;
  /** All volumes of this cluster. */
  listVolumes(options?: CallOptions): Promise<EbsVolume[]>;
  /** One volume by id, whatever its tags; undefined when EC2 says there is none. */
  describeVolume(volumeId: string, options?: CallOptions): Promise<EbsVolume | undefined>;
  /** Gives EC2's answer, usually in state "creating" and without attachments. */
  createVolume(spec: CreateVolumeSpec, options?: CallOptions): Promise<EbsVolume>;
  deleteVolume(volumeId: string, options?: CallOptions): Promise<void>;
  attachVolume(key: AttachmentKey, options?: CallOptions): Promise<Attachment>;
  detachVolume(key: AttachmentKey, options?: CallOptions): Promise<Attachment>;
  createTags(resourceId: string, tags: Tags, options?: CallOptions): Promise<void>;
  /** Deletes the tags with these keys, whatever their values. */
  deleteTags(resourceId: string, keys: readonly string[], options?: CallOptions): Promise<void>;
  /** Starts a snapshot; it is complete later, but what it holds is fixed when this returns. */
  createSnapshot(volumeId: string, description: string, tags: Tags, options?: CallOptions): Promise<string>;
  /** One instance by id; undefined when EC2 lists none, which proves nothing about it. */
  describeInstance(instanceId: string, options?: CallOptions): Promise<Instance | undefined>;
}
