import {
  AttachVolumeCommand,
  CreateSnapshotCommand,
  CreateTagsCommand,
  CreateVolumeCommand,
  DeleteTagsCommand,
  DeleteVolumeCommand,
  DetachVolumeCommand,
  type EC2Client,
  type TagSpecification,
} from '@aws-sdk/client-ec2';
import { type CallLog, caller } from './call.ts';
import { openEc2Client } from './client.ts';
import { exactFilter } from './filters.ts';
import { answerLacks, toAttachment, toSdkTags, toVolume } from './mapping.ts';
import { readInstances, readVolumes } from './reads.ts';
import { tagKeys } from './tags.ts';
import type { CreateVolumeSpec, Ec2, Tags } from './types.ts';

export interface Ec2Options {
  /** Look-ups by name and listings see only volumes tagged with this cluster. */
  readonly cluster: string;
  /** Undefined leaves it to the SDK's chain. */
  readonly region: string | undefined;
  /** Hears of every call. */
  readonly log?: CallLog | undefined;
  /** The SDK client to use instead of {@link openEc2Client}'s. */
  readonly client?: EC2Client | undefined;
}

/** EC2 as the driver uses it (see {@link Ec2}); nothing is sent before the first call. */
export function openEc2({ cluster, region, log, client = openEc2Client({ region }) }: Ec2Options): Ec2 {
  const call = caller(log);
  const inCluster = exactFilter(`tag:${tagKeys.cluster}`, cluster);

  return {
    findVolumes(nameTag, { signal } = {}) {
      const tried = `look up volume ${JSON.stringify(nameTag)} of cluster ${JSON.stringify(cluster)}`;
      return readVolumes(client, call, { tried, signal }, [inCluster, exactFilter(`tag:${tagKeys.name}`, nameTag)]);
    },

    listVolumes({ signal } = {}) {
      const tried = `list the volumes of cluster ${JSON.stringify(cluster)}`;
      return readVolumes(client, call, { tried, signal }, [inCluster]);
    },

    async describeVolume(volumeId, { signal } = {}) {
      const filters = [exactFilter('volume-id', volumeId)];
      const volumes = await readVolumes(client, call, { tried: `look up ${volumeId}`, signal }, filters);
      return volumes.find(({ id }) => id === volumeId);
    },

    async describeInstance(instanceId, { signal } = {}) {
      const filters = [exactFilter('instance-id', instanceId)];
      const instances = await readInstances(client, call, { tried: `look up ${instanceId}`, signal }, filters);
      return instances.find(({ id }) => id === instanceId);
    },

    async createVolume(spec, { signal } = {}) {
      const tried = `create a ${spec.type} volume in ${spec.zone}`;
      const answer = await call({ action: 'CreateVolume', tried, signal }, (options) =>
        client.send(createVolumeCommand(spec), options),
      );
      return toVolume(answer);
    },

    async deleteVolume(volumeId, { signal } = {}) {
      await call({ action: 'DeleteVolume', tried: `delete ${volumeId}`, signal }, (options) =>
        client.send(new DeleteVolumeCommand({ VolumeId: volumeId }), options),
      );
    },

    async attachVolume({ volumeId, instanceId, device }, { signal } = {}) {
      const tried = `attach ${volumeId} to ${instanceId} as ${device}`;
      const command = new AttachVolumeCommand({ VolumeId: volumeId, InstanceId: instanceId, Device: device });
      const answer = await call({ action: 'AttachVolume', tried, signal }, (options) => client.send(command, options));
      return toAttachment(answer);
    },

    async detachVolume({ volumeId, instanceId, device }, { signal } = {}) {
      const tried = `detach ${volumeId} from ${instanceId} (${device})`;
      const command = new DetachVolumeCommand({
        VolumeId: volumeId,
        InstanceId: instanceId,
        Device: device,
      });
      const answer = await call({ action: 'DetachVolume', tried, signal }, (options) => client.send(command, options));
      return toAttachment(answer);
    },

    async createTags(resourceId, tags, { signal } = {}) {
      if (Object.keys(tags).length === 0) return;
      const command = new CreateTagsCommand({ Resources: [resourceId], Tags: toSdkTags(tags) });
      await call({ action: 'CreateTags', tried: `tag ${resourceId}`, signal }, (options) =>
        client.send(command, options),
      );
    },

    async deleteTags(resourceId, keys, { signal } = {}) {
      // Without a key EC2 would delete every tag; with a key and no value, the tag whatever its value is.
      if (keys.length === 0) return;
      const command = new DeleteTagsCommand({ Resources: [resourceId], Tags: keys.map((Key) => ({ Key })) });
      await call({ action: 'DeleteTags', tried: `remove tags from ${resourceId}`, signal }, (options) =>
        client.send(command, options),
      );
    },

    async createSnapshot(volumeId, description, tags, { signal } = {}) {
      const command = new CreateSnapshotCommand({
        VolumeId: volumeId,
        Description: description,
        TagSpecifications: tagSpecifications('snapshot', tags),
      });
      const answer = await call({ action: 'CreateSnapshot', tried: `snapshot ${volumeId}`, signal }, (options) =>
        client.send(command, options),
      );
      if (!answer.SnapshotId) throw answerLacks(`the snapshot of ${volumeId}`, 'its id');
      return answer.SnapshotId;
    },
  };
}

function createVolumeCommand(spec: CreateVolumeSpec): CreateVolumeCommand {
  return new CreateVolumeCommand({
    AvailabilityZone: spec.zone,
    Size: spec.sizeGib,
    VolumeType: spec.type as NonNullable<CreateVolumeCommand['input']['VolumeType']>,
    Iops: spec.iops,
    Throughput: spec.throughput,
    Encrypted: spec.encrypted,
    KmsKeyId: spec.kmsKeyId,
    SnapshotId: spec.snapshotId,
    ClientToken: spec.clientToken,
    TagSpecifications: tagSpecifications('volume', spec.tags),
  });
}

/** EC2 refuses a specification without tags. */
function tagSpecifications(type: 'volume' | 'snapshot', tags: Tags): TagSpecification[] | undefined {
  return Object.keys(tags).length === 0 ? undefined : [{ ResourceType: type, Tags: toSdkTags(tags) }];
}
