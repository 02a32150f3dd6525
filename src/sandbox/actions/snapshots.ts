import { Ec2Error } from '../ec2-error.ts';
import { applyFilters, type FilterFields, readFilters } from '../filters.ts';
import { accountId, newId, type SnapshotRecord, timestamp, type VolumeRecord } from '../model.ts';
import { listedIds, page } from '../paging.ts';
import { requiredText, text } from '../query.ts';
import type { Action, World } from '../world.ts';
import { one, snapshotKind, some, tagsForNew, volumeKind } from './lookup.ts';
import { snapshotShape } from './shapes.ts';

/** EBS: 15 s between two snapshots of a volume; pending at a time five of one, one of a hard disk's, 100 in all. */
const intervalMs = 15_000;
const maxPending = 5;
const hardDisks = ['st1', 'sc1'];
const maxPendingInAll = 100;
/** How often one that stays pending is asked whether its fault is cleared. */
const stuckLookMs = 200;

export const createSnapshot: Action = async ({ query, fault }, world) => {
  const volume = one(volumeKind, world.store.state, requiredText(query, 'VolumeId'));
  if (volume.state !== 'available' && volume.state !== 'in-use') {
    throw new Ec2Error('IncorrectState', `Volume '${volume.id}' is in the '${volume.state}' state.`);
  }
  if (world.timing.throttled) checkRate(world, volume);
  const snapshot: SnapshotRecord = {
    id: newId('snap'),
    volumeId: volume.id,
    volumeSizeGib: volume.sizeGib,
    description: text(query, 'Description') ?? '',
    startTime: timestamp(),
    encrypted: volume.encrypted,
    kmsKeyId: volume.kmsKeyId,
    state: 'pending',
    tags: tagsForNew(query, 'snapshot'),
  };
  await copyWhileStill(world, volume, () => world.files.saveSnapshot(volume.file, snapshot.id));
  world.store.state.snapshots.push(snapshot);
  world.store.save();
  const stuck = fault('stuck-snapshot');
  const fails = fault('snapshot-fails') !== undefined;
  const total = world.timing.draw('snapshot') + volume.sizeGib * world.timing.draw('snapshotGib');
  world.tasks.start(`snapshot ${snapshot.id}`, async () => {
    await world.tasks.sleep(total);
    while (stuck !== undefined && world.faults.isListed(stuck)) await world.tasks.sleep(stuckLookMs);
    snapshot.state = fails ? 'error' : 'completed';
    if (snapshot.deleting) await forget(world, snapshot);
    else world.store.save();
  });
  return snapshotShape(snapshot);
};

function checkRate(world: World, { id, type }: VolumeRecord): void {
  const { snapshots } = world.store.state;
  const ofVolume = snapshots.filter((snapshot) => snapshot.volumeId === id);
  if (ofVolume.some(({ startTime }) => Date.now() - Date.parse(startTime) < intervalMs)) {
    const message = 'The maximum per volume CreateSnapshot request rate has been exceeded.';
    const advice = 'Use an increasing or variable sleep interval between requests.';
    throw new Ec2Error('SnapshotCreationPerVolumeRateExceeded', `${message} ${advice}`);
  }
  const most = hardDisks.includes(type) ? 1 : maxPending;
  if (ofVolume.filter(isPending).length >= most) {
    throw new Ec2Error('ConcurrentSnapshotLimitExceeded', `Maximum of ${most} pending snapshots reached`);
  }
  if (snapshots.filter(isPending).length >= maxPendingInAll) {
    throw new Ec2Error('PendingSnapshotLimitExceeded', `Maximum of ${maxPendingInAll} pending snapshots reached`);
  }
}

const isPending = ({ state }: SnapshotRecord): boolean => state === 'pending';

/** Copies what the volume holds at this moment, even while it is being written to. */
export async function copyWhileStill(world: World, volume: VolumeRecord, save: () => Promise<void>): Promise<void> {
  const owner = volume.attachment?.instanceId;
  const inTurn = (): Promise<void> =>
    world.order.run(volume.id, async () => {
      const machine = owner === undefined ? undefined : world.machines.find(owner);
      await (machine === undefined ? save() : machine.whileStill(volume.id, save));
    });
  await (owner === undefined ? inTurn() : world.order.run(owner, inTurn));
}

const snapshotFilters: FilterFields<SnapshotRecord> = {
  description: ({ description }) => [description],
  encrypted: ({ encrypted }) => [String(encrypted)],
  'owner-id': () => [accountId],
  progress: ({ state }) => [state === 'completed' ? '100%' : '0%'],
  'snapshot-id': ({ id }) => [id],
  'start-time': ({ startTime }) => [startTime],
  status: ({ state }) => [state],
  'volume-id': ({ volumeId }) => [volumeId],
  'volume-size': ({ volumeSizeGib }) => [String(volumeSizeGib)],
};

/** Owner and RestorableBy are not looked at: every snapshot here is the account's own. */
export const describeSnapshots: Action = ({ query, view }) => {
  const ids = listedIds(query, 'SnapshotId');
  const matching = applyFilters(some(snapshotKind, view, ids), readFilters(query), snapshotFilters);
  const { items, nextToken } = page(matching, query);
  return { snapshotSet: items.map(snapshotShape), nextToken };
};

/** One that is pending goes once it is complete, and counts until then. */
export const deleteSnapshot: Action = async ({ query }, world) => {
  const snapshot = one(snapshotKind, world.store.state, requiredText(query, 'SnapshotId'));
  if (isPending(snapshot)) {
    snapshot.deleting = true;
    world.store.save();
  } else await forget(world, snapshot);
  return { return: true };
};

async function forget(world: World, snapshot: SnapshotRecord): Promise<void> {
  const { state } = world.store;
  state.snapshots = state.snapshots.filter((each) => each !== snapshot);
  world.store.save();
  await world.files.removeSnapshot(snapshot.id);
}
