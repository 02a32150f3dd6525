import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume, Tags } from '../../ebs/types.ts';
import { attachmentOf } from '../../ebs/volume-record.ts';
import { DriverError, shellWord, toDriverError } from '../../errors.ts';
import { type Outcome, publish, stopwatch } from '../../events.ts';
import { knownText, snapshotMeant } from '../copies/find.ts';
import { type Consistency, carriedTags, type VolumeSnapshot } from '../copies/snapshot-tags.ts';
import { trashMark } from '../copies/trash-mark.ts';
import { adoptMounted } from '../lifecycle/adopt.ts';
import { acquire } from '../lifecycle/attach.ts';
import { refuseWhileDraining } from '../lifecycle/drain.ts';
import { idle } from '../lifecycle/release.ts';
import { refuseRescued } from '../lifecycle/rescue.ts';
import { heldUnrecorded, type StillHeld, stillHeld } from '../lifecycle/still-held.ts';
import { type Replacement, replaceVolume } from '../names/replace.ts';
import { detachedHere } from '../names/take-name.ts';
import { encodeName } from '../options/names.ts';
import { noSuchVolume } from '../state/lookup.ts';
import { findVolume, type Node } from '../state/node.ts';
import { complete } from './source.ts';

const tried = 'roll it back';
const again = 'roll it back again';

/** What a rollback has made, or would make. Times are RFC 3339. */
export interface RolledBack {
  readonly name: string;
  /** The EBS volume that has the name now; undefined for a dry run. */
  readonly volumeId: string | undefined;
  readonly sizeGiB: number;
  readonly snapshotId: string;
  /** What the data is: as it was then, and how consistent that is; undefined where nobody has said. */
  readonly takenAt: string;
  readonly consistency: Consistency | undefined;
  /** What had the name, and until when that is in the trash. */
  readonly former: string;
  readonly expires: string;
}

/**
 * Makes a name mean a new volume, made from one of its snapshots; what had it goes into the trash. Only where nothing has it
 * mounted. Runs in the name's queue.
 * @param which the snapshot: its id, its name, `latest`, or a time. @param how a dry run only tells.
 * @throws DriverError IN_USE_HERE, ATTACHED_ELSEWHERE, WRONG_ZONE, INVALID_REQUEST where there is no such snapshot of it,
 * STILL_WORKING while that is not complete; what a mount throws that cannot have the volume; EC2_*. The name means what it meant then.
 */
export async function rollback(
  node: Node,
  name: string,
  which: string,
  { dryRun }: { readonly dryRun: boolean },
): Promise<RolledBack> {
  const seconds = stopwatch();
  let outcome: Outcome = 'ok';
  try {
    return await rollBack(node, name, which, dryRun);
  } catch (error) {
    outcome = toDriverError(error, tried).code;
    throw error;
  } finally {
    if (!dryRun) publish('rollback', { outcome, seconds: seconds() });
  }
}

async function rollBack(node: Node, name: string, which: string, dryRun: boolean): Promise<RolledBack> {
  await refuseWhileDraining(node, name, undefined);
  try {
    return await rollBackUnused(node, name, await unused(node, name), which, dryRun);
  } finally {
    const left = node.held.get(name);
    if (left?.holders.length === 0 && !left.replacing) node.scheduleRelease(name, 0);
  }
}

async function rollBackUnused(
  node: Node,
  name: string,
  volume: EbsVolume,
  which: string,
  dryRun: boolean,
): Promise<RolledBack> {
  const snapshot = await chosen(node, name, volume, which);
  const removed = Date.now();
  const expires = removed + node.settings.trash * 1000;
  const told = {
    name,
    sizeGiB: Math.max(volume.sizeGib, snapshot.sizeGiB),
    snapshotId: snapshot.id,
    takenAt: snapshot.startedAt,
    consistency: snapshot.consistency,
    former: volume.id,
    expires: new Date(expires).toISOString(),
  };
  if (dryRun) return { ...told, volumeId: undefined };
  const lock = node.held.get(name) ?? (await acquire(node, name, volume));
  // Options may have been set, and its size changed, by another node.
  const now = (await node.ec2.describeVolume(lock.volume.id)) ?? lock.volume;
  const made = await replaceVolume(node, lock, {
    spec: specOf(now, snapshot),
    kept: ({ tags }) => ({
      [tagKeys.retained]: encodeName(name),
      [tagKeys.trash]: trashMark(node, tags, removed, expires),
    }),
  });
  node.trash.added(now, expires);
  const ids = { volume: name, volumeId: made.id, former: now.id, snapshotId: snapshot.id };
  node.log.info({ op: 'rollback', ...ids }, 'rolled back');
  return { ...told, sizeGiB: made.sizeGib, former: now.id, volumeId: made.id };
}

