/** The SDK's commands for what changes something, also as dry runs: EC2 then only says whether the role may. */
import {
  AttachVolumeCommand,
  CopyVolumesCommand,
  CreateSnapshotCommand,
  CreateTagsCommand,
  CreateVolumeCommand,
  DeleteSnapshotCommand,
  DeleteTagsCommand,
  DeleteVolumeCommand,
  DetachVolumeCommand,
  ModifyVolumeCommand,
  StopInstancesCommand,
  type TagSpecification,
} from '@aws-sdk/client-ec2';
import { toSdkTags } from './mapping.ts';
import type { AttachmentKey, CreateVolumeSpec, Tags, VolumeShape } from './types.ts';

export function createVolume(spec: CreateVolumeSpec, dryRun?: true): CreateVolumeCommand {
  return new CreateVolumeCommand({
    AvailabilityZone: spec.zone,
    Size: spec.sizeGib,
    VolumeType: spec.type as NonNullable<CreateVolumeCommand['input']['VolumeType']>,
    Iops: spec.iops,
    Throughput: spec.throughput,
    Encrypted: spec.encrypted,
    KmsKeyId: spec.kmsKeyId,
    SnapshotId: spec.snapshotId,
    VolumeInitializationRate: spec.initializationRate,
    ClientToken: spec.clientToken,
    TagSpecifications: tagSpecifications('volume', spec.tags),
    DryRun: dryRun,
  });
}

/** EC2 makes gp2 of it unless told, and copies within the zone of the source. */
export function copyVolume(spec: CreateVolumeSpec, sourceVolumeId: string, dryRun?: true): CopyVolumesCommand {
  return new CopyVolumesCommand({
    SourceVolumeId: sourceVolumeId,
    Size: spec.sizeGib,
    VolumeType: spec.type as NonNullable<CopyVolumesCommand['input']['VolumeType']>,
    Iops: spec.iops,
    Throughput: spec.throughput,
    ClientToken: spec.clientToken,
    TagSpecifications: tagSpecifications('volume', spec.tags),
    DryRun: dryRun,
  });
}

export const deleteVolume = (volumeId: string, dryRun?: true): DeleteVolumeCommand =>
  new DeleteVolumeCommand({ VolumeId: volumeId, DryRun: dryRun });

export const modifyVolume = (
  volumeId: string,
  { sizeGib, type, iops, throughput }: Partial<VolumeShape>,
  dryRun?: true,
): ModifyVolumeCommand =>
  new ModifyVolumeCommand({
    VolumeId: volumeId,
    Size: sizeGib,
    VolumeType: type as ModifyVolumeCommand['input']['VolumeType'],
    Iops: iops,
    Throughput: throughput,
    DryRun: dryRun,
  });

export const attachVolume = (
  { volumeId, instanceId, device, card }: AttachmentKey & { readonly card?: number | undefined },
  dryRun?: true,
): AttachVolumeCommand =>
  new AttachVolumeCommand({
    VolumeId: volumeId,
    InstanceId: instanceId,
    Device: device,
    EbsCardIndex: card,
    DryRun: dryRun,
  });

export const detachVolume = (
  { volumeId, instanceId, device }: AttachmentKey,
  options: { readonly force?: boolean; readonly dryRun?: true } = {},
): DetachVolumeCommand =>
  new DetachVolumeCommand({
    VolumeId: volumeId,
    InstanceId: instanceId,
    Device: device,
    Force: options.force || undefined,
    DryRun: options.dryRun,
  });

export const createTags = (resourceIds: readonly string[], tags: Tags, dryRun?: true): CreateTagsCommand =>
  new CreateTagsCommand({ Resources: [...resourceIds], Tags: toSdkTags(tags), DryRun: dryRun });

/** A tag given with a value is deleted only while it has that value (API reference of DeleteTags). */
export const deleteTags = (
  resourceIds: readonly string[],
  tags: Readonly<Record<string, string | undefined>>,
  dryRun?: true,
): DeleteTagsCommand =>
  new DeleteTagsCommand({
    Resources: [...resourceIds],
    Tags: Object.entries(tags).map(([Key, Value]) => (Value === undefined ? { Key } : { Key, Value })),
    DryRun: dryRun,
  });

export const createSnapshot = (
  volumeId: string,
  description: string,
  tags: Tags,
  dryRun?: true,
): CreateSnapshotCommand =>
  new CreateSnapshotCommand({
    VolumeId: volumeId,
    Description: description,
    TagSpecifications: tagSpecifications('snapshot', tags),
    DryRun: dryRun,
  });

export const deleteSnapshot = (snapshotId: string): DeleteSnapshotCommand =>
  new DeleteSnapshotCommand({ SnapshotId: snapshotId });

/** Force alone still tries the guest's shutdown first; only with SkipOsShutdown is the power cut at once. */
export const stopInstance = (
  instanceId: string,
  options: { readonly force?: boolean; readonly dryRun?: true } = {},
): StopInstancesCommand =>
  new StopInstancesCommand({
    InstanceIds: [instanceId],
    ...(options.force ? { Force: true, SkipOsShutdown: true } : {}),
    DryRun: options.dryRun,
  });

/** EC2 refuses a specification without tags. */
function tagSpecifications(type: 'volume' | 'snapshot', tags: Tags): TagSpecification[] | undefined {
  return Object.keys(tags).length === 0 ? undefined : [{ ResourceType: type, Tags: toSdkTags(tags) }];
}
