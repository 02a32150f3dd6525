import type * as sdk from '@aws-sdk/client-ec2';
import { DriverError } from '../errors.ts';
import type {
  Attachment,
  AttachmentLimit,
  AttachmentState,
  EbsSnapshot,
  EbsVolume,
  HealthCheck,
  Instance,
  InstanceDisk,
  InstanceHealth,
  InstanceState,
  Tags,
  VolumeModification,
  VolumeState,
  VolumeStatus,
} from './types.ts';

const volumeStates: readonly VolumeState[] = ['creating', 'available', 'in-use', 'deleting', 'deleted', 'error'];
const snapshotStates: readonly EbsSnapshot['state'][] = ['pending', 'completed', 'error', 'recoverable', 'recovering'];
const attachmentStates: readonly AttachmentState[] = ['attaching', 'attached', 'detaching', 'detached', 'busy'];
const instanceStates: readonly InstanceState[] = [
  'pending',
  'running',
  'shutting-down',
  'terminated',
  'stopping',
  'stopped',
];

/**
 * A volume of EC2's answer as ours. What only newer volume types have is undefined where EC2 sends nothing.
 * @throws DriverError EC2_REJECTED when the answer lacks what every volume has, or has a state we do not know.
 */
export function toVolume(volume: sdk.Volume): EbsVolume {
  const answer = reader(`volume ${volume.VolumeId ?? '(without an id)'}`);
  return {
    id: answer.text('id', volume.VolumeId),
    zone: answer.text('availability zone', volume.AvailabilityZone),
    state: answer.oneOf('state', volumeStates, volume.State),
    createdAt: answer.time('creation time', volume.CreateTime),
    type: answer.text('type', volume.VolumeType),
    sizeGib: answer.count('size', volume.Size),
    iops: volume.Iops,
    throughput: volume.Throughput,
    encrypted: volume.Encrypted ?? false,
    kmsKeyId: volume.KmsKeyId || undefined,
    // EC2 sends an empty element for a volume not made from a snapshot.
    snapshotId: volume.SnapshotId || undefined,
    multiAttach: volume.MultiAttachEnabled ?? false,
    attachments: (volume.Attachments ?? []).map(toAttachment),
    tags: toTags(volume.Tags),
  };
}

const modificationStates: readonly VolumeModification['state'][] = ['modifying', 'optimizing', 'completed', 'failed'];

/** A modification of EC2's answer as ours. @throws DriverError EC2_REJECTED when the answer lacks what every one has. */
export function toModification(modification: sdk.VolumeModification): VolumeModification {
  const answer = reader(`the modification of ${modification.VolumeId ?? 'a volume without an id'}`);
  return {
    volumeId: answer.text('volume id', modification.VolumeId),
    state: answer.oneOf('state', modificationStates, modification.ModificationState),
    message: modification.StatusMessage || undefined,
    progress: modification.Progress ?? 0,
    startedAt: answer.time('start time', modification.StartTime),
    original: {
      sizeGib: answer.count('original size', modification.OriginalSize),
      type: answer.text('original type', modification.OriginalVolumeType),
      iops: modification.OriginalIops,
      throughput: modification.OriginalThroughput,
    },
    target: {
      sizeGib: answer.count('target size', modification.TargetSize),
      type: answer.text('target type', modification.TargetVolumeType),
      iops: modification.TargetIops,
      throughput: modification.TargetThroughput,
    },
  };
}

/** A snapshot of EC2's answer as ours. @throws DriverError EC2_REJECTED when the answer lacks what every snapshot has, or has a state we do not know. */
export function toSnapshot(snapshot: sdk.Snapshot): EbsSnapshot {
  const answer = reader(`snapshot ${snapshot.SnapshotId ?? '(without an id)'}`);
  return {
    id: answer.text('id', snapshot.SnapshotId),
    state: answer.oneOf('state', snapshotStates, snapshot.State),
    message: snapshot.StateMessage || undefined,
    volumeId: answer.text('volume id', snapshot.VolumeId),
    sizeGib: answer.count('size', snapshot.VolumeSize),
    fullBytes: snapshot.FullSnapshotSizeInBytes,
    startedAt: answer.time('start time', snapshot.StartTime),
    description: snapshot.Description ?? '',
    encrypted: snapshot.Encrypted ?? false,
    tags: toTags(snapshot.Tags),
  };
}

