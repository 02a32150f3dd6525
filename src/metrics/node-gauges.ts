import type { NodeStatus, NodeVolume, ProofNote } from '../volumes/types.ts';
import { type Measure, one, type Sample } from './measures.ts';

const phases = ['attaching', 'attached', 'mounted', 'detaching', 'waiting'] as const satisfies NodeVolume['phase'][];

/** RFC 3339 to seconds since 1970. */
const secondsOf = (time: string | undefined) => (time === undefined ? undefined : Date.parse(time) / 1000);
const oldest = (times: readonly (string | undefined)[]) =>
  times.map(secondsOf).reduce((a, b) => (a === undefined || (b !== undefined && b < a) ? b : a), undefined);
const byVolume = (read: (volume: NodeVolume) => number | undefined) => ({
  labels: ['volume', 'volume_id'],
  read: ({ volumes }: NodeStatus): readonly Sample[] =>
    volumes.map((each) => [read(each), { volume: each.name, volume_id: each.volumeId ?? '' }]),
});
const byPhase = (counts: (volume: NodeVolume) => boolean) => ({
  labels: ['phase'],
  read: ({ volumes }: NodeStatus): readonly Sample[] =>
    phases.map((phase) => [volumes.filter((each) => each.phase === phase && counts(each)).length, { phase }]),
});
const byProof = (read: (proof: ProofNote) => number | undefined) => ({
  labels: ['volume', 'volume_id'],
  read: ({ volumes, verifications }: NodeStatus): readonly Sample[] => [
    ...volumes.map(
      ({ name, volumeId = '', proof }): Sample => [proof && read(proof), { volume: name, volume_id: volumeId }],
    ),
    ...verifications.flatMap(({ volume, verdict, snapshotId }): Sample[] => {
      if (volume === undefined || verdict === undefined || volumes.some(({ name }) => name === volume)) return [];
      const last = { ...verdict, snapshotId, provenAt: verdict.ok ? verdict.at : undefined };
      return [[read({ every: undefined, last, overdueSince: undefined }), { volume, volume_id: '' }]];
    }),
  ],
});

