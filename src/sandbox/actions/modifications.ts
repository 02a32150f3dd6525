import { Ec2Error } from '../ec2-error.ts';
import { applyFilters, type FilterFields, readFilters } from '../filters.ts';
import { type ModificationRecord, type Shape, type TagSet, timestamp, type VolumeRecord } from '../model.ts';
import { listedIds, page } from '../paging.ts';
import { type Query, requiredText, text, whole } from '../query.ts';
import { checkShape } from '../volume-types.ts';
import type { Action, World } from '../world.ts';
import { one, some, volumeKind } from './lookup.ts';
import { modificationShape } from './shapes.ts';

const dayMs = 24 * 3600 * 1000;
const maxPerDay = 4;

export const modifyVolume: Action = async ({ query }, world) => {
  const volume = one(volumeKind, world.store.state, requiredText(query, 'VolumeId'));
  checkModifiable(volume);
  const original: Shape = {
    sizeGib: volume.sizeGib,
    type: volume.type,
    iops: volume.iops,
    throughput: volume.throughput,
  };
  const target = targetShape(query, original);
  const modification: ModificationRecord = {
    state: 'modifying',
    original,
    target,
    progress: 0,
    startTime: timestamp(),
    endTime: undefined,
  };
  volume.modifications.push(modification);
  Object.assign(volume, target);
  world.store.save();
  await grow(world, volume);
  carryOutModification(world, volume, modification);
  return { volumeModification: modificationShape(volume.id, modification) };
};

function checkModifiable({ id, state, modifications }: VolumeRecord): void {
  if (state !== 'available' && state !== 'in-use') {
    throw new Ec2Error('IncorrectState', `Volume '${id}' is in the '${state}' state.`);
  }
  const last = modifications.at(-1);
  if (last !== undefined && last.state !== 'completed') {
    throw new Ec2Error('IncorrectModificationState', `Volume ${id} has a modification in state '${last.state}'`);
  }
  const recent = modifications.filter(({ startTime }) => Date.now() - Date.parse(startTime) < dayMs);
  if (recent.length < maxPerDay) return;
  throw new Ec2Error(
    'VolumeModificationRateExceeded',
    `Volume ${id} has been modified ${maxPerDay} times in the last 24 hours`,
  );
}

function targetShape(query: Query, original: Shape): Shape {
  const sizeGib = whole(query, 'Size') ?? original.sizeGib;
  const type = text(query, 'VolumeType') ?? original.type;
  if (sizeGib < original.sizeGib) {
    throw new Ec2Error('InvalidParameterValue', 'New size cannot be smaller than existing size');
  }
  const kept = type === original.type && type !== 'gp2' ? original : undefined;
  return checkShape({
    sizeGib,
    type,
    iops: whole(query, 'Iops') ?? kept?.iops,
    throughput: whole(query, 'Throughput') ?? kept?.throughput,
  });
}

/** The new size counts at once, on a running machine too. */
async function grow(world: World, volume: VolumeRecord): Promise<void> {
  const resize = (): Promise<void> =>
    world.order.run(volume.id, async () => {
      await world.files.grow(volume.file, volume.sizeGib);
      const owner = volume.attachment?.instanceId;
      if (owner !== undefined) await world.machines.find(owner)?.resize(volume);
    });
  const owner = volume.attachment?.instanceId;
  await (owner === undefined ? resize() : world.order.run(owner, resize));
}

function carryOutModification(world: World, volume: VolumeRecord, modification: ModificationRecord): void {
  const total = world.timing.draw('modify');
  world.tasks.start(`modify ${volume.id}`, async () => {
    await world.tasks.sleep(total / 2);
    Object.assign(modification, { state: 'optimizing', progress: 50 });
    world.store.save();
    await world.tasks.sleep(total / 2);
    Object.assign(modification, { state: 'completed', progress: 100, endTime: timestamp() });
    world.store.save();
  });
}

interface Modified {
  readonly id: string;
  readonly tags: TagSet;
  readonly modification: ModificationRecord;
}

const modificationFilters: FilterFields<Modified> = {
  'volume-id': ({ id }) => [id],
  'modification-state': ({ modification }) => [modification.state],
};

export const describeVolumesModifications: Action = ({ query, view }) => {
  const ids = listedIds(query, 'VolumeId');
  const modified = some(volumeKind, view, ids).flatMap(({ id, tags, modifications }) => {
    const modification = modifications.at(-1);
    if (modification !== undefined) return [{ id, tags, modification }];
    if (ids.length === 0) return [];
    throw new Ec2Error('InvalidVolumeModification.NotFound', `Modification for volume '${id}' does not exist.`);
  });
  const { items, nextToken } = page(applyFilters(modified, readFilters(query), modificationFilters), query);
  return { volumeModificationSet: items.map(({ id, modification }) => modificationShape(id, modification)), nextToken };
};
