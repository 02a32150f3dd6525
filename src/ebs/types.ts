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
  /**
   * When its last stop or termination was asked for, RFC 3339 in whole seconds, by EC2's clock; undefined where EC2 does
   * not say (StateTransitionReason has a time for what users ask for, none for the end of a spot instance).
   */
  readonly stopAskedAt: string | undefined;
  readonly hibernationConfigured: boolean;
  /** Where it can be reached inside its VPC, as "10.0.0.5" and "ip-10-0-0-5.ec2.internal"; EC2 gives them to others later. */
  readonly privateIp?: string | undefined;
  readonly privateDns?: string | undefined;
  readonly tags: Tags;
  /** The instance's own view of its disks (BlockDeviceMappings). */
  readonly disks: readonly InstanceDisk[];
  /** When EC2 answered, RFC 3339 in whole seconds, by its own clock (the Date header); undefined where the answer lacks it. */
  readonly answeredAt: string | undefined;
}

export interface InstanceDisk {
  readonly device: string;
  readonly volumeId: string;
  readonly state: AttachmentState;
  readonly attachTime: string;
  /** The EBS card that it is on, from 0; absent where EC2 does not say. */
  readonly card?: number;
}

/** One of EC2's checks of an instance (DescribeInstanceStatus). */
export interface HealthCheck {
  /** As EC2 says it: "ok", "impaired", "initializing", "insufficient-data", "not-applicable". */
  readonly status: string;
  /** RFC 3339, by EC2's clock; only while impaired. */
  readonly impairedSince: string | undefined;
}

/** EC2's own view of an instance's health. */
export interface InstanceHealth {
  readonly instanceId: string;
  readonly system: HealthCheck;
  readonly instance: HealthCheck;
  readonly attachedEbs: HealthCheck;
  /** When EC2 answered, RFC 3339, by its own clock (the Date header): ages are measured against it, never against ours. */
  readonly answeredAt: string;
}

/** What EC2 itself sees of a volume's health (DescribeVolumeStatus). */
export interface VolumeStatus {
  /** As EC2 says it: "ok", "impaired", "warning", "insufficient-data". */
  readonly status: string;
  /** True while EC2 serves no I/O of it, since its data may be inconsistent (check `io-enabled` failed). */
  readonly ioDisabled: boolean;
  /** The checks that are not in order, as "io-performance is degraded". */
  readonly findings: readonly string[];
  /** How much of what it was made from is on it, 0 to 1, minutes old at most; absent where EC2 does not say, as of one made empty. */
  readonly initialized?: { readonly share: number; readonly secondsLeft: number | undefined } | undefined;
}

/** How many EBS volumes an instance type takes. */
export interface AttachmentLimit {
  readonly maximum: number;
  /** "shared": network interfaces and instance-store disks count against the same number; "dedicated": they do not. */
  readonly kind: 'shared' | 'dedicated';
  /** How many EBS cards it has; absent where that is one, as nearly everywhere. */
  readonly cards?: number;
}

/** What ModifyVolume changes of a volume. */
export interface VolumeShape {
  readonly sizeGib: number;
  readonly type: string;
  readonly iops: number | undefined;
  /** MiB/s, gp3 only. */
  readonly throughput: number | undefined;
}

/**
 * The last modification of a volume (DescribeVolumesModifications tells of no earlier one). A new size can be used from
 * `optimizing` on; the next modification is taken once it is `completed` or `failed`.
 */
export interface VolumeModification {
  readonly volumeId: string;
  readonly state: 'modifying' | 'optimizing' | 'completed' | 'failed';
  /** Why it failed, where EC2 says so. */
  readonly message: string | undefined;
  /** Percent. */
  readonly progress: number;
  /** RFC 3339, by EC2's clock. */
  readonly startedAt: string;
  readonly original: VolumeShape;
  readonly target: VolumeShape;
}

