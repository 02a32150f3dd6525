import type { EC2Client, Tag } from '@aws-sdk/client-ec2';
import { isCode } from '../errors.ts';
import type { Call } from './attempts.ts';
import type { Caller } from './call.ts';
import { exactFilter, maxFilterValues } from './filters.ts';
import { toInstance, toModification, toSnapshot, toVolume, toVolumeStatus } from './mapping.ts';
import { namesOf } from './names.ts';
import {
  maxHealthIds,
  readAttachmentLimit,
  readHealth,
  readInstances,
  readModifications,
  readSnapshots,
  readVolumeStatus,
  readVolumes,
} from './reads.ts';
import { SharedReads } from './shared-reads.ts';
import { tagKeys } from './tags.ts';
import type { EbsSnapshot, Ec2, InstanceHealth } from './types.ts';

type Lookups = Pick<
  Ec2,
  | 'findVolumes'
  | 'findDisplayed'
  | 'findTagged'
  | 'listVolumes'
  | 'describeVolume'
  | 'describeModification'
  | 'findSnapshots'
  | 'listSnapshots'
  | 'snapshotsOf'
  | 'describeSnapshot'
  | 'describeInstance'
  | 'describeHealth'
  | 'describeVolumeStatus'
  | 'attachmentLimit'
>;