/** The volume, used by nobody here and had by no other node that lives; if it is attached here it stays so. */
async function unused(node: Node, name: string): Promise<EbsVolume> {
  const held = node.held.get(name);
  refuseRescued(node, held, tried);
  if (held !== undefined && held.holders.length > 0) throw inUse(name, await stillHeld(node, held));
  node.cancelRelease(name);
  const outcome = await idle(node, name);
  if (outcome !== 'done') {
    const why = outcome === 'held' ? 'somebody has begun to use it' : `${outcome.blockedBy} on this node`;
    throw inUse(name, { why, first: `Stop what uses it on ${node.instanceId}` });
  }
  const here = node.held.get(name);
  if (here !== undefined && !here.removing && !here.giving) return here.volume;
  const volume = await findVolume(node, name);
  if (volume === undefined) throw noSuchVolume(name, tried);
  if (volume.zone !== node.zone) throw otherZone(node, name, volume);
  if ((await adoptMounted(node, name, volume)) !== undefined) throw inUse(name, heldUnrecorded(node));
  const { policy } = node.fencing.rulesOf(volume.tags);
  const isOthers = attachmentOf(volume)?.instanceId !== node.instanceId;
  // These would take it from one who uses it.
  if (isOthers && (policy === 'preempt' || policy === 'stonith')) {
    await detachedHere(node, name, volume, { tried, again });
  }
  return volume;
}

async function chosen(node: Node, name: string, volume: EbsVolume, which: string): Promise<VolumeSnapshot> {
  const { found, all } = await snapshotMeant(node, name, which);
  if (found === undefined) {
    const why = `it has no snapshot ${JSON.stringify(which)}`;
    throw new DriverError('INVALID_REQUEST', { volume: name, tried, why, todo: knownText(all) });
  }
  if (found.volume !== undefined && found.volume !== name && found.volumeId !== volume.id) {
    throw new DriverError('INVALID_REQUEST', {
      volume: name,
      tried,
      why: `${found.id} is a snapshot of ${found.volume}`,
      todo: `Give one of its own (docker-volume-ebs snapshot ls ${shellWord(name)}), or make another volume from that one: docker volume create -o fromSnapshot=${found.id}`,
    });
  }
  // Of one that was made empty the tags say what is to be on it, and once that is, that it is.
  const { [tagKeys.fsType]: wanted, [tagKeys.formatted]: formatted } = found.tags;
  if (found.kind === 'manual' && wanted !== undefined && formatted === undefined) {
    const why = `${found.id} was taken before the volume was first mounted: there is nothing on it`;
    throw new DriverError('INVALID_REQUEST', { volume: name, tried, why, todo: 'Give another of its snapshots' });
  }
  return complete(name, found);
}

/** Tags that are about the volume that is left, and not about what its users asked for. */
const itsOwn: readonly string[] = [
  tagKeys.formatting,
  tagKeys.formatted,
  tagKeys.clean,
  tagKeys.epoch,
  tagKeys.owner,
  tagKeys.fenceLog,
  tagKeys.confirmed,
  tagKeys.growth,
  tagKeys.retained,
  tagKeys.trash,
  tagKeys.replacing,
  tagKeys.replacedBy,
  tagKeys.replaces,
];

/** As the volume is, with what the snapshot holds: at least as large, of its type, with its options and the tags of its users. */
function specOf(volume: EbsVolume, { id, sizeGiB, tags: taken }: VolumeSnapshot): Replacement['spec'] {
  const { zone, type, sizeGib, iops, throughput, encrypted, kmsKeyId, tags } = volume;
  const formatted = carriedTags(taken)[tagKeys.formatted];
  const filesystem = formatted === undefined ? {} : { [tagKeys.formatted]: formatted };
  return {
    zone,
    type,
    sizeGib: Math.max(sizeGib, sizeGiB),
    // What a type gives without being asked is not asked for: EC2 refuses it of some.
    iops: type === 'gp3' || type.startsWith('io') ? iops : undefined,
    throughput: type === 'gp3' ? throughput : undefined,
    encrypted: encrypted || undefined,
    kmsKeyId: encrypted ? kmsKeyId : undefined,
    snapshotId: id,
    tags: { ...lasting(tags), ...filesystem },
  };
}

/** A time at which it was to go and that is over is not kept: it would go at once. */
function lasting(tags: Tags): Tags {
  const isOver = Date.parse(tags[tagKeys.ttl] ?? '') <= Date.now();
  const stays = (key: string) =>
    !itsOwn.includes(key) &&
    !key.startsWith('aws:') &&
    !key.startsWith(tagKeys.intentPrefix) &&
    !(key === tagKeys.ttl && isOver);
  return Object.fromEntries(Object.entries(tags).filter(([key]) => stays(key)));
}

function inUse(name: string, { why, first }: StillHeld): DriverError {
  return new DriverError('IN_USE_HERE', { volume: name, tried, why, todo: `${first}, then ${again}` });
}

function otherZone(node: Node, name: string, { id, zone }: EbsVolume): DriverError {
  return new DriverError('WRONG_ZONE', {
    volume: name,
    tried,
    why: `${id} is attached for that, so that nobody mounts it meanwhile; it is in ${zone} and this node is in ${node.zone}`,
    todo: `Run this command on a node in ${zone}`,
  });
}
