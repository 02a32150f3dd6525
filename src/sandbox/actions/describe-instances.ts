import { applyFilters, type FilterFields, readFilters } from '../filters.ts';
import { accountId, type CloudState, type InstanceRecord, powerCodes, type VolumeRecord } from '../model.ts';
import { page } from '../paging.ts';
import { flag, texts } from '../query.ts';
import type { Action } from '../world.ts';
import type { XmlBody } from '../xml.ts';
import { instanceKind, some } from './lookup.ts';
import { instanceShape, powerShape } from './shapes.ts';

function filtersFor(view: CloudState): FilterFields<InstanceRecord> {
  const disks = (id: string): VolumeRecord[] => view.volumes.filter((each) => each.attachment?.instanceId === id);
  return {
    architecture: () => ['x86_64'],
    'availability-zone': ({ zone }) => [zone],
    'block-device-mapping.attach-time': ({ id }) => disks(id).map(({ attachment }) => attachment?.attachTime),
    'block-device-mapping.device-name': ({ id }) => disks(id).map(({ attachment }) => attachment?.device),
    'block-device-mapping.status': ({ id }) => disks(id).map(({ attachment }) => attachment?.state),
    'block-device-mapping.volume-id': ({ id }) => disks(id).map((volume) => volume.id),
    'image-id': ({ imageId }) => [imageId],
    'instance-id': ({ id }) => [id],
    'instance-state-code': ({ state }) => [String(powerCodes[state])],
    'instance-state-name': ({ state }) => [state],
    'instance-type': ({ type }) => [type],
    'launch-time': ({ launchTime }) => [launchTime],
    'private-ip-address': ({ privateIp }) => [privateIp],
    'reservation-id': ({ reservationId }) => [reservationId],
    'state-reason-code': ({ stateReason }) => [stateReason?.code],
  };
}

/** Each instance in a reservation of its own entry, as EC2 may answer too. */
export const describeInstances: Action = ({ query, view }) => {
  const ids = texts(query, 'InstanceId');
  const matching = applyFilters(some(instanceKind, view, ids), readFilters(query), filtersFor(view));
  const { items, nextToken } = page(matching, query, ids.length);
  return {
    reservationSet: items.map((instance) => ({
      reservationId: instance.reservationId,
      ownerId: accountId,
      groupSet: [],
      instancesSet: [instanceShape(instance, view.volumes)],
    })),
    nextToken,
  };
};

function statusShape({ id, zone, state }: InstanceRecord): XmlBody {
  const status = state === 'running' ? 'ok' : 'not-applicable';
  const summary = {
    status,
    details: status === 'ok' ? [{ name: 'reachability', status: 'passed' }] : [],
  };
  return {
    instanceId: id,
    availabilityZone: zone,
    eventsSet: [],
    instanceState: powerShape(state),
    systemStatus: summary,
    instanceStatus: summary,
    attachedEbsStatus: summary,
  };
}

export const describeInstanceStatus: Action = ({ query, view }) => {
  const ids = texts(query, 'InstanceId');
  const all = flag(query, 'IncludeAllInstances');
  const shown = some(instanceKind, view, ids).filter(({ state }) => all || state === 'running');
  const { items, nextToken } = page(applyFilters(shown, readFilters(query), filtersFor(view)), query, ids.length);
  return { instanceStatusSet: items.map(statusShape), nextToken };
};
