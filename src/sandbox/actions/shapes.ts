import {
  type AttachmentRecord,
  accountId,
  described,
  type InstanceRecord,
  type ModificationRecord,
  powerCodes,
  type SnapshotRecord,
  type TagSet,
  type VolumeRecord,
  zoneIdOf,
} from '../model.ts';
import type { XmlBody } from '../xml.ts';

/** How records are written in answers (member names of the EC2 API model, 2016-11-15). */
const tagItems = (tags: TagSet): XmlBody[] | undefined => {
  const items = Object.entries(tags).map(([key, value]) => ({ key, value }));
  // Without tags there is no such element (33 of 33 recorded answers).
  return items.length === 0 ? undefined : items;
};

export const attachmentShape = (volumeId: string, attachment: AttachmentRecord): XmlBody => ({
  volumeId,
  instanceId: attachment.instanceId,
  device: attachment.device,
  status: attachment.state,
  attachTime: attachment.attachTime,
  deleteOnTermination: attachment.deleteOnTermination,
  ebsCardIndex: attachment.card,
});

/** An attachment as a later look shows it. */
const describedAttachment = (volumeId: string, attachment: AttachmentRecord): XmlBody => ({
  ...attachmentShape(volumeId, attachment),
  attachTime: described(attachment.attachTime),
});

/** A volume as CreateVolume answers: without its attachments. */
export const newVolumeShape = (volume: VolumeRecord): XmlBody => ({
  volumeId: volume.id,
  size: volume.sizeGib,
  snapshotId: volume.snapshotId ?? '',
  sourceVolumeId: volume.sourceVolumeId,
  availabilityZone: volume.zone,
  availabilityZoneId: zoneIdOf(volume.zone),
  status: volume.state,
  createTime: volume.createTime,
  volumeType: volume.type,
  iops: volume.iops,
  throughput: volume.throughput,
  encrypted: volume.encrypted,
  kmsKeyId: volume.kmsKeyId,
  multiAttachEnabled: false,
  tagSet: tagItems(volume.tags),
});

export const volumeShape = (volume: VolumeRecord): XmlBody => ({
  ...newVolumeShape(volume),
  attachmentSet: volume.attachment === undefined ? [] : [describedAttachment(volume.id, volume.attachment)],
});

export const modificationShape = (volumeId: string, modification: ModificationRecord): XmlBody => ({
  volumeId,
  modificationState: modification.state,
  targetSize: modification.target.sizeGib,
  targetIops: modification.target.iops,
  targetVolumeType: modification.target.type,
  targetThroughput: modification.target.throughput,
  targetMultiAttachEnabled: false,
  originalSize: modification.original.sizeGib,
  originalIops: modification.original.iops,
  originalVolumeType: modification.original.type,
  originalThroughput: modification.original.throughput,
  originalMultiAttachEnabled: false,
  progress: modification.progress,
  startTime: modification.startTime,
  endTime: modification.endTime,
});

export const snapshotShape = (snapshot: SnapshotRecord): XmlBody => ({
  snapshotId: snapshot.id,
  volumeId: snapshot.volumeId,
  status: snapshot.state,
  statusMessage: snapshot.state === 'error' ? 'Given key ID is not accessible' : undefined,
  startTime: snapshot.startTime,
  progress: snapshot.state === 'completed' ? '100%' : '0%',
  ownerId: accountId,
  volumeSize: snapshot.volumeSizeGib,
  description: snapshot.description,
  encrypted: snapshot.encrypted,
  kmsKeyId: snapshot.kmsKeyId,
  storageTier: 'standard',
  tagSet: tagItems(snapshot.tags),
});

export const powerShape = (state: InstanceRecord['state']): XmlBody => ({ code: powerCodes[state], name: state });

function diskShape(volume: VolumeRecord): XmlBody[] {
  const { attachment } = volume;
  if (attachment === undefined) return [];
  const { state, attachTime, deleteOnTermination, card } = attachment;
  // The instance's own view has no "busy".
  const status = state === 'busy' ? 'detaching' : state;
  const ebs = {
    volumeId: volume.id,
    status,
    attachTime: described(attachTime),
    deleteOnTermination,
    ebsCardIndex: card,
  };
  return [{ deviceName: attachment.device, ebs }];
}

/** The device name of every instance's root disk. */
export const rootDevice = '/dev/xvda';

/** The root disk first: every instance has one, which takes a place among its attachments. */
export function disksOf(instance: InstanceRecord, disks: readonly VolumeRecord[]): XmlBody[] {
  const ebs = {
    volumeId: rootVolumeOf(instance),
    status: 'attached',
    attachTime: described(instance.createTime ?? instance.launchTime),
  };
  const root = { deviceName: rootDevice, ebs: { ...ebs, deleteOnTermination: true } };
  return [...(instance.state === 'terminated' ? [] : [root]), ...disks.flatMap(diskShape)];
}

/** Its root volume has an id and nothing else here: DescribeVolumes does not list it (docs/sandbox.md). */
const rootVolumeOf = ({ id }: InstanceRecord): string => `vol-${id.slice(2)}`;

/** An instance with its own view of its disks. */
export function instanceShape(instance: InstanceRecord, volumes: readonly VolumeRecord[]): XmlBody {
  const disks = volumes.filter(({ attachment }) => attachment?.instanceId === instance.id);
  return {
    instanceId: instance.id,
    imageId: instance.imageId,
    instanceState: powerShape(instance.state),
    privateDnsName: `ip-${instance.privateIp.replaceAll('.', '-')}.ec2.internal`,
    reason: instance.stateTransitionReason,
    amiLaunchIndex: 0,
    productCodes: [],
    instanceType: instance.type,
    launchTime: described(instance.launchTime),
    placement: { availabilityZone: instance.zone, groupName: '', tenancy: 'default' },
    monitoring: { state: 'disabled' },
    privateIpAddress: instance.privateIp,
    stateReason: instance.stateReason,
    architecture: 'x86_64',
    rootDeviceType: 'ebs',
    rootDeviceName: rootDevice,
    blockDeviceMapping: disksOf(instance, disks),
    virtualizationType: 'hvm',
    tagSet: tagItems(instance.tags),
    hypervisor: 'xen',
    networkInterfaceSet: [],
    ebsOptimized: true,
    hibernationOptions: { configured: instance.hibernationConfigured },
    metadataOptions: {
      state: 'applied',
      httpTokens: 'required',
      httpPutResponseHopLimit: 2,
      httpEndpoint: 'enabled',
      httpProtocolIpv6: 'disabled',
      instanceMetadataTags: 'disabled',
    },
  };
}
