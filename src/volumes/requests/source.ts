import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsSnapshot, EbsVolume, Tags } from '../../ebs/types.ts';
import { DriverError, isCode } from '../../errors.ts';
import { knownText, snapshotMeant } from '../copies/find.ts';
import { carriedTags, readSnapshot, snapshotTags, type VolumeSnapshot } from '../copies/snapshot-tags.ts';
import { BadValue } from '../options/bad-value.ts';
import { encodeName } from '../options/names.ts';
import { type CreateOptions, readOption, refuseOptions } from '../options/options.ts';
import { fromText, type PlannedSource } from '../options/plan.ts';
import { type Node, waiting } from '../state/node.ts';

/** How long a snapshot that was just begun is waited for within one create, and how often it is looked at. */
const lookMs = 2000;
/** A snapshot that a create has begun serves the next try of it for this long, unless a volume was made of it. */
const servesMs = 3_600_000;

/** What a new volume is made from: a snapshot, or a volume that EC2 copies. */
export interface Source extends PlannedSource {
  /** The options that it brings, before those that were given. */
  readonly inherited: CreateOptions;
  /** Of what it is made from: the new one cannot be smaller. */
  readonly leastGib: number;
  /** The snapshot that was taken for this create alone. */
  readonly own?: { readonly snapshotId: string; readonly request: string };
}

/**
 * What a create that asks for a copy is made from.
 * @returns undefined where it asks for none. @throws DriverError INVALID_OPTION, NO_SUCH_VOLUME, STILL_WORKING while a
 * snapshot is not complete, EC2_*.
 */
export async function sourceOf(node: Node, name: string, options: CreateOptions): Promise<Source | undefined> {
  const { from, fromSnapshot } = options;
  if (fromSnapshot !== undefined) return fromTaken(await chosen(node, name, from, fromSnapshot), options);
  if (from === undefined) return undefined;
  const volume = await waiting(node, name, `EC2 to tell which EBS volume is ${from}`, () => node.lookup.find(from));
  if (volume === undefined) throw noSource(name, from);
  if (volume.tags[tagKeys.formatted] === undefined) {
    refuseOptions(name, `${from} (${volume.id}) has never been mounted: there is nothing to copy`, 'Leave from out');
  }
  const sameKey = options.encrypted === undefined && options.kmsKeyId === undefined;
  if (volume.zone === node.zone && sameKey) return copyOf(volume, options);
  return bySnapshot(node, name, from, volume, options);
}

/** A copy that EC2 makes by itself, at once. */
function copyOf(volume: EbsVolume, options: CreateOptions): Source {
  const { type, sizeGib: size, iops, throughput, tags } = volume;
  return {
    inherited: inheritedFrom(tags, { type, size, iops, throughput }),
    leastGib: size,
    made: { snapshotId: undefined, sourceVolumeId: volume.id },
    tags: tagsFrom(tags, options),
  };
}

function fromTaken(snapshot: VolumeSnapshot, options: CreateOptions): Source {
  const [type, iops, throughput] = (snapshot.tags[tagKeys.performance] ?? '').split(' ');
  const numbers = { iops: Number(iops) || undefined, throughput: Number(throughput) || undefined };
  return {
    inherited: inheritedFrom(snapshot.tags, { type, size: undefined, ...numbers }),
    leastGib: snapshot.sizeGiB,
    made: { snapshotId: snapshot.id },
    tags: tagsFrom(snapshot.tags, options),
  };
}

/**
 * The same by a snapshot, where EC2 cannot copy: another zone or key, one copy at a time of a volume, five in a Region, or no
 * permission. The snapshot that an earlier try began serves this one.
 */
export async function bySnapshot(
  node: Node,
  name: string,
  from: string,
  volume: EbsVolume,
  options: CreateOptions,
): Promise<Source> {
  const { ec2, settings, log } = node;
  const request = `clone ${encodeName(name)} of ${volume.id}`.slice(0, 256);
  const isFresh = ({ startedAt, state }: EbsSnapshot) =>
    state !== 'error' && Date.now() - Date.parse(startedAt) < servesMs;
  const begun = (await ec2.findSnapshots(tagKeys.snapshotRequest, request)).filter(isFresh);
  let id = begun.sort((a, b) => (a.startedAt < b.startedAt ? 1 : -1))[0]?.id;
  if (id === undefined) {
    const tags = snapshotTags(settings.cluster, from, volume, { request, name: `for ${name}` });
    id = await ec2.createSnapshot(volume.id, `docker-volume-ebs: ${from}, for ${name}`.slice(0, 255), tags);
    log.info({ volume: name, from, snapshotId: id }, 'EC2 does not copy the volume: it is made from a snapshot');
  }
  const snapshotId = id;
  return waiting(node, name, `the snapshot ${snapshotId} of ${from} to be complete`, async () => {
    const began = performance.now();
    for (;;) {
      const now = await ec2.describeSnapshot(snapshotId);
      if (now?.state === 'completed') return { ...fromTaken(readSnapshot(now), options), own: { snapshotId, request } };
      if (now?.state === 'error') throw failed(name, now);
      if (performance.now() - began > settings.mountTimeout * 1000) throw notYet(name, snapshotId);
      await sleep(lookMs);
    }
  });
}

