import { tagKeys } from '../ebs/tags.ts';
import type { EbsVolume } from '../ebs/types.ts';
import type { Held } from './held.ts';
import type { VolumeInfo } from './types.ts';

/** A volume held here, from memory alone. */
export function heldInfo(held: Held, instanceId: string, waitingFor: string | undefined): VolumeInfo {
  return {
    name: held.name,
    mountpoint: held.directory,
    createdAt: held.volume.createdAt,
    status: compact({
      ...facts(held.volume),
      state: held.phase,
      // What is only to be detached may have another owner by now.
      owner: held.phase === 'detaching' ? undefined : instanceId,
      device: held.device,
      attachTime: held.attachTime,
      filesystem: held.filesystem ?? held.volume.tags[tagKeys.formatted],
      holders: held.holders.map(({ id, since }) => ({ id: id ?? 'anonymous', since })),
      waitingFor,
    }),
  };
}

/** A volume that is not held here, as EC2 described it. `stale` says why the answer may be an old one, and its age. */
export function remoteInfo(
  name: string,
  volume: EbsVolume,
  waitingFor: string | undefined,
  stale?: string,
): VolumeInfo {
  const attachment = volume.attachments[0];
  return {
    name,
    mountpoint: undefined,
    createdAt: volume.createdAt,
    status: compact({
      ...facts(volume),
      state: attachment === undefined ? volume.state : attachment.state,
      owner: attachment?.instanceId,
      device: attachment?.device,
      attachTime: attachment?.attachTime,
      filesystem: volume.tags[tagKeys.formatted],
      holders: [],
      waitingFor,
      stale,
    }),
  };
}

function facts(volume: EbsVolume) {
  return {
    volumeId: volume.id,
    availabilityZone: volume.zone,
    type: volume.type,
    sizeGiB: volume.sizeGib,
    iops: volume.iops,
    throughput: volume.throughput,
    encrypted: volume.encrypted,
    snapshotId: volume.snapshotId,
  };
}

function compact(status: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(status).filter(([, value]) => value !== undefined));
}