/** A snapshot as EC2 describes it. */
export interface EbsSnapshot {
  readonly id: string;
  /** What "recoverable" and "recovering" mean is for the Recycle Bin to say: neither is a copy to rely on. */
  readonly state: 'pending' | 'completed' | 'error' | 'recoverable' | 'recovering';
  /** Why it failed, where EC2 says so. */
  readonly message: string | undefined;
  /** The EBS volume it was taken of, if EC2 knows: one that CopySnapshot made has an id that means nothing ("vol-ffffffff"). */
  readonly volumeId: string;
  /** Of the volume it was taken of, GiB: the least that a volume made from it may have. */
  readonly sizeGib: number;
  /** What it holds in all, in bytes; absent where EC2 does not say. */
  readonly fullBytes?: number | undefined;
  /** When it was asked for, RFC 3339: what it holds is what was on the disk then. */
  readonly startedAt: string;
  readonly description: string;
  readonly encrypted: boolean;
  readonly tags: Tags;
}

/** A call whose permission can be asked for without making it (DryRun). */
export type Permission =
  | { readonly action: 'CreateVolume'; readonly spec: CreateVolumeSpec }
  | { readonly action: 'AttachVolume' | 'DetachVolume'; readonly key: AttachmentKey }
  | { readonly action: 'CreateTags' | 'DeleteTags'; readonly resourceId: string; readonly key: string }
  | { readonly action: 'DeleteVolume'; readonly volumeId: string }
  | { readonly action: 'ModifyVolume'; readonly volumeId: string; readonly change: Partial<VolumeShape> }
  | { readonly action: 'CreateSnapshot'; readonly volumeId: string; readonly tags: Tags }
  | {
      readonly action:
        | 'DescribeVolumes'
        | 'DescribeInstanceStatus'
        | 'DescribeSnapshots'
        | 'DescribeVolumesModifications';
    }
  | { readonly action: 'StopInstances'; readonly instanceId: string };

/** Who is served first when EC2's budget is short. */
export type Lane = 'takeover' | 'mount' | 'list';

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
  /** A volume of the same zone that EC2 copies as it is now (CopyVolumes); then without snapshotId, encryption and key. */
  readonly sourceVolumeId?: string | undefined;
  /** MiB/s at which EC2 fetches what a snapshot holds; undefined for when it is read. */
  readonly initializationRate?: number | undefined;
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
  /** "mount" unless told. */
  readonly lane?: Lane | undefined;
  /**
   * For calls that change an attachment, an instance or tags, or delete: asked at each attempt, once it has its turn. False ends the
   * call with nothing more sent: with the signal's reason if that is aborted, else EC2_UNAVAILABLE. `inTurn` (DetachVolume) may
   * look first, and ends the call with what it throws.
   */
  readonly stillValid?: (() => boolean) | undefined;
  readonly inTurn?: OneAttempt | undefined;
}

/** An attempt with something done around it: called when the call has its turn, which may never come. */
export type OneAttempt = <T>(send: () => Promise<T>) => Promise<T>;

/**
 * The EC2 calls the driver makes, paced to EC2's budgets and repeated while that may help. Reads page until done; those
 * of one kind share calls, but a read is only answered from a call sent after it was asked for. Every method throws
 * DriverError with an EC2_* code (or NODE_FULL, WRONG_ZONE); a failed or throttled read throws and never answers
 * "absent".
 */
