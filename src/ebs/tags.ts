import type { Attachment } from './types.ts';

/** The tag keys we write on EBS volumes: one name, one EBS volume, in one cluster. */
export const tagKeys = {
  /** What consoles show. */
  displayName: 'Name',
  cluster: 'docker-volume-ebs:cluster',
  /** The volume's name in its encoded form (see volumes/options/names.ts): what look-ups filter on. */
  name: 'docker-volume-ebs:name',
  /** Which try with a ClientToken made this volume; see volumes/requests/create.ts. */
  generation: 'docker-volume-ebs:generation',
  /** Written before mkfs begins on a disk proved blank: what an interrupted mkfs leaves is nobody's data. */
  formatting: 'docker-volume-ebs:formatting',
  /** Written once mkfs succeeded: from then on a blank-looking disk is refused, never formatted again. */
  formatted: 'docker-volume-ebs:filesystem',
  /** The attachment its holder declares finished, as {@link cleanMark} writes it; a one-way promise. */
  clean: 'docker-volume-ebs:clean',
  /**
   * Counts the changes of owner, and decides nothing: it rides along with the owner's tag, and tells people and the
   * tests which owner followed which, where the fence log keeps only takeovers.
   */
  epoch: 'docker-volume-ebs:epoch',
  /** Who attached it last; see fencing/records.ts. */
  owner: 'docker-volume-ebs:owner',
  /** One key for each announced takeover: this, the taker's instance id, a dot and the takeover's id. */
  intentPrefix: 'docker-volume-ebs:fence.',
  /** The last takeovers. */
  fenceLog: 'docker-volume-ebs:fence-log',
  /** An operator's word that the named attachment is finished. */
  confirmed: 'docker-volume-ebs:fence-confirmed',
  /** On any volume of the cluster it stops fencing in all of it; the value says why and since when. */
  paused: 'docker-volume-ebs:fence-paused',
  /** A policy stricter than the daemon's, from the volume's options. */
  fencePolicy: 'docker-volume-ebs:fence-policy',
  /** What a volume was asked to be made from: the encoded name of a volume, and which snapshot of it; `-` for none. */
  from: 'docker-volume-ebs:from',
  /** When a volume is to go into the trash by itself, RFC 3339. */
  ttl: 'docker-volume-ebs:ttl',
  /** When its snapshots are taken and how many are kept, as "hourly:24,daily:7"; see volumes/options/schedule.ts. */
  snapshots: 'docker-volume-ebs:snapshots',
  /** On a volume with a schedule: the last slot of each class that has its snapshot, and when that was begun (RFC 3339). */
  slotsDone: 'docker-volume-ebs:slots',
  /** A snapshot that another node asks the owner for, or why that took none; see volumes/copies/asked.ts. */
  snapshotWanted: 'docker-volume-ebs:snapshot-wanted',
  /** The owner, and how often it looks for such requests, in seconds. */
  looks: 'docker-volume-ebs:looks',
  /** What a removal does to the volume, from its options; the node's setting where it is absent. */
  onRemove: 'docker-volume-ebs:on-remove',
  /** On a volume without a name: until when it is kept in the trash, and who put it there; see volumes/copies/trash.ts. */
  trash: 'docker-volume-ebs:trash',
  /** On a volume whose name is to mean another, from before that is made: the instance that does it, and when. */
  replacing: 'docker-volume-ebs:replacing',
  /** On it: the volume that was chosen to have its name; see volumes/state/succession.ts. */
  replacedBy: 'docker-volume-ebs:replaced-by',
  /** On that other, as long as it counts for nothing: the volume whose name it is to have. */
  replaces: 'docker-volume-ebs:replaces',
  /**
   * On a volume that still has its name: a node of another zone removes it, which node and since when. Nobody mounts it from
   * here on; see volumes/copies/departures.ts.
   */
  leaving: 'docker-volume-ebs:leaving',
  /** On a snapshot that is all there is of a removed volume, and lies in the trash: the volume's id. No volume has this. */
  trashOf: 'docker-volume-ebs:trash-of',
  /** The name of a volume that was removed but kept (onRemove = retain or trash). */
  retained: 'docker-volume-ebs:retained',
  /** On a volume without a name whose deletion waits for a snapshot: the node that removed it, and when. */
  removing: 'docker-volume-ebs:removing',
  /** On the snapshot of a removed volume: the volume's id. */
  removalOf: 'docker-volume-ebs:removal-of',
  /** On a snapshot: the name of the volume that it was taken of before a rescue. */
  rescued: 'docker-volume-ebs:rescued',
  /** When a volume that was not made here came into the cluster, RFC 3339. */
  adopted: 'docker-volume-ebs:adopted',
  /** On a volume that `doctor --live` made for its checks, and deletes: the instance that did, and when (RFC 3339). */
  check: 'docker-volume-ebs:check',
  /** On a volume without a name that a node has made for itself, and deletes: what for, which node and since when, as {@link scratchMark} writes it. */
  scratch: 'docker-volume-ebs:scratch',
  /** On a snapshot that somebody here asked for: its name. Only we write it, so that it tells ours from copies of our tags. */
  snapshotName: 'docker-volume-ebs:snapshot-name',
  /** On such a snapshot: the encoded name of its volume (a key of its own: other tools copy a volume's tags). */
  snapshotOf: 'docker-volume-ebs:snapshot-of',
  /** On such a snapshot: the EBS volume it was taken of, which EC2 does not know of a copied one. */
  snapshotVolume: 'docker-volume-ebs:snapshot-volume',
  /** On such a snapshot: who asked for it, once; a lost answer is looked for by this. */
  snapshotRequest: 'docker-volume-ebs:snapshot-request',
  /** On such a snapshot: how consistent it is; see volumes/copies/snapshot-tags.ts. */
  consistency: 'docker-volume-ebs:snapshot-consistency',
  /** On a snapshot of a schedule: the slots it stands for, as "hourly/2026-11-30T12 daily/2026-11-30". */
  slots: 'docker-volume-ebs:snapshot-slots',
  /** On any snapshot of a volume of ours: when and how its last verification ended; see volumes/copies/verdict.ts. */
  verified: 'docker-volume-ebs:verified',
  /** On a volume: the last verification of one of its snapshots, and when one was last proven; see volumes/copies/verdict.ts. */
  proof: 'docker-volume-ebs:proof',
  /** How often its newest snapshot is verified by itself. */
  verify: 'docker-volume-ebs:verify',
  /** The slot for which a node has taken that on, and that node. */
  verifySlot: 'docker-volume-ebs:verify-slot',
  /** On such a snapshot: type, iops and throughput of its volume, as "gp3 3000 125". */
  performance: 'docker-volume-ebs:performance',
  fsType: 'docker-volume-ebs:fs-type',
  mountOptions: 'docker-volume-ebs:mount-options',
  mkfsOptions: 'docker-volume-ebs:mkfs-options',
  subdirectory: 'docker-volume-ebs:subdirectory',
  uid: 'docker-volume-ebs:uid',
  gid: 'docker-volume-ebs:gid',
  mode: 'docker-volume-ebs:mode',
  autoGrow: 'docker-volume-ebs:auto-grow',
  autoGrowBy: 'docker-volume-ebs:auto-grow-by',
  autoGrowMax: 'docker-volume-ebs:auto-grow-max',
  /** When and by how much it has grown by itself lately, and how full it was; see volumes/growth/history.ts. */
  growth: 'docker-volume-ebs:growth',
} as const;

