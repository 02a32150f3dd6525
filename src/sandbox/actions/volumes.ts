import { Ec2Error } from '../ec2-error.ts';
import type { Faults } from '../faults.ts';
import { applyFilters, type FilterFields, readFilters } from '../filters.ts';
import { described, type VolumeRecord, zoneIdOf } from '../model.ts';
import { listedIds, page } from '../paging.ts';
import { forgetVolume } from '../power.ts';
import { requiredText } from '../query.ts';
import type { Action } from '../world.ts';
import type { XmlBody } from '../xml.ts';
import { one, some, volumeKind } from './lookup.ts';
import { volumeShape } from './shapes.ts';

const volumeFilters: FilterFields<VolumeRecord> = {
  'attachment.attach-time': ({ attachment }) => [attachment && described(attachment.attachTime)],
  'attachment.delete-on-termination': ({ attachment }) => [attachment && String(attachment.deleteOnTermination)],
  'attachment.device': ({ attachment }) => [attachment?.device],
  'attachment.instance-id': ({ attachment }) => [attachment?.instanceId],
  'attachment.status': ({ attachment }) => [attachment?.state],
  'availability-zone': ({ zone }) => [zone],
  'availability-zone-id': ({ zone }) => [zoneIdOf(zone)],
  'create-time': ({ createTime }) => [createTime],
  // The sandbox has neither fast snapshot restore nor volumes that AWS manages.
  'fast-restored': () => ['false'],
  'operator.managed': () => ['false'],
  'operator.principal': () => [undefined],
  encrypted: ({ encrypted }) => [String(encrypted)],
  'multi-attach-enabled': () => ['false'],
  size: ({ sizeGib }) => [String(sizeGib)],
  'snapshot-id': ({ snapshotId }) => [snapshotId],
  status: ({ state }) => [state],
  'volume-id': ({ id }) => [id],
  'volume-type': ({ type }) => [type],
};

export const describeVolumes: Action = ({ query, view }) => {
  const ids = listedIds(query, 'VolumeId');
  const matching = applyFilters(some(volumeKind, view, ids), readFilters(query), volumeFilters);
  const { items, nextToken } = page(matching, query);
  return { volumeSet: items.map(volumeShape), nextToken };
};

const statusFilters = (faults: Pick<Faults, 'ofVolume'>): FilterFields<VolumeRecord> => ({
  'availability-zone': ({ zone }) => [zone],
  'volume-status.status': ({ id }) => [statusOf(faults, id)],
});

/** As the switchboard says: "impaired" volumes have their I/O disabled. */
const statusOf = (faults: Pick<Faults, 'ofVolume'>, id: string): string =>
  faults.ofVolume('volume-status', id)?.code ?? 'ok';

export const describeVolumeStatus: Action = ({ query, view }, { faults }) => {
  const ids = listedIds(query, 'VolumeId');
  const matching = applyFilters(some(volumeKind, view, ids), readFilters(query), statusFilters(faults));
  const { items, nextToken } = page(matching, query);
  return {
    volumeStatusSet: items.map((volume) => ({
      volumeId: volume.id,
      availabilityZone: volume.zone,
      ...statusShape(statusOf(faults, volume.id), volume),
    })),
    nextToken,
  };
};

/** Absent for a volume that was made empty; the content of one from a snapshot is there at once here. */
function initialization({ snapshotId, sourceVolumeId, filling }: VolumeRecord): XmlBody | undefined {
  if (snapshotId === undefined && sourceVolumeId === undefined) return undefined;
  return { initializationType: sourceVolumeId === undefined ? 'default' : 'volume-copy', progress: filling ? 0 : 100 };
}

function statusShape(status: string, volume: VolumeRecord): XmlBody {
  const initializationStatusDetails = initialization(volume);
  const details = [
    { name: 'io-enabled', status: status === 'impaired' ? 'failed' : 'passed' },
    { name: 'io-performance', status: 'not-applicable' },
    ...(initializationStatusDetails === undefined
      ? []
      : [{ name: 'initialization-state', status: volume.filling ? 'initializing' : 'completed' }]),
  ];
  const enable = {
    code: 'enable-volume-io',
    description: 'Enable volume I/O',
    eventType: 'potential-data-inconsistency',
  };
  return {
    volumeStatus: { status, details },
    initializationStatusDetails,
    eventsSet: [],
    actionsSet: status === 'impaired' ? [enable] : [],
  };
}

/** Puts an impaired volume to work again. */
export const enableVolumeIo: Action = ({ query }, { store, faults }) => {
  const { id } = one(volumeKind, store.state, requiredText(query, 'VolumeId'));
  const fault = faults.ofVolume('volume-status', id);
  if (fault !== undefined) faults.clear(fault.id);
  return { return: true };
};

export const deleteVolume: Action = ({ query }, world) => {
  const volume = one(volumeKind, world.store.state, requiredText(query, 'VolumeId'));
  if (volume.attachment !== undefined) {
    const { instanceId } = volume.attachment;
    throw new Ec2Error('VolumeInUse', `Volume ${volume.id} is currently attached to ${instanceId}`);
  }
  if (volume.state === 'creating') {
    throw new Ec2Error('IncorrectState', `Volume '${volume.id}' is in the 'creating' state.`);
  }
  if (volume.state === 'deleting') return { return: true };
  volume.state = 'deleting';
  world.store.save();
  world.tasks.start(`delete ${volume.id}`, async () => {
    await world.tasks.sleep(world.timing.draw('delete'));
    await world.order.run(volume.id, () => forgetVolume(world, volume));
  });
  return { return: true };
};
