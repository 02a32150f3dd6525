import { Ec2Error } from '../ec2-error.ts';
import { applyFilters, type FilterFields, readFilters } from '../filters.ts';
import type { VolumeRecord } from '../model.ts';
import { page } from '../paging.ts';
import { forgetVolume } from '../power.ts';
import { requiredText, texts } from '../query.ts';
import type { Action } from '../world.ts';
import { one, some, volumeKind } from './lookup.ts';
import { volumeShape } from './shapes.ts';

const volumeFilters: FilterFields<VolumeRecord> = {
  'attachment.attach-time': ({ attachment }) => [attachment?.attachTime],
  'attachment.delete-on-termination': ({ attachment }) => [attachment && String(attachment.deleteOnTermination)],
  'attachment.device': ({ attachment }) => [attachment?.device],
  'attachment.instance-id': ({ attachment }) => [attachment?.instanceId],
  'attachment.status': ({ attachment }) => [attachment?.state],
  'availability-zone': ({ zone }) => [zone],
  'create-time': ({ createTime }) => [createTime],
  encrypted: ({ encrypted }) => [String(encrypted)],
  'multi-attach-enabled': () => ['false'],
  size: ({ sizeGib }) => [String(sizeGib)],
  'snapshot-id': ({ snapshotId }) => [snapshotId],
  status: ({ state }) => [state],
  'volume-id': ({ id }) => [id],
  'volume-type': ({ type }) => [type],
};

export const describeVolumes: Action = ({ query, view }) => {
  const ids = texts(query, 'VolumeId');
  const matching = applyFilters(some(volumeKind, view, ids), readFilters(query), volumeFilters);
  const { items, nextToken } = page(matching, query, ids.length);
  return { volumeSet: items.map(volumeShape), nextToken };
};

const statusFilters: FilterFields<VolumeRecord> = {
  'availability-zone': ({ zone }) => [zone],
  'volume-status.status': () => ['ok'],
};

export const describeVolumeStatus: Action = ({ query, view }) => {
  const ids = texts(query, 'VolumeId');
  const matching = applyFilters(some(volumeKind, view, ids), readFilters(query), statusFilters);
  const { items, nextToken } = page(matching, query, ids.length);
  const details = [
    { name: 'io-enabled', status: 'passed' },
    { name: 'io-performance', status: 'not-applicable' },
  ];
  return {
    volumeStatusSet: items.map(({ id, zone }) => ({
      volumeId: id,
      availabilityZone: zone,
      volumeStatus: { status: 'ok', details },
      eventsSet: [],
      actionsSet: [],
    })),
    nextToken,
  };
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