export interface Ec2 {
  /** All volumes of this cluster whose name tag is `nameTag`, in every zone of the region. */
  findVolumes(nameTag: string, options?: CallOptions): Promise<EbsVolume[]>;
  /** All volumes of this cluster that show this name to people (tag `Name`), whatever their name tag says. */
  findDisplayed(displayName: string, options?: CallOptions): Promise<EbsVolume[]>;
  /** All volumes of this cluster that carry a tag with this key. */
  findTagged(tagKey: string, options?: CallOptions): Promise<EbsVolume[]>;
  /** All volumes of this cluster. */
  listVolumes(options?: CallOptions): Promise<EbsVolume[]>;
  /** One volume by id, whatever its tags; undefined when EC2 says there is none. */
  describeVolume(volumeId: string, options?: CallOptions): Promise<EbsVolume | undefined>;
  /** Gives EC2's answer, usually in state "creating" and without attachments. */
  createVolume(spec: CreateVolumeSpec, options?: CallOptions): Promise<EbsVolume>;
  deleteVolume(volumeId: string, options?: CallOptions): Promise<void>;
  /**
   * Begins to change a volume; what is not given stays. Sent once: EC2 knows no token for it, and whether one took effect
   * whose answer was lost is for {@link describeModification} to tell. EC2_VOLUME_MODIFYING while the last one is not
   * completed; EC2_MODIFIED_TOO_OFTEN when EC2 takes no more for some hours.
   */
  modifyVolume(volumeId: string, change: Partial<VolumeShape>, options?: CallOptions): Promise<VolumeModification>;
  /** The last modification of a volume; undefined when EC2 lists none, which it does not for long after its end either. */
  describeModification(volumeId: string, options?: CallOptions): Promise<VolumeModification | undefined>;
  /**
   * EC2_THROTTLED proves that it took no effect. `onThrottled` is called when EC2 first refuses it for its rate: it is
   * tried again for minutes then. `card` is for instances with several EBS cards; others take no such parameter.
   */
  attachVolume(
    key: AttachmentKey & { readonly card?: number | undefined },
    options?: CallOptions & { readonly onThrottled?: () => void },
  ): Promise<Attachment>;
  /** `force` takes the disk from a guest that does not let go of it; only for one that is proven not to run. */
  detachVolume(key: AttachmentKey, options?: CallOptions & { readonly force?: boolean }): Promise<Attachment>;
  /** Writes tags on one resource, or the same tags on up to 1,000. */
  createTags(resourceIds: string | readonly string[], tags: Tags, options?: CallOptions): Promise<void>;
  /** Deletes the tags with these keys: a tag that has another value by now stays; undefined is any value. */
  deleteTags(
    resourceIds: string | readonly string[],
    tags: Readonly<Record<string, string | undefined>>,
    options?: CallOptions,
  ): Promise<void>;
  /**
   * Starts a snapshot; it is complete later, but what it holds is fixed when this returns. EC2 knows no token for it: one
   * whose answer was lost is to be looked for by a tag before another is asked for.
   */
  createSnapshot(
    volumeId: string,
    description: string,
    tags: Tags,
    options?: CallOptions & { readonly once?: OneAttempt },
  ): Promise<string>;
  /** Succeeds also for one that is being deleted. EC2_NO_SUCH_SNAPSHOT when there is none. */
  deleteSnapshot(snapshotId: string, options?: CallOptions): Promise<void>;
  /** All snapshots of this account that carry a tag with this key and value. A new one may be missing for some seconds. */
  findSnapshots(tagKey: string, value: string, options?: CallOptions): Promise<EbsSnapshot[]>;
  /** All snapshots of this account that carry the tag of this cluster: ours, and others that somebody copied the tags to. */
  listSnapshots(options?: CallOptions): Promise<EbsSnapshot[]>;
  /** All snapshots of this account that EC2 knows to be of one of these EBS volumes, whoever took them. */
  snapshotsOf(volumeIds: readonly string[], options?: CallOptions): Promise<EbsSnapshot[]>;
  /** One snapshot of this account by id; undefined when EC2 lists none, which a new one is for some seconds. */
  describeSnapshot(snapshotId: string, options?: CallOptions): Promise<EbsSnapshot | undefined>;
  /** One instance by id; undefined when EC2 lists none, which proves nothing about it. */
  describeInstance(instanceId: string, options?: CallOptions): Promise<Instance | undefined>;
  /** EC2's checks of one instance, in whatever state; undefined when EC2 lists none, which proves nothing. */
  describeHealth(instanceId: string, options?: CallOptions): Promise<InstanceHealth | undefined>;
  /** EC2's checks of one volume; undefined when EC2 lists none. */
  describeVolumeStatus(volumeId: string, options?: CallOptions): Promise<VolumeStatus | undefined>;
  /** How many volumes an instance type takes; undefined when EC2 does not say. */
  attachmentLimit(instanceType: string, options?: CallOptions): Promise<AttachmentLimit | undefined>;
  /** Begins to stop an instance: gracefully, or by force (which also skips the guest's shutdown). */
  stopInstance(instanceId: string, options?: CallOptions & { readonly force?: boolean }): Promise<void>;
  /** Asks by DryRun whether this role may make a call. @returns undefined when it may, else why not, in EC2's words. */
  denied(permission: Permission, options?: CallOptions): Promise<string | undefined>;
}
