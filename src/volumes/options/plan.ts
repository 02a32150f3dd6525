import { createHash } from 'node:crypto';
import type { Settings } from '../../config.ts';
import { tagKeys } from '../../ebs/tags.ts';
import type { CreateVolumeSpec, EbsVolume, Tags } from '../../ebs/types.ts';
import { stricter } from '../../fencing/policy.ts';
import { filesystemTypes } from '../../host/types.ts';
import { parseDefaultTags } from './defaults.ts';
import { filesystemComplaint } from './filesystem-options.ts';
import { growthComplaint, growthTags, optionOfTag } from './growth-options.ts';
import { limitViolation, type Performance, type VolumeType } from './limits.ts';
import { displayName, encodeName } from './names.ts';
import { type CreateOptions, refuseOptions } from './options.ts';

type Defaults = Pick<
  Settings,
  | 'size'
  | 'type'
  | 'encrypted'
  | 'kmsKeyId'
  | 'fsType'
  | 'mountOptions'
  | 'mountAllow'
  | 'subdirectory'
  | 'tags'
  | 'cluster'
  | 'fencePolicy'
>;

/** What a new volume is made from, where it is not empty, and what its tags say of that. */
export interface PlannedSource {
  readonly made: Pick<CreateVolumeSpec, 'snapshotId' | 'sourceVolumeId'>;
  readonly tags: Tags;
}

/** The text of the tag that says what a volume was asked to be made from; undefined for none. */
export function fromText({ from, fromSnapshot }: CreateOptions): string | undefined {
  if (from === undefined && fromSnapshot === undefined) return undefined;
  return `${from === undefined ? '-' : encodeName(from)} ${fromSnapshot ?? '-'}`.slice(0, 256);
}

/**
 * What to ask of EC2 for a new volume, but for its ClientToken.
 * @throws DriverError INVALID_OPTION for a combination that EC2 or sense would refuse; what is only above the limits that are
 * known here is not, since they rise.
 */
export function planVolume(
  name: string,
  options: CreateOptions,
  defaults: Defaults,
  zone: string,
  source?: PlannedSource,
): Omit<CreateVolumeSpec, 'clientToken'> & Performance {
  const made = source?.made ?? { snapshotId: options.snapshotId };
  const isNew = source === undefined && options.snapshotId === undefined;
  const performance = planPerformance(name, options, defaults, isNew);
  const encryption = planEncryption(name, options, defaults);
  if (options.availabilityZone !== undefined && options.availabilityZone !== zone) {
    refuseOptions(
      name,
      `availabilityZone is ${options.availabilityZone} and this node is in ${zone}, where no disk of another zone can be attached`,
      `Leave it out, or create the volume from a node in ${options.availabilityZone}`,
    );
  }
  refuseLaxer(name, options, defaults);
  refuseUnusable(name, options, defaults, isNew);
  const complaint = growthComplaint({ ...options, size: performance.sizeGib });
  if (complaint !== undefined) refuseOptions(name, ...complaint);
  return {
    zone,
    ...performance,
    ...encryption,
    ...made,
    initializationRate: options.initializationRate,
    tags: { ...planTags(name, options, defaults, isNew), ...source?.tags },
  };
}

function planPerformance(name: string, options: CreateOptions, defaults: Defaults, isNew: boolean) {
  const type: VolumeType = options.type ?? defaults.type;
  const sizeGib = options.size ?? (isNew ? defaults.size : undefined);
  const wanted = { type, sizeGib, iops: options.iops, throughput: options.throughput };
  const violation = limitViolation(wanted);
  if (violation !== undefined) refuseOptions(name, violation, 'Correct it, or choose another type');
  return wanted;
}

function planEncryption(name: string, options: CreateOptions, defaults: Defaults) {
  if (options.encrypted === false && options.kmsKeyId !== undefined) {
    refuseOptions(name, 'encrypted=false and a KMS key contradict each other', 'Give one of them');
  }
  const encrypted = options.encrypted ?? (options.kmsKeyId !== undefined || defaults.encrypted);
  const kmsKeyId = options.kmsKeyId ?? (encrypted && defaults.kmsKeyId !== '' ? defaults.kmsKeyId : undefined);
  // False is not sent: an account that encrypts by default would be asked to do otherwise.
  return { encrypted: encrypted || undefined, kmsKeyId };
}

/** A policy laxer than the daemon's would have no effect: to take it silently would promise takeovers that never come. */
function refuseLaxer(name: string, { fencePolicy }: CreateOptions, defaults: Defaults): void {
  if (fencePolicy === undefined || stricter(fencePolicy, defaults.fencePolicy) === fencePolicy) return;
  refuseOptions(
    name,
    `fencePolicy=${fencePolicy} is laxer than the policy of this node, ${defaults.fencePolicy}; a volume's may only be stricter`,
    'Leave it out, or change DVE_FENCE_POLICY on all nodes',
  );
}

function refuseUnusable(name: string, options: CreateOptions, defaults: Defaults, isNew: boolean): void {
  // A snapshot brings its filesystem, and says nothing about it.
  const type = options.fsType ?? (isNew ? defaults.fsType : undefined);
  const types = type === undefined ? filesystemTypes : [type];
  const complaint = filesystemComplaint(options, { types, isNew, madeWith: options.mkfsOptions ?? '' }, defaults);
  if (complaint !== undefined) refuseOptions(name, ...complaint);
}

