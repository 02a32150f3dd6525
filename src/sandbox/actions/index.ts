import type { Action } from '../world.ts';
import {
  describeAccountAttributes,
  describeImages,
  describeInstanceTypeOfferings,
  getEbsEncryptionByDefault,
} from './account.ts';
import { attachVolume, detachVolume } from './attachments.ts';
import { copyVolumes } from './copy-volumes.ts';
import { createVolume } from './create-volume.ts';
import { describeInstanceStatus, describeInstances } from './describe-instances.ts';
import { describeInstanceAttribute, modifyInstanceAttribute } from './instance-attributes.ts';
import { rebootInstances, startInstances, stopInstances, terminateInstances } from './instance-power.ts';
import { describeVolumesModifications, modifyVolume } from './modifications.ts';
import { describeAvailabilityZones, describeInstanceTypes, describeRegions } from './region.ts';
import { runInstances } from './run-instances.ts';
import { createSnapshot, deleteSnapshot, describeSnapshots } from './snapshots.ts';
import { createTags, deleteTags, describeTags } from './tags.ts';
import { deleteVolume, describeVolumeStatus, describeVolumes, enableVolumeIo } from './volumes.ts';

/** Every EC2 action the sandbox answers, by its name on the wire. */
export const actions: ReadonlyMap<string, Action> = new Map<string, Action>(
  Object.entries({
    AttachVolume: attachVolume,
    CopyVolumes: copyVolumes,
    CreateSnapshot: createSnapshot,
    CreateTags: createTags,
    CreateVolume: createVolume,
    DeleteSnapshot: deleteSnapshot,
    DeleteTags: deleteTags,
    DeleteVolume: deleteVolume,
    DescribeAccountAttributes: describeAccountAttributes,
    DescribeAvailabilityZones: describeAvailabilityZones,
    DescribeImages: describeImages,
    DescribeInstanceAttribute: describeInstanceAttribute,
    DescribeInstanceStatus: describeInstanceStatus,
    DescribeInstanceTypeOfferings: describeInstanceTypeOfferings,
    DescribeInstanceTypes: describeInstanceTypes,
    DescribeInstances: describeInstances,
    DescribeRegions: describeRegions,
    DescribeSnapshots: describeSnapshots,
    DescribeTags: describeTags,
    DescribeVolumeStatus: describeVolumeStatus,
    DescribeVolumes: describeVolumes,
    DescribeVolumesModifications: describeVolumesModifications,
    DetachVolume: detachVolume,
    EnableVolumeIO: enableVolumeIo,
    GetEbsEncryptionByDefault: getEbsEncryptionByDefault,
    ModifyInstanceAttribute: modifyInstanceAttribute,
    ModifyVolume: modifyVolume,
    RebootInstances: rebootInstances,
    RunInstances: runInstances,
    StartInstances: startInstances,
    StopInstances: stopInstances,
    TerminateInstances: terminateInstances,
  }),
);
