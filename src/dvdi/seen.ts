import type {
  ClusterVolume,
  ClusterVolumes,
  FenceHistory,
  NodeStatus,
  NodeVolume,
  RescueReport,
} from '../volumes/types.ts';

/** What `/Ebs.Status` answers. Texts that are empty, and fields that are absent, are not known or not so. */
export function statusAnswer({ node, ...status }: NodeStatus): object {
  const { draining, paused } = status;
  return {
    InstanceId: node.instanceId ?? '',
    Zone: node.zone ?? '',
    Cluster: node.cluster,
    FencePolicy: node.fencePolicy,
    Version: node.version,
    Since: status.since,
    Unready: status.unready ?? '',
    ReserveUsedSince: status.reserveUsedSince ?? '',
    ...(draining === undefined
      ? {}
      : { Draining: { Reason: draining.reason, By: draining.by, Since: draining.since } }),
    Slots: { Used: status.slots.used, Limit: status.slots.limit },
    Volumes: status.volumes.map(volumeAnswer),
    Foreign: status.foreign.map(({ name, volumeId, device }) => ({ Name: name, VolumeId: volumeId, Device: device })),
    Takeovers: status.takeovers.map(({ fenceId, volume, volumeId, instanceId, device, since }) => ({
      FenceId: fenceId,
      Volume: volume,
      VolumeId: volumeId,
      Owner: instanceId,
      Device: device,
      Since: since,
    })),
    ...(paused === undefined ? {} : { Paused: { Reason: paused.reason, SeenAt: paused.seenAt } }),
    Fences: countersAnswer(status.fencesDone),
    Notices: status.notices,
  };
}

function volumeAnswer({ usage, ...volume }: NodeVolume): object {
  return {
    Name: volume.name,
    VolumeId: volume.volumeId ?? '',
    Phase: volume.phase,
    Device: volume.device ?? '',
    Mountpoint: volume.mountpoint ?? '',
    Holders: volume.holders.map(({ id, since }) => ({ Id: id, Since: since })),
    Since: volume.since ?? '',
    WaitingFor: volume.waitingFor ?? '',
    ...(volume.rescue === undefined
      ? {}
      : { Rescue: { Path: volume.rescue.path, SnapshotId: volume.rescue.snapshotId ?? '' } }),
    Ghost: volume.ghost,
    Fault: volume.fault ?? '',
    ...(usage === undefined
      ? {}
      : {
          Usage: {
            Bytes: { Total: usage.bytes.total, Used: usage.bytes.used, Available: usage.bytes.available },
            Inodes: { Total: usage.inodes.total, Used: usage.inodes.used },
          },
        }),
  };
}

/** What `/Ebs.Rescue` answers. */
export function rescueAnswer({ name, volumeId, path, since, snapshotId, found, steps }: RescueReport): object {
  return {
    Name: name,
    VolumeId: volumeId,
    Path: path,
    Since: since,
    SnapshotId: snapshotId ?? '',
    Found: found,
    Steps: steps.map(({ command, what }) => ({ Command: command, What: what })),
  };
}

/** What `/Ebs.Volumes` answers. */
export function clusterAnswer({ cluster, volumes, paused, stale }: ClusterVolumes): object {
  return { Cluster: cluster, Volumes: volumes.map(clusterVolume), Paused: paused ?? '', Stale: stale ?? '' };
}

function clusterVolume({ owner, ...volume }: ClusterVolume): object {
  return {
    Name: volume.name ?? '',
    Retained: volume.retained,
    Duplicate: volume.duplicate,
    VolumeId: volume.volumeId,
    Zone: volume.zone,
    Type: volume.type,
    SizeGiB: volume.sizeGib,
    State: volume.state,
    ...(owner === undefined
      ? {}
      : {
          Owner: {
            InstanceId: owner.instanceId ?? '',
            InstanceState: owner.instanceState ?? '',
            Device: owner.device,
            Since: owner.since,
          },
        }),
    Notes: volume.notes,
  };
}

/** What fencing has counted. */
export function countersAnswer({ stops, ...counters }: FenceHistory['counters']): object {
  return {
    Decisions: counters.decisions,
    Refusals: counters.refusals,
    Stops: { Graceful: stops.graceful, Forced: stops.forced },
    ForcedDetaches: counters.forcedDetaches,
    LostRaces: counters.lostRaces,
    Aborted: counters.aborted,
  };
}