/** The calls that only read, each as {@link Ec2} says; those of one kind share EC2's (see {@link SharedReads}). */
export function openLookups(client: EC2Client, call: Caller, cluster: string): Lookups {
  const inCluster = exactFilter(`tag:${tagKeys.cluster}`, cluster);
  const ofCluster = `of cluster ${JSON.stringify(cluster)}`;
  const volumesBy = (filter: string, others: readonly (typeof inCluster)[] = []) =>
    new SharedReads({
      limit: maxFilterValues - others.length,
      read: (shared, takeKeys) =>
        readVolumes(client, call, shared, () => [...others, exactFilter(filter, ...takeKeys())]),
    });
  const byName = volumesBy(`tag:${tagKeys.name}`, [inCluster]);
  const byDisplayName = volumesBy(`tag:${tagKeys.displayName}`, [inCluster]);
  const byTagKey = volumesBy('tag-key', [inCluster]);
  const byId = volumesBy('volume-id');
  const all = volumesBy(`tag:${tagKeys.cluster}`);
  const instances = new SharedReads({
    limit: maxFilterValues,
    read: (shared, takeKeys) => readInstances(client, call, shared, () => [exactFilter('instance-id', ...takeKeys())]),
  });
  const health = new SharedReads({
    limit: maxHealthIds,
    read: (shared, takeKeys) => readKnownHealth(client, call, shared, takeKeys),
  });

  return {
    async findVolumes(nameTag, { signal, lane } = {}) {
      const tried = `look up volume ${JSON.stringify(nameTag)} ${ofCluster}`;
      const volumes = await byName.ask(nameTag, { tried, signal, lane });
      return volumes.filter(({ Tags = [] }) => hasTag(Tags, tagKeys.name, nameTag)).map(toVolume);
    },

    async findDisplayed(displayName, { signal, lane } = {}) {
      const tried = `look for volumes ${ofCluster} that show the name ${JSON.stringify(displayName)}`;
      const volumes = await byDisplayName.ask(displayName, { tried, signal, lane });
      return volumes.filter(({ Tags = [] }) => hasTag(Tags, tagKeys.displayName, displayName)).map(toVolume);
    },

    async findTagged(tagKey, { signal, lane } = {}) {
      const tried = `look for volumes ${ofCluster} tagged ${tagKey}`;
      const volumes = await byTagKey.ask(tagKey, { tried, signal, lane });
      return volumes.filter(({ Tags = [] }) => hasTag(Tags, tagKey)).map(toVolume);
    },

    async listVolumes({ signal, lane } = {}) {
      const volumes = await all.ask(cluster, { tried: `list the volumes ${ofCluster}`, signal, lane });
      return volumes.map(toVolume);
    },

    async describeVolume(volumeId, { signal, lane } = {}) {
      const volumes = await byId.ask(volumeId, { tried: `look up ${volumeId}`, signal, lane });
      const found = volumes.find(({ VolumeId }) => VolumeId === volumeId);
      return found && toVolume(found);
    },

    async describeModification(volumeId, { signal, lane } = {}) {
      const read = { tried: `look up the last modification of ${volumeId}`, signal, lane };
      // By filter: an id that was never modified would be an error (InvalidVolumeModification.NotFound).
      const found = await readModifications(client, call, read, [exactFilter('volume-id', volumeId)]);
      const last = found.filter(({ VolumeId }) => VolumeId === volumeId).map(toModification);
      return last.sort((a, b) => (a.startedAt < b.startedAt ? 1 : -1))[0];
    },

    async findSnapshots(tagKey, value, { signal, lane } = {}) {
      const read = { tried: `look for snapshots tagged ${tagKey} ${value}`, signal, lane };
      const snapshots = await readSnapshots(client, call, read, [exactFilter(`tag:${tagKey}`, value)]);
      return snapshots.map(toSnapshot).filter(({ tags }) => tags[tagKey] === value);
    },

    async listSnapshots({ signal, lane } = {}) {
      const read = { tried: `list the snapshots ${ofCluster}`, signal, lane };
      return (await readSnapshots(client, call, read, [inCluster])).map(toSnapshot);
    },

    async snapshotsOf(volumeIds, { signal, lane } = {}) {
      const read = { tried: `look for snapshots of ${namesOf(volumeIds)}`, signal, lane };
      const found: EbsSnapshot[] = [];
      for (let at = 0; at < volumeIds.length; at += maxFilterValues) {
        const filter = exactFilter('volume-id', ...volumeIds.slice(at, at + maxFilterValues));
        found.push(...(await readSnapshots(client, call, read, [filter])).map(toSnapshot));
      }
      return found;
    },

    async describeSnapshot(snapshotId, { signal, lane } = {}) {
      const read = { tried: `look up ${snapshotId}`, signal, lane };
      const snapshots = await readSnapshots(client, call, read, [exactFilter('snapshot-id', snapshotId)]);
      const found = snapshots.find(({ SnapshotId }) => SnapshotId === snapshotId);
      return found && toSnapshot(found);
    },

    async describeInstance(instanceId, { signal, lane } = {}) {
      const several = await instances.ask(instanceId, { tried: `look up ${instanceId}`, signal, lane });
      const found = several.find(({ InstanceId }) => InstanceId === instanceId);
      return found && toInstance(found, found.answeredAt);
    },

    async describeHealth(instanceId, { signal, lane } = {}) {
      const found = await health.ask(instanceId, { tried: `look up the health of ${instanceId}`, signal, lane });
      return found.find((each) => each.instanceId === instanceId);
    },

    async describeVolumeStatus(volumeId, { signal, lane } = {}) {
      const tried = `look up the status of ${volumeId}`;
      const found = await readVolumeStatus(client, call, { tried, signal, lane }, volumeId);
      return found && toVolumeStatus(found);
    },

    attachmentLimit(instanceType, { signal, lane } = {}) {
      const tried = `look up how many volumes an instance of type ${instanceType} takes`;
      return readAttachmentLimit(client, call, { tried, signal, lane }, instanceType);
    },
  };
}

const hasTag = (tags: readonly Tag[], key: string, value?: string): boolean =>
  tags.some(({ Key, Value }) => Key === key && (value === undefined || Value === value));

/** One unknown id fails the whole call; alone it is an instance that EC2 does not list. */
async function readKnownHealth(
  client: EC2Client,
  call: Caller,
  read: Call,
  takeKeys: () => readonly string[],
): Promise<readonly InstanceHealth[]> {
  try {
    return await readHealth(client, call, read, takeKeys);
  } catch (error) {
    if (isCode(error, 'EC2_NO_SUCH_INSTANCE') && takeKeys().length === 1) return [];
    throw error;
  }
}