/** A node as it is: its volumes, its room, what it does. */
export const nodeGauges: readonly Measure[] = [
  {
    name: 'node_info',
    help: 'This node: always 1. What is not known yet is empty.',
    labels: ['instance_id', 'zone', 'cluster', 'fence_policy'],
    read: ({ node: { instanceId = '', zone = '', cluster, fencePolicy } }) => [
      [1, { instance_id: instanceId, zone, cluster, fence_policy: fencePolicy }],
    ],
  },
  {
    name: 'ready',
    help: '1 when this node can attach volumes, 0 while it is still finding out about itself.',
    read: ({ unready }) => one(unready === undefined),
  },
  {
    name: 'reserve_used',
    help: '1 while the disk of DVE_ROOT is full and volumes leave by the reserve of the journal.',
    read: ({ reserveUsedSince }) => one(reserveUsedSince !== undefined),
  },
  {
    name: 'volumes',
    help: 'Volumes held on this node by phase, and those only waited for here (waiting).',
    ...byPhase(() => true),
  },
  {
    name: 'waiting_volumes',
    help: 'Volumes whose operations wait for something at this moment, by phase.',
    ...byPhase(({ waitingFor }) => waitingFor !== undefined),
  },
  {
    name: 'ghost_volumes',
    help: 'Held volumes whose disk is gone: what is still mounted gives I/O errors.',
    read: ({ volumes }) => one(volumes.filter(({ ghost }) => ghost).length),
  },
  {
    name: 'oldest_detach_timestamp_seconds',
    help: 'When the oldest detach that is not finished began; absent without one.',
    read: ({ volumes }) => one(oldest(volumes.filter(({ phase }) => phase === 'detaching').map(({ since }) => since))),
  },
  {
    name: 'volume_holders',
    help: 'Callers that have the volume mounted.',
    ...byVolume(({ holders }) => holders.length),
  },
  {
    name: 'volume_waiting',
    help: '1 while an operation on the volume waits for something.',
    ...byVolume(({ waitingFor }) => Number(waitingFor !== undefined)),
  },
  {
    name: 'filesystem_failed',
    help: '1 while the filesystem takes no more writes: after an error the kernel made it read-only or shut it down, or it does not answer.',
    ...byVolume(({ phase, fault }) => (phase === 'mounted' ? Number(fault !== undefined) : undefined)),
  },
  {
    name: 'filesystem_size_bytes',
    help: 'Size of the filesystem; absent, like the others, unless it is mounted and answers.',
    ...byVolume(({ usage }) => usage?.bytes.total),
  },
  {
    name: 'disk_size_bytes',
    help: 'Size of the disk of a mounted volume.',
    ...byVolume(({ size }) => size?.diskBytes),
  },
  {
    name: 'filesystem_growth_refused',
    help: '1 while the filesystem of a mounted volume is smaller than its disk and cannot be grown.',
    ...byVolume(({ size }) => size && Number(size.refused !== undefined)),
  },
  {
    name: 'auto_grow_left',
    help: 'Modifications that EC2 still takes in 24 hours of a volume that grows by itself, as far as this driver has made them.',
    ...byVolume(({ autoGrow }) => autoGrow?.left),
  },
  {
    name: 'auto_grow_warning',
    help: '1 while a volume that grows by itself may be full all the same: at its maximum, or before EC2 takes the next change.',
    ...byVolume(({ autoGrow }) => autoGrow && Number(autoGrow.warning !== undefined)),
  },
  {
    name: 'last_proven_restore_timestamp_seconds',
    help: 'When a snapshot of the volume was last proven to be one that it can be restored from; of volumes held here, and of those verified by this daemon.',
    ...byProof(({ last }) => secondsOf(last?.provenAt)),
  },
  {
    name: 'verification_failed',
    help: '1 while the last snapshot of the volume that was verified is one that it cannot be restored from.',
    ...byProof(({ last }) => last && Number(!last.ok)),
  },
  {
    name: 'verification_overdue',
    help: '1 while a volume that is verified by itself has had no proof for two of its intervals.',
    ...byProof(({ every, overdueSince }) => every && Number(overdueSince !== undefined)),
  },
  {
    name: 'snapshot_newest_timestamp_seconds',
    help: 'When the newest snapshot of the schedule of a held volume was begun; absent where it has none.',
    ...byVolume(({ snapshots }) => secondsOf(snapshots?.lastAt)),
  },
  {
    name: 'snapshot_due_timestamp_seconds',
    help: 'Since when the schedule of a volume in use wants a snapshot that has not been taken; absent while none is due.',
    ...byVolume(({ snapshots }) => secondsOf(snapshots?.dueSince)),
  },
  {
    name: 'filesystem_used_bytes',
    help: 'What is used of the filesystem.',
    ...byVolume(({ usage }) => usage?.bytes.used),
  },
  {
    name: 'filesystem_available_bytes',
    help: 'What is left of the filesystem for programs that do not run as root.',
    ...byVolume(({ usage }) => usage?.bytes.available),
  },
  {
    name: 'filesystem_inodes',
    help: 'Inodes of the filesystem; absent where their number is not fixed (btrfs).',
    ...byVolume(({ usage }) => usage?.inodes.total || undefined),
  },
  {
    name: 'filesystem_used_inodes',
    help: 'Inodes that are used.',
    ...byVolume(({ usage }) => (usage?.inodes.total ? usage.inodes.used : undefined)),
  },
  {
    name: 'attachment_slots_used',
    help: 'Places for disks of this instance that are used, its root disk included.',
    read: ({ slots }) => one(slots.used),
  },
  {
    name: 'attachment_slots_limit',
    help: 'Places for disks that this instance type has; absent where EC2 has not said.',
    read: ({ slots }) => one(slots.limit),
  },
  {
    name: 'draining',
    help: '1 while this node is drained.',
    read: ({ draining }) => one(draining !== undefined),
  },
  {
    name: 'drain_start_timestamp_seconds',
    help: 'When the drain began, and who ends it; absent unless the node is drained.',
    labels: ['by'],
    read: ({ draining }) => (draining === undefined ? [] : [[secondsOf(draining.since), { by: draining.by }]]),
  },
  {
    name: 'notices',
    help: 'What EC2 has announced to do to this instance.',
    read: ({ notices }) => one(notices.length),
  },
  {
    name: 'takeovers',
    help: 'Takeovers that this node has in hand.',
    read: ({ takeovers }) => one(takeovers.length),
  },
  {
    name: 'fencing_paused',
    help: '1 when fencing was paused in the cluster the last time that this node had to know.',
    read: ({ paused }) => one(paused !== undefined),
  },
];
