import type { Account, ModificationRule } from '../account.ts';
import { Ec2Error } from '../ec2-error.ts';
import { applyFilters, type FilterFields, readFilters } from '../filters.ts';
import { type ModificationRecord, type Shape, type TagSet, timestamp, type VolumeRecord } from '../model.ts';
import { listedIds, page } from '../paging.ts';
import { type Query, requiredText, text, whole } from '../query.ts';
import { checkShape } from '../volume-types.ts';
import type { Action, World } from '../world.ts';
import { one, some, volumeKind } from './lookup.ts';
import { modificationShape } from './shapes.ts';

const hourMs = 3600 * 1000;
/** The API reference of ModifyVolume; until 2025 the user guide had the other. */
const rules = {
  'four-a-day': { most: 4, withinMs: 24 * hourMs },
  'six-hours': { most: 1, withinMs: 6 * hourMs },
} as const satisfies Record<ModificationRule, { most: number; withinMs: number }>;

export const modifyVolume: Action = async ({ query }, world) => {
  const volume = one(volumeKind, world.store.state, requiredText(query, 'VolumeId'));
  checkModifiable(volume, world.account);
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
  carryOutModification(world, volume, modification);
  return { volumeModification: modificationShape(volume.id, modification) };
};

function checkModifiable({ id, state, modifications }: VolumeRecord, { modificationRule: rule, haste }: Account): void {
  if (state !== 'available' && state !== 'in-use') {
    throw new Ec2Error('IncorrectState', `Volume '${id}' is in the '${state}' state.`);
  }
  const last = modifications.at(-1);
  if (last !== undefined && last.state !== 'completed') {
    throw new Ec2Error(
      'IncorrectModificationState',
      `Volume ${id} cannot be modified in modification state ${last.state.toUpperCase()}`,
    );
  }
  const { most, withinMs } = rules[rule];
  const recent = modifications
    .map(({ startTime }) => Date.parse(startTime) + withinMs / haste)
    .filter((end) => end > Date.now());
  const [oldest] = recent.slice(-most);
  if (recent.length < most || oldest === undefined) return;
  const until = new Date(oldest).toISOString();
  throw new Ec2Error(
    'VolumeModificationRateExceeded',
    `You've reached the maximum modification rate per volume limit. Wait ${rule === 'six-hours' ? 'at least 6 hours between modifications per EBS volume' : `until ${until} before you can issue the next modification request for this volume`}.`,
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

/** The machine sees the new size once it is there, without being asked to look. */
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

/** A volume is described with its new size at once, and has it from "optimizing" on. */
function carryOutModification(world: World, volume: VolumeRecord, modification: ModificationRecord): void {
  world.tasks.start(`modify ${volume.id}`, async () => {
    await world.tasks.sleep(world.timing.draw('modify'));
    await grow(world, volume);
    Object.assign(modification, { state: 'optimizing', progress: 50 });
    world.store.save();
    await world.tasks.sleep(world.timing.draw('optimize'));
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
  'target-size': ({ modification }) => [String(modification.target.sizeGib)],
  'original-size': ({ modification }) => [String(modification.original.sizeGib)],
  'target-volume-type': ({ modification }) => [modification.target.type],
  'original-volume-type': ({ modification }) => [modification.original.type],
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
