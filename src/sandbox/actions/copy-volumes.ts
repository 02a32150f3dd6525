import { Ec2Error } from '../ec2-error.ts';
import { newId, timestamp, type VolumeRecord } from '../model.ts';
import { type Query, requiredText, text, whole } from '../query.ts';
import { checkToken, parametersDigest } from '../tokens.ts';
import { checkShape } from '../volume-types.ts';
import type { Action, World } from '../world.ts';
import { madeBefore } from './create-volume.ts';
import { one, tagsForNew, volumeKind } from './lookup.ts';
import { newVolumeShape } from './shapes.ts';
import { copyWhileStill } from './snapshots.ts';

/** Copies that are being made or filled at a time in a Region, and of one volume ("Copy an Amazon EBS volume"). */
const maxInRegion = 5;

export const copyVolumes: Action = async ({ query }, world) => {
  const { state } = world.store;
  const token = text(query, 'ClientToken');
  const parameters = parametersDigest(query);
  if (token !== undefined) checkToken(token);
  const earlier = madeBefore(state, token, parameters);
  if (earlier !== undefined) return { volumeSet: [newVolumeShape(earlier)] };
  const source = one(volumeKind, state, requiredText(query, 'SourceVolumeId'));
  checkCopyable(source, state.volumes);
  const volume = copyOf(source, query);
  // Before anything is waited for: the same call once more, at the same time, comes to the same volume.
  state.volumes.push(volume);
  if (token !== undefined) state.tokens[token] = { parameters, resourceId: volume.id };
  world.store.save();
  await copyWhileStill(world, source, () => world.files.copyVolume(source.file, volume.file, volume.sizeGib));
  fill(world, volume);
  return { volumeSet: [newVolumeShape(volume)] };
};

function checkCopyable(source: VolumeRecord, volumes: readonly VolumeRecord[]): void {
  const { id, state, modifications, filling } = source;
  if (state !== 'available' && state !== 'in-use') {
    throw new Ec2Error('IncorrectState', `Volume '${id}' is in the '${state}' state.`);
  }
  if (filling) throw new Ec2Error('IncorrectState', `Volume '${id}' is a copy that is not initialized yet.`);
  if (modifications.at(-1)?.state === 'modifying') {
    throw new Ec2Error('IncorrectModificationState', `Volume ${id} has a modification in state 'modifying'`);
  }
  const copies = volumes.filter((each) => each.filling);
  if (copies.some(({ sourceVolumeId }) => sourceVolumeId === id)) {
    throw new Ec2Error('ConcurrentCopyVolumeLimitExceeded', `Volume ${id} is being copied already`);
  }
  if (copies.length >= maxInRegion) {
    throw new Ec2Error('CopyVolumesLimitExceeded', `Maximum of ${maxInRegion} copies in progress reached`);
  }
}

/** Without a type EC2 makes gp2. */
function copyOf(source: VolumeRecord, query: Query): VolumeRecord {
  const sizeGib = whole(query, 'Size') ?? source.sizeGib;
  if (sizeGib < source.sizeGib) {
    throw new Ec2Error('InvalidParameterValue', `The size ${sizeGib} is smaller than the source's ${source.sizeGib}`);
  }
  const shape = checkShape({
    sizeGib,
    type: text(query, 'VolumeType') ?? 'gp2',
    iops: whole(query, 'Iops'),
    throughput: whole(query, 'Throughput'),
  });
  const id = newId('vol');
  return {
    id,
    zone: source.zone,
    ...shape,
    encrypted: source.encrypted,
    kmsKeyId: source.kmsKeyId,
    createTime: timestamp(),
    snapshotId: undefined,
    sourceVolumeId: source.id,
    filling: true,
    state: 'creating',
    attachment: undefined,
    tags: tagsForNew(query, 'volume'),
    file: `${id}.img`,
    modifications: [],
  };
}

/** It can be used soon, and its content comes in the background. */
function fill(world: World, volume: VolumeRecord): void {
  const total = world.timing.draw('create');
  const filling = world.timing.draw('snapshot') + volume.sizeGib * world.timing.draw('snapshotGib');
  world.tasks.start(`copy ${volume.id}`, async () => {
    await world.tasks.sleep(total);
    if (volume.state === 'creating') volume.state = 'available';
    world.store.save();
    world.moments.mark('created', volume.id);
    await world.tasks.sleep(filling);
    volume.filling = false;
    world.store.save();
  });
}
