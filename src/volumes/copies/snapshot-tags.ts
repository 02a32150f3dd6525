/** What our snapshots say of themselves, in tags. Pure. */
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsSnapshot, EbsVolume, Tags } from '../../ebs/types.ts';
import { decodeName, displayName, encodeName } from '../options/names.ts';
import { readVerdict, type Verdict } from './verdict.ts';

/**
 * How consistent a snapshot is. `unmounted`: nothing had its filesystem mounted. `frozen`: its writers stood still, with
 * everything written out. `crash`: as after a power failure; journals replay.
 */
export const consistencies = ['unmounted', 'frozen', 'crash'] as const;
export type Consistency = (typeof consistencies)[number];

/** Who has taken a snapshot, and what for: somebody by name, a schedule, a removal (for good, or for the trash), a rescue; another tool, as DLM or AWS Backup. */
export type SnapshotKind = 'manual' | 'scheduled' | 'removal' | 'trash' | 'rescue' | 'foreign';

/** A snapshot of a volume of the cluster. */
export interface VolumeSnapshot {
  readonly id: string;
  readonly kind: SnapshotKind;
  /** What to ask for it by, beside its id; undefined where nobody has named it. */
  readonly name: string | undefined;
  /** The name of its volume, as far as it can be told. */
  readonly volume: string | undefined;
  /** Of the EBS volume that it was taken of. */
  readonly volumeId: string;
  readonly state: EbsSnapshot['state'];
  /** Why it failed, where EC2 says so. */
  readonly message: string | undefined;
  /** RFC 3339. */
  readonly startedAt: string;
  readonly sizeGiB: number;
  /** Undefined where nobody has said. */
  readonly consistency: Consistency | undefined;
  /** Of a schedule: the slots that it stands for, as "daily/2026-11-30". */
  readonly slots: readonly string[];
  /** How its last verification ended; undefined where there was none. */
  readonly verified: Verdict | undefined;
  /** What it holds in all, in bytes; undefined where EC2 does not say. */
  readonly fullBytes: number | undefined;
  readonly tags: Tags;
}

/** Of a volume, what its snapshots carry on: how it is mounted, what is on it. */
const carried = [
  tagKeys.formatted,
  tagKeys.fsType,
  tagKeys.mountOptions,
  tagKeys.mkfsOptions,
  tagKeys.subdirectory,
  tagKeys.uid,
  tagKeys.gid,
  tagKeys.mode,
  tagKeys.fencePolicy,
  tagKeys.onRemove,
];

/** The tags of the options and the filesystem of a volume, or of a snapshot of it. */
export const carriedTags = (tags: Tags): Tags =>
  Object.fromEntries(carried.flatMap((key) => (tags[key] === undefined ? [] : [[key, tags[key]]])));

/** The tag that says what performance a volume has of which a snapshot is taken. */
export const snapshotShape = ({ type, iops, throughput }: EbsVolume): Tags => ({
  [tagKeys.performance]: [type, iops, throughput].filter((each) => each !== undefined).join(' '),
});

/** What is asked for when a snapshot is taken. */
export interface Wanted {
  /** Unique: who repeats it means the same snapshot. */
  readonly request: string;
  readonly name: string;
  /** Of a schedule: the slots that it stands for. */
  readonly slots?: readonly string[] | undefined;
}

/**
 * The tags of a new snapshot of a volume. Its consistency is the least that will be true whatever happens until EC2 has
 * answered: who then knows better says so by another tag.
 */
export function snapshotTags(cluster: string, volumeName: string, volume: EbsVolume, wanted: Wanted): Tags {
  return {
    ...carriedTags(volume.tags),
    [tagKeys.displayName]: displayName(volumeName),
    [tagKeys.cluster]: cluster,
    [tagKeys.snapshotName]: wanted.name,
    [tagKeys.snapshotOf]: encodeName(volumeName),
    [tagKeys.snapshotVolume]: volume.id,
    [tagKeys.snapshotRequest]: wanted.request,
    ...snapshotShape(volume),
    [tagKeys.consistency]: 'crash' satisfies Consistency,
    ...(wanted.slots === undefined ? {} : { [tagKeys.slots]: wanted.slots.join(' ') }),
  };
}

/** A snapshot as ours or somebody else's. @param nameOf the name of a volume of the cluster by its id. */
export function readSnapshot(
  snapshot: EbsSnapshot,
  nameOf: (volumeId: string) => string | undefined = () => undefined,
): VolumeSnapshot {
  const { tags } = snapshot;
  const volumeId =
    tags[tagKeys.snapshotVolume] ?? tags[tagKeys.removalOf] ?? tags[tagKeys.trashOf] ?? snapshot.volumeId;
  const kind = kindOf(tags);
  const encoded = tags[tagKeys.snapshotOf] ?? tags[tagKeys.rescued] ?? tags[tagKeys.name];
  return {
    id: snapshot.id,
    kind,
    name: kind === 'foreign' ? undefined : tags[tagKeys.snapshotName],
    volume: (encoded === undefined ? undefined : decodeName(encoded)) ?? tags[tagKeys.retained] ?? nameOf(volumeId),
    volumeId,
    state: snapshot.state,
    message: snapshot.message,
    startedAt: snapshot.startedAt,
    sizeGiB: snapshot.sizeGib,
    consistency: consistencies.find((known) => known === tags[tagKeys.consistency]),
    slots: kind === 'scheduled' ? (tags[tagKeys.slots] ?? '').split(' ') : [],
    verified: readVerdict(tags[tagKeys.verified]),
    fullBytes: snapshot.fullBytes,
    tags,
  };
}

/** Other tools copy the tags of a volume to their snapshots: only what no volume ever carries tells that one is ours. */
function kindOf(tags: Tags): SnapshotKind {
  if (tags[tagKeys.snapshotRequest] !== undefined) return tags[tagKeys.slots] === undefined ? 'manual' : 'scheduled';
  if (tags[tagKeys.removalOf] !== undefined) return 'removal';
  if (tags[tagKeys.trashOf] !== undefined) return 'trash';
  return tags[tagKeys.rescued] === undefined ? 'foreign' : 'rescue';
}
