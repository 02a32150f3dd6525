import {
  type AttachmentRecord,
  accountId,
  type InstanceRecord,
  type ModificationRecord,
  powerCodes,
  type SnapshotRecord,
  type TagSet,
  type VolumeRecord,
} from '../model.ts';
import type { XmlBody } from '../xml.ts';

/** How records are written in answers (member names of the EC2 API model, 2016-11-15). */
const tagItems = (tags: TagSet): XmlBody[] => Object.entries(tags).map(([key, value]) => ({ key, value }));

export const attachmentShape = (volumeId: string, attachment: AttachmentRecord): XmlBody => ({
  volumeId,
  instanceId: attachment.instanceId,
  device: attachment.device,
  status: attachment.state,
  attachTime: attachment.attachTime,
  deleteOnTermination: attachment.deleteOnTermination,
});

/** A volume as CreateVolume answers: without its attachments. */
export const newVolumeShape = (volume: VolumeRecord): XmlBody => ({
  volumeId: volume.id,
  size: volume.sizeGib,
  snapshotId: volume.snapshotId ?? '',
  availabilityZone: volume.zone,
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
  attachmentSet: volume.attachment === undefined ? [] : [attachmentShape(volume.id, volume.attachment)],
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
  const { state, attachTime, deleteOnTermination } = attachment;
  // The instance's own view has no "busy".
  const status = state === 'busy' ? 'detaching' : state;
  return [{ deviceName: attachment.device, ebs: { volumeId: volume.id, status, attachTime, deleteOnTermination } }];
}

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
    launchTime: instance.launchTime,
    placement: { availabilityZone: instance.zone, groupName: '', tenancy: 'default' },
    monitoring: { state: 'disabled' },
    privateIpAddress: instance.privateIp,
    stateReason: instance.stateReason,
    architecture: 'x86_64',
    rootDeviceType: 'ebs',
    rootDeviceName: '/dev/xvda',
    blockDeviceMapping: disks.flatMap(diskShape),
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
