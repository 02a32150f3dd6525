/** What nobody needs any more, by all that is known of it. Pure. */
import { readScratch, tagKeys } from '../../ebs/tags.ts';
import type { EbsSnapshot, EbsVolume } from '../../ebs/types.ts';
import { attachmentOf, isGone } from '../../ebs/volume-record.ts';
import { readOwner } from '../../fencing/records.ts';
import { monthlyCost, snapshotCost } from '../options/prices.ts';
import { isUnused } from '../state/duplicates.ts';
import { readLeaving } from '../state/leaving.ts';
import { nameOf } from '../state/lookup.ts';
import { readSnapshot, type VolumeSnapshot } from './snapshot-tags.ts';
import { isOnItsWay, trashedSnapshot } from './trash-mark.ts';

/** Whoever made it may be at work with it still, or be about to: what is younger is no garbage. */
const youngMs = 86_400_000;

/** A volume or a snapshot that may not be needed. */
export interface Garbage {
  readonly id: string;
  /** `scratch`: the driver's own, left over. `unmade`: made, and never used. `idle`: attached to nothing. `snapshot`: of a volume that is gone. */
  readonly kind: 'scratch' | 'unmade' | 'idle' | 'snapshot';
  /** Its name, or that of its volume. */
  readonly name: string | undefined;
  /** Why it is taken for garbage, as a clause. */
  readonly why: string;
  /** True where only somebody who names it can know that it is not needed: it has a name, or it may be a backup. */
  readonly named: boolean;
  readonly sizeGiB: number;
  /** Since when it is there or, of what was used, since when it was last attached; RFC 3339. */
  readonly since: string;
  /** At most, in USD by the list prices of us-east-1; undefined where no price of its type is known. */
  readonly monthlyCost: number | undefined;
}

interface Seen {
  readonly volumes: readonly EbsVolume[];
  /** Those that carry the tag of the cluster. */
  readonly snapshots: readonly EbsSnapshot[];
  /** By the wall clock, in milliseconds. */
  readonly now: number;
  /** A volume that was last attached so long ago is idle, if nothing has it. */
  readonly idleMs: number;
}

/** What is there and may not be needed, the dearest first. What is in the trash has its own time, and is none of it. */
export function findGarbage({ volumes, snapshots, now, idleMs }: Seen): Garbage[] {
  const present = volumes.filter((volume) => !isGone(volume));
  const isOld = (since: string, ms: number) => now - Date.parse(since) > ms;
  return [
    ...present.flatMap((volume) => volumeGarbage(volume, isOld, idleMs) ?? []),
    ...snapshots.flatMap((snapshot) => snapshotGarbage(snapshot, present, isOld) ?? []),
  ].sort((a, b) => (b.monthlyCost ?? 0) - (a.monthlyCost ?? 0) || (a.id < b.id ? -1 : 1));
}

type IsOld = (since: string, ms: number) => boolean;

function volumeGarbage(volume: EbsVolume, isOld: IsOld, idleMs: number): Garbage | undefined {
  const { id, tags, createdAt, sizeGib: sizeGiB } = volume;
  if (attachmentOf(volume) !== undefined || readLeaving(tags) !== undefined || tags[tagKeys.replaces] !== undefined) {
    return undefined;
  }
  const name = nameOf(volume);
  const common = { id, name, sizeGiB, monthlyCost: monthlyCost({ ...volume, sizeGiB }) };
  const scratch = readScratch(tags[tagKeys.scratch]);
  if (scratch !== undefined && name === undefined) {
    if (!isOld(scratch.since, youngMs)) return undefined;
    const why = `${scratch.instanceId} made it for itself (${scratch.purpose}) and has left it`;
    return { ...common, kind: 'scratch', why, named: false, since: scratch.since };
  }
  // What has no name is in the trash, kept for good, or has lost its tags: none of it is ours to judge.
  if (name === undefined) return undefined;
  if (isUnused(volume)) {
    if (!isOld(createdAt, youngMs)) return undefined;
    return {
      ...common,
      kind: 'unmade',
      why: 'it was made, and nobody has ever attached it',
      named: true,
      since: createdAt,
    };
  }
  // When it was detached nothing tells.
  const last = readOwner(tags);
  if (last === undefined || !isOld(last.attachTime, idleMs)) return undefined;
  const why = `nothing has it, and it was last attached on ${last.attachTime} (to ${last.instanceId})`;
  return { ...common, kind: 'idle', why, named: true, since: last.attachTime };
}

function snapshotGarbage(snapshot: EbsSnapshot, present: readonly EbsVolume[], isOld: IsOld): Garbage | undefined {
  const read = readSnapshot(snapshot);
  if (!isOld(snapshot.startedAt, youngMs) || snapshot.state === 'pending') return undefined;
  const verdict = whyNotNeeded(snapshot, read, present);
  if (verdict === undefined) return undefined;
  const { id, sizeGib: sizeGiB, startedAt: since } = snapshot;
  return { id, kind: 'snapshot', name: read.volume, sizeGiB, since, monthlyCost: snapshotCost(sizeGiB), ...verdict };
}

function whyNotNeeded(
  snapshot: EbsSnapshot,
  { kind, volume: name, volumeId, name: own }: VolumeSnapshot,
  present: readonly EbsVolume[],
): Pick<Garbage, 'why' | 'named'> | undefined {
  if (kind === 'foreign') return undefined;
  const source = present.find(({ id }) => id === volumeId);
  const trash = trashedSnapshot(snapshot);
  if (trash !== undefined) {
    const left = source !== undefined && !isOnItsWay(trash, source);
    return left ? { why: `a removal that was called off has left it; ${volumeId} is there`, named: false } : undefined;
  }
  if (snapshot.tags[tagKeys.snapshotRequest]?.startsWith('served: ')) {
    return { why: 'it was taken for one copy, which is made', named: false };
  }
  const isNamed = name !== undefined && present.some((volume) => nameOf(volume) === name);
  if (source !== undefined || isNamed) return undefined;
  const gone = `its volume ${name ?? ''} (${volumeId}) is gone`.replace('  ', ' ');
  const words: Partial<Record<typeof kind, string>> = {
    scheduled: ', and its schedule with it; it may be the last copy of its data',
    manual: `; somebody took it as ${own ?? 'a snapshot'}`,
  };
  return { why: `${gone}${words[kind] ?? '; it is what is left of it'}`, named: true };
}