/**
 * The value of the clean tag for one attachment. The attach time alone will not do: EC2 gives it in whole seconds, and a
 * volume may go through two attachments in one.
 */
export function cleanMark({
  instanceId,
  device,
  attachTime,
}: Pick<Attachment, 'device' | 'attachTime'> & { readonly instanceId: string }): string {
  return `${instanceId} ${device} ${attachTime}`;
}

/** A scratch volume: a disk of the driver's own, which holds nothing that is not elsewhere. */
export interface Scratch {
  /** As "verify snap-0123". */
  readonly purpose: string;
  /** The node that made it. */
  readonly instanceId: string;
  /** RFC 3339. */
  readonly since: string;
}

const scratchPattern = /^(\S.*) (i-[0-9a-f]+) (\d{4}-\d\d-\d\dT[\d:.]+Z)$/;

/** The value of the scratch tag. */
export const scratchMark = ({ purpose, instanceId, since }: Scratch): string => `${purpose} ${instanceId} ${since}`;

/** What the scratch tag says; undefined where there is none, or what stands there is not ours: then it is nobody's to delete. */
export function readScratch(value: string | undefined): Scratch | undefined {
  const [, purpose, instanceId, since] = scratchPattern.exec(value ?? '') ?? [];
  if (purpose === undefined || instanceId === undefined || since === undefined) return undefined;
  return Number.isNaN(Date.parse(since)) ? undefined : { purpose, instanceId, since };
}

/** Keys with this prefix are ours; users may not set them. */
export const tagPrefix = 'docker-volume-ebs:';