/** A volume is made of it: another create of the name, after its removal perhaps, is to have the data of then. Never fails. */
export async function haveServed({ ec2, log }: Node, name: string, { own }: Source): Promise<void> {
  if (own === undefined) return;
  const { snapshotId, request } = own;
  await ec2
    .createTags(snapshotId, { [tagKeys.snapshotRequest]: `served: ${request}`.slice(0, 256) })
    .catch((error: unknown) => {
      const what = 'a create of this name within the hour gets what this snapshot holds, unless it is deleted';
      log.warn({ volume: name, snapshotId, err: error }, what);
    });
}

/** The snapshot that the option means: an id, `latest`, a time, or a name. */
async function chosen(node: Node, name: string, from: string | undefined, which: string): Promise<VolumeSnapshot> {
  const isId = /^snap-[0-9a-f]+$/.test(which);
  if (from === undefined && !isId) {
    return refuseOptions(
      name,
      `fromSnapshot=${which} does not say of which volume`,
      'Give from, too, or a snapshot id',
    );
  }
  const { found, all } = await snapshotMeant(node, isId ? undefined : from, which);
  if (found !== undefined) return complete(name, found);
  if (isId) return refuseOptions(name, `there is no snapshot ${which} in this account`, 'Correct it');
  return refuseOptions(name, `${from} has no such snapshot: ${which}`, knownText(all));
}

/** @throws DriverError EC2_REJECTED for one that has failed, STILL_WORKING for one that is not complete yet. */
export function complete(name: string, snapshot: VolumeSnapshot): VolumeSnapshot {
  if (snapshot.state === 'completed') return snapshot;
  if (snapshot.state === 'error') throw failed(name, snapshot);
  throw notYet(name, snapshot.id);
}

/** What a volume or snapshot says of how its copy is to be made; a tag that holds nonsense is left out. */
function inheritedFrom(
  tags: Tags,
  shape: {
    type: string | undefined;
    size: number | undefined;
    iops: number | undefined;
    throughput: number | undefined;
  },
): CreateOptions {
  const keyed = {
    mountOptions: tags[tagKeys.mountOptions],
    subdirectory: tags[tagKeys.subdirectory],
    uid: tags[tagKeys.uid],
    gid: tags[tagKeys.gid],
    mode: tags[tagKeys.mode],
    fencePolicy: tags[tagKeys.fencePolicy],
    onRemove: tags[tagKeys.onRemove],
    type: shape.type,
    size: shape.size?.toString(),
    // What a type gives without being asked is not asked for: EC2 refuses it of some.
    iops: shape.type === 'gp3' || shape.type?.startsWith('io') ? shape.iops?.toString() : undefined,
    throughput: shape.type === 'gp3' ? shape.throughput?.toString() : undefined,
  };
  const read = Object.entries(keyed).flatMap(([option, text]) => {
    if (text === undefined || text === '') return [];
    try {
      return [[option, readOption(option as keyof CreateOptions, text)]];
    } catch (error) {
      if (error instanceof BadValue) return [];
      throw error;
    }
  });
  return Object.fromEntries(read) as CreateOptions;
}

function tagsFrom(tags: Tags, options: CreateOptions): Tags {
  const formatted = carriedTags(tags)[tagKeys.formatted];
  return {
    [tagKeys.from]: fromText(options) ?? '',
    ...(formatted === undefined ? {} : { [tagKeys.formatted]: formatted }),
  };
}

function noSource(name: string, from: string): DriverError {
  return new DriverError('NO_SUCH_VOLUME', {
    volume: name,
    tried: `make it from ${from}`,
    why: `there is no volume ${from} in this cluster`,
    todo: 'Correct from; what was removed is in docker-volume-ebs trash ls, and its snapshots can be given by id',
  });
}

const notYet = (volume: string, id: string): DriverError =>
  new DriverError('STILL_WORKING', {
    volume,
    tried: `make it from ${id}`,
    why: 'EC2 has not completed that snapshot yet',
    todo: 'Try again: it goes on from there',
  });

const failed = (volume: string, { id, message }: Pick<EbsSnapshot, 'id' | 'message'>): DriverError =>
  new DriverError('EC2_REJECTED', {
    volume,
    tried: `make it from ${id}`,
    why: `that snapshot has failed: ${message ?? 'EC2 gives no reason'}`,
    todo: 'Choose another snapshot',
  });

/** True for a refusal to copy after which a snapshot does: limits, rights, what EC2 cannot copy. */
export const cannotCopy = (error: unknown): boolean =>
  isCode(error, 'EC2_LIMIT', 'EC2_DENIED', 'EC2_REJECTED', 'EC2_INCORRECT_STATE', 'EC2_VOLUME_MODIFYING');