function planTags(name: string, options: CreateOptions, defaults: Defaults, isNew: boolean): Tags {
  const optional = {
    [tagKeys.mountOptions]: options.mountOptions,
    [tagKeys.mkfsOptions]: options.mkfsOptions,
    [tagKeys.uid]: options.uid?.toString(),
    [tagKeys.gid]: options.gid?.toString(),
    [tagKeys.mode]: options.mode?.toString(8).padStart(4, '0'),
    [tagKeys.fencePolicy]: options.fencePolicy,
    [tagKeys.onRemove]: options.onRemove,
    [tagKeys.snapshots]: options.snapshots,
    [tagKeys.verify]: options.verify,
    ...growthTags(options),
    [tagKeys.ttl]: options.ttl === undefined ? undefined : new Date(Date.now() + options.ttl * 1000).toISOString(),
  };
  const tooLong = Object.entries(optional).find(([, value]) => value !== undefined && value.length > 256);
  if (tooLong !== undefined) refuseOptions(name, `${tooLong[0]} does not fit a tag of 256 characters`, 'Shorten it');
  return {
    ...parseDefaultTags(defaults.tags),
    ...options.tags,
    [tagKeys.displayName]: displayName(name),
    [tagKeys.cluster]: defaults.cluster,
    [tagKeys.name]: encodeName(name),
    // A snapshot brings its filesystem: only what was asked for is held against it.
    ...(options.fsType === undefined && !isNew ? {} : { [tagKeys.fsType]: options.fsType ?? defaults.fsType }),
    [tagKeys.subdirectory]: options.subdirectory ?? defaults.subdirectory,
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
  };
}

/** The ClientToken of a name's n-th volume in a cluster: nodes that race on one name ask for the same volume. */
export function clientToken(cluster: string, name: string, generation: number): string {
  return createHash('sha256')
    .update(JSON.stringify([cluster, name, generation]))
    .digest('hex');
}

function numberTag(value: string | undefined, base: number): number | undefined {
  const number = value === undefined ? Number.NaN : Number.parseInt(value, base);
  return Number.isNaN(number) ? undefined : number;
}

/** How an existing volume differs from what was asked, a clause each; only what was asked is compared. */
export function differences(options: CreateOptions, volume: EbsVolume): string[] {
  const { tags } = volume;
  const compared: [what: string, asked: unknown, is: unknown][] = [
    ['size in GiB', sameSize(options.size, volume), volume.sizeGib],
    ['type', options.type, volume.type],
    ['iops', options.iops, volume.iops],
    ['throughput', options.throughput, volume.throughput],
    // False asks for no encryption: an account may encrypt all the same, and a snapshot that is encrypted makes it so.
    ['encrypted', options.encrypted || undefined, volume.encrypted],
    ['KMS key', options.kmsKeyId, sameKey(options.kmsKeyId, volume.kmsKeyId)],
    ['snapshot', options.snapshotId, volume.snapshotId],
    ['source', fromText(options), tags[tagKeys.from]],
    ['availability zone', options.availabilityZone, volume.zone],
    ['filesystem', options.fsType, filesystemOf(tags) ?? (tags[tagKeys.adopted] && options.fsType)],
    ['mount options', options.mountOptions, tags[tagKeys.mountOptions]],
    ['mkfs options', options.mkfsOptions, tags[tagKeys.mkfsOptions]],
    ['subdirectory', options.subdirectory, tags[tagKeys.subdirectory]],
    ['uid', options.uid, numberTag(tags[tagKeys.uid], 10)],
    ['gid', options.gid, numberTag(tags[tagKeys.gid], 10)],
    ['mode', options.mode?.toString(8), numberTag(tags[tagKeys.mode], 8)?.toString(8)],
    ['fence policy', options.fencePolicy, tags[tagKeys.fencePolicy]],
    ['onRemove', options.onRemove, tags[tagKeys.onRemove]],
    ['snapshots', options.snapshots, tags[tagKeys.snapshots]],
    ['verify', options.verify, tags[tagKeys.verify]],
    ...Object.entries(growthTags(options)).map(([key, value]): [string, unknown, unknown] => [
      optionOfTag(key),
      value,
      tags[key],
    ]),
    ...Object.entries(options.tags ?? {}).map(([key, value]): [string, unknown, unknown] => [
      `tag ${key}`,
      value,
      tags[key],
    ]),
  ];
  return compared
    .filter(([, asked, is]) => asked !== undefined && asked !== is)
    .map(([what, asked, is]) => `${what} is ${is === undefined ? 'unset' : is}, asked ${asked}`);
}

/** The size of one that grows by itself is the least: what it was made with stays a right answer. */
function sameSize(asked: number | undefined, { sizeGib, tags }: EbsVolume): number | undefined {
  return asked !== undefined && tags[tagKeys.autoGrow] !== undefined && asked <= sizeGib ? sizeGib : asked;
}

/** What is on the disk, or will be; undefined for an adopted one until its first mount has looked. */
const filesystemOf = (tags: Tags): string | undefined => tags[tagKeys.formatted] ?? tags[tagKeys.fsType];

/** EC2 reports a key's ARN whatever form it was asked in: the asked form, where the ARN may be that key. */
function sameKey(asked: string | undefined, is: string | undefined): string | undefined {
  // An alias cannot be resolved without KMS permissions: it is taken on trust once the volume has some key.
  const aliased = asked?.includes('alias/') === true && is !== undefined;
  return asked !== undefined && (aliased || is?.endsWith(`/${asked}`)) ? asked : is;
}