/**
 * An attachment of EC2's answer as ours. One to a resource that AWS manages has neither instance nor device name there;
 * its device is then "".
 * @throws DriverError EC2_REJECTED when the answer lacks what every attachment has, or has a state we do not know.
 */
export function toAttachment(attachment: sdk.VolumeAttachment): Attachment {
  const answer = reader(`the attachment of ${attachment.VolumeId ?? 'a volume without an id'}`);
  const instanceId = attachment.InstanceId || undefined;
  return {
    volumeId: answer.text('volume id', attachment.VolumeId),
    instanceId,
    device: instanceId === undefined ? (attachment.Device ?? '') : answer.text('device name', attachment.Device),
    state: answer.oneOf('state', attachmentStates, attachment.State),
    attachTime: answer.second('attach time', attachment.AttachTime),
    deleteOnTermination: attachment.DeleteOnTermination ?? false,
  };
}

/**
 * An instance of EC2's answer as ours; disks that are not EBS volumes are left out.
 * @param answeredAt when EC2 answered, RFC 3339; undefined where it did not say.
 * @throws DriverError EC2_REJECTED when the answer lacks what every instance has, or has a state we do not know.
 */
export function toInstance(instance: sdk.Instance, answeredAt: string | undefined): Instance {
  const answer = reader(`instance ${instance.InstanceId ?? '(without an id)'}`);
  return {
    id: answer.text('id', instance.InstanceId),
    state: answer.oneOf('state', instanceStates, instance.State?.Name),
    zone: answer.text('availability zone', instance.Placement?.AvailabilityZone),
    type: answer.text('type', instance.InstanceType),
    launchTime: answer.time('launch time', instance.LaunchTime),
    stateReason: instance.StateReason?.Code || undefined,
    stopAskedAt: toTransitionTime(instance.StateTransitionReason),
    hibernationConfigured: instance.HibernationOptions?.Configured ?? false,
    privateIp: instance.PrivateIpAddress || undefined,
    privateDns: instance.PrivateDnsName || undefined,
    tags: toTags(instance.Tags),
    disks: (instance.BlockDeviceMappings ?? []).flatMap(toDisk),
    answeredAt,
  };
}

/** The time in "User initiated (2026-03-02 09:12:44 GMT)", as recorded answers have it; undefined in any other text. */
function toTransitionTime(reason = ''): string | undefined {
  const [, day, time] = /\((\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) GMT\)/.exec(reason) ?? [];
  const moment = new Date(`${day}T${time}Z`);
  return Number.isNaN(moment.getTime()) ? undefined : moment.toISOString();
}

function toDisk({ DeviceName, Ebs }: sdk.InstanceBlockDeviceMapping): InstanceDisk[] {
  if (Ebs === undefined) return [];
  const answer = reader(`the disk ${DeviceName ?? 'without a device name'} of an instance`);
  return [
    {
      device: answer.text('device name', DeviceName),
      volumeId: answer.text('volume id', Ebs.VolumeId),
      state: answer.oneOf('state', attachmentStates, Ebs.Status),
      attachTime: answer.second('attach time', Ebs.AttachTime),
      ...(Ebs.EbsCardIndex === undefined ? {} : { card: Ebs.EbsCardIndex }),
    },
  ];
}

/**
 * EC2's checks of an instance as ours; one that EC2 does not report is "insufficient-data".
 * @param answeredAt when EC2 answered, RFC 3339.
 * @throws DriverError EC2_REJECTED when the answer lacks the instance's id.
 */
export function toHealth(status: sdk.InstanceStatus, answeredAt: string): InstanceHealth {
  return {
    instanceId: reader("an instance's health").text('instance id', status.InstanceId),
    system: toCheck(status.SystemStatus),
    instance: toCheck(status.InstanceStatus),
    attachedEbs: toCheck(status.AttachedEbsStatus),
    answeredAt,
  };
}

