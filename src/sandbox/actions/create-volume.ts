import { Ec2Error } from '../ec2-error.ts';
import type { Fault } from '../faults.ts';
import {
  accountId,
  type CloudState,
  newId,
  type SnapshotRecord,
  timestamp,
  type VolumeRecord,
  zoneIdOf,
} from '../model.ts';
import { forgetVolume } from '../power.ts';
import { flag, type Query, requiredText, text, whole } from '../query.ts';
import { checkToken, earlierUse, parametersDigest } from '../tokens.ts';
import { checkShape } from '../volume-types.ts';
import type { Action, World } from '../world.ts';
import { one, snapshotKind, tagsForNew } from './lookup.ts';
import { newVolumeShape } from './shapes.ts';

export const createVolume: Action = (call, world) => {
  const { state } = world.store;
  const token = tokenOf(call.query, world);
  const parameters = parametersDigest(call.query);
  const earlier = madeBefore(state, token, parameters);
  if (earlier !== undefined) return newVolumeShape(earlier);
  const volume = newVolume(call.query, world);
  state.volumes.push(volume);
  if (token !== undefined) state.tokens[token] = { parameters, resourceId: volume.id };
  world.store.save();
  carryOutCreate(world, volume, call.fault('create-vanishes'));
  return newVolumeShape(volume);
};

/** The volume that an earlier call with this token made. @throws Ec2Error IdempotentParameterMismatch */
export function madeBefore(
  { tokens, volumes }: CloudState,
  token: string | undefined,
  parameters: string,
): VolumeRecord | undefined {
  if (token === undefined) return undefined;
  const alive = (id: string): boolean => volumes.some((each) => each.id === id && each.state !== 'deleting');
  const id = earlierUse(tokens, token, parameters, alive);
  return volumes.find((each) => each.id === id);
}

/** The token under which a use is remembered: its own in each zone where the account's tokens are zonal. */
function tokenOf(query: Query, world: World): string | undefined {
  const token = text(query, 'ClientToken');
  if (token === undefined) return undefined;
  checkToken(token);
  return world.account.tokenScope === 'zone' ? `${zoneOf(query, world)} ${token}` : token;
}

/** By name or by id. @throws Ec2Error InvalidZone.NotFound, MissingParameter, InvalidParameterCombination */
function zoneOf(query: Query, world: World): string {
  const id = text(query, 'AvailabilityZoneId');
  if (id !== undefined && text(query, 'AvailabilityZone') !== undefined) {
    throw new Ec2Error('InvalidParameterCombination', 'AvailabilityZone and AvailabilityZoneId cannot both be given.');
  }
  const zone =
    id === undefined ? requiredText(query, 'AvailabilityZone') : world.zones.find((each) => zoneIdOf(each) === id);
  if (zone !== undefined && world.zones.includes(zone)) return zone;
  throw new Ec2Error('InvalidZone.NotFound', `The zone '${zone ?? id}' does not exist.`);
}

function newVolume(query: Query, world: World): VolumeRecord {
  const zone = zoneOf(query, world);
  if (flag(query, 'MultiAttachEnabled')) {
    throw new Ec2Error('UnsupportedOperation', 'The sandbox has no Multi-Attach volumes');
  }
  const source = snapshotSource(query, world);
  checkRate(whole(query, 'VolumeInitializationRate'), source);
  const size = whole(query, 'Size') ?? source?.volumeSizeGib;
  if (size === undefined) {
    throw new Ec2Error('MissingParameter', 'The request must contain the parameter size/snapshotId');
  }
  if (source !== undefined && size < source.volumeSizeGib) {
    throw new Ec2Error(
      'InvalidParameterValue',
      `The size ${size} is smaller than the snapshot's ${source.volumeSizeGib}`,
    );
  }
  const shape = checkShape({
    sizeGib: size,
    type: text(query, 'VolumeType') ?? 'gp2',
    iops: whole(query, 'Iops'),
    throughput: whole(query, 'Throughput'),
  });
  const id = newId('vol');
  return {
    id,
    zone,
    ...shape,
    ...encryption(query, world, source),
    createTime: timestamp(),
    snapshotId: source?.id,
    state: 'creating',
    attachment: undefined,
    tags: tagsForNew(query, 'volume'),
    file: `${id}.img`,
    modifications: [],
  };
}

/** 100 to 300 MiB/s, for what is made from a snapshot ("Initialize Amazon EBS volumes"). */
function checkRate(rate: number | undefined, source: SnapshotRecord | undefined): void {
  if (rate === undefined) return;
  if (source === undefined) {
    throw new Ec2Error('InvalidParameterCombination', 'VolumeInitializationRate requires a snapshot.');
  }
  if (rate < 100 || rate > 300) {
    throw new Ec2Error('InvalidParameterValue', `The initialization rate ${rate} is not between 100 and 300 MiB/s`);
  }
}

function snapshotSource(query: Query, world: World): SnapshotRecord | undefined {
  const id = text(query, 'SnapshotId');
  if (id === undefined) return undefined;
  const snapshot = one(snapshotKind, world.store.state, id);
  if (snapshot.state === 'completed') return snapshot;
  throw new Ec2Error('IncorrectState', `Snapshot is in invalid state - ${snapshot.state}`);
}

function encryption(
  query: Query,
  world: World,
  source: SnapshotRecord | undefined,
): { encrypted: boolean; kmsKeyId: string | undefined } {
  const key = text(query, 'KmsKeyId');
  const encrypted = flag(query, 'Encrypted') || source?.encrypted === true || world.account.encryptedByDefault;
  if (key !== undefined && !encrypted) {
    throw new Ec2Error(
      'InvalidParameterDependency',
      'The parameter KmsKeyId requires the parameter Encrypted to be set.',
    );
  }
  if (!encrypted) return { encrypted, kmsKeyId: undefined };
  const arn = (name: string): string => `arn:aws:kms:${world.region}:${accountId}:key/${name}`;
  const given = key === undefined || key.startsWith('arn:') ? key : arn(key);
  return { encrypted, kmsKeyId: given ?? source?.kmsKeyId ?? arn('aws-ebs') };
}

/** Makes the content; then the volume is available, or, as when its KMS key is unusable, gone. */
function carryOutCreate(world: World, volume: VolumeRecord, vanishes: Fault | undefined): void {
  const total = world.timing.draw('create');
  world.tasks.start(`create ${volume.id}`, async () => {
    await world.order.run(volume.id, () => world.files.create(volume.file, volume.sizeGib, volume.snapshotId));
    await world.tasks.sleep(total);
    if (vanishes !== undefined) await forgetVolume(world, volume);
    else if (volume.state === 'creating') {
      volume.state = 'available';
      world.store.save();
      world.moments.mark('created', volume.id);
    }
  });
}