/** Without any times EC2 does not say since when; of several details the one impaired first counts. */
function toCheck(summary: sdk.InstanceStatusSummary | sdk.EbsStatusSummary | undefined): HealthCheck {
  const times = (summary?.Details ?? [])
    .map(({ ImpairedSince }) => ImpairedSince?.getTime() ?? Number.NaN)
    .filter((time) => !Number.isNaN(time));
  return {
    status: summary?.Status ?? 'insufficient-data',
    impairedSince:
      summary?.Status === 'impaired' && times.length > 0 ? new Date(Math.min(...times)).toISOString() : undefined,
  };
}

/** EC2's checks of a volume as ours; what EC2 does not report counts as not known. */
export function toVolumeStatus(item: sdk.VolumeStatusItem): VolumeStatus {
  const { Status, Details = [] } = item.VolumeStatus ?? {};
  const inOrder = new Set(['passed', 'normal', 'not-applicable', 'initializing', 'completed', undefined]);
  const bad = Details.filter(({ Status: status }) => !inOrder.has(status));
  return {
    status: Status ?? 'insufficient-data',
    ioDisabled: bad.some(({ Name, Status: status }) => Name === 'io-enabled' && status === 'failed'),
    findings: bad.map(({ Name, Status: status }) => `${Name} is ${status}`),
    initialized: toInitialized(item),
  };
}

/** EC2 says it of volumes that were made from something, up to five minutes late ("Monitor volume initialization", EBS User Guide). */
function toInitialized({
  VolumeStatus: status,
  InitializationStatusDetails,
}: sdk.VolumeStatusItem): VolumeStatus['initialized'] {
  const state = status?.Details?.find(({ Name }) => Name === 'initialization-state')?.Status;
  const { Progress, EstimatedTimeToCompleteInSeconds: secondsLeft } = InitializationStatusDetails ?? {};
  if (state === 'completed') return { share: 1, secondsLeft: 0 };
  if (state !== 'initializing' || Progress === undefined) return undefined;
  return { share: Math.min(100, Math.max(0, Progress)) / 100, secondsLeft };
}

/** The attachment limit of an instance type; undefined where EC2 does not give a number or its kind. */
export function toAttachmentLimit(type: sdk.InstanceTypeInfo | undefined): AttachmentLimit | undefined {
  const { MaximumEbsAttachments: maximum, AttachmentLimitType: kind, MaximumEbsCards: cards = 1 } = type?.EbsInfo ?? {};
  if (maximum === undefined || kind === undefined || !(maximum > 0)) return undefined;
  return { maximum, kind, ...(cards > 1 ? { cards } : {}) };
}

function toTags(tags: readonly sdk.Tag[] | undefined): Tags {
  return Object.fromEntries((tags ?? []).map(({ Key, Value }) => [Key ?? '', Value ?? '']));
}

/** Tags in the SDK's shape. */
export function toSdkTags(tags: Tags): sdk.Tag[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}

/** The error for an answer that cannot be used because a part of it is missing. */
export function answerLacks(subject: string, part: string, code: 'EC2_REJECTED' | 'EC2_UNAVAILABLE' = 'EC2_REJECTED') {
  return new DriverError(code, {
    tried: `read what EC2 says about ${subject}`,
    why: `its answer lacks ${part}`,
    todo: 'Try again; if this goes on, check that the EC2 endpoint is really EC2',
  });
}

/** Reads mandatory fields; an empty element counts as a missing one, as the SDK gives "" or NaN for it. */
function reader(subject: string) {
  const need = <T>(part: string, value: T | undefined, fits: (value: T) => boolean): T => {
    if (value === undefined || !fits(value)) throw answerLacks(subject, `a usable ${part}`);
    return value;
  };
  const time = (part: string, value: Date | undefined): Date =>
    need(part, value, (date) => !Number.isNaN(date.getTime()));
  return {
    text: (part: string, value: string | undefined) => need(part, value, (text) => text !== ''),
    count: (part: string, value: number | undefined) => need(part, value, (number) => number > 0),
    oneOf: <T extends string>(part: string, known: readonly T[], value: string | undefined) =>
      need(part, value as T | undefined, (text) => known.includes(text)),
    time: (part: string, value: Date | undefined) => time(part, value).toISOString(),
    /** Whole seconds: AttachVolume may answer with milliseconds that later reads leave out, and these are compared as text. */
    second: (part: string, value: Date | undefined) => `${time(part, value).toISOString().slice(0, 19)}Z`,
  };
}
