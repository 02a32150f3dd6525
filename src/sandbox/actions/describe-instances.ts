import { invalid } from '../ec2-error.ts';
import type { Fault, Faults } from '../faults.ts';
import { applyFilters, type FilterFields, readFilters } from '../filters.ts';
import { accountId, type CloudState, described, type InstanceRecord, powerCodes, type VolumeRecord } from '../model.ts';
import { scheduledEvent } from '../notices.ts';
import { listedIds, page } from '../paging.ts';
import { flag } from '../query.ts';
import type { Action } from '../world.ts';
import type { XmlBody } from '../xml.ts';
import { instanceKind, some } from './lookup.ts';
import { instanceShape, powerShape } from './shapes.ts';

function filtersFor(view: CloudState): FilterFields<InstanceRecord> {
  const disks = (id: string): VolumeRecord[] => view.volumes.filter((each) => each.attachment?.instanceId === id);
  return {
    architecture: () => ['x86_64'],
    'availability-zone': ({ zone }) => [zone],
    'block-device-mapping.attach-time': ({ id }) =>
      disks(id).flatMap(({ attachment }) => (attachment === undefined ? [] : described(attachment.attachTime))),
    'block-device-mapping.device-name': ({ id }) => disks(id).map(({ attachment }) => attachment?.device),
    'block-device-mapping.status': ({ id }) => disks(id).map(({ attachment }) => attachment?.state),
    'block-device-mapping.volume-id': ({ id }) => disks(id).map((volume) => volume.id),
    'image-id': ({ imageId }) => [imageId],
    'instance-id': ({ id }) => [id],
    'instance-state-code': ({ state }) => [String(powerCodes[state])],
    'instance-state-name': ({ state }) => [state],
    'instance-type': ({ type }) => [type],
    'launch-time': ({ launchTime }) => [described(launchTime)],
    'private-ip-address': ({ privateIp }) => [privateIp],
    'reservation-id': ({ reservationId }) => [reservationId],
    'state-reason-code': ({ stateReason }) => [stateReason?.code],
  };
}

/** The instances of one RunInstances stand in one reservation, as far as they are on one page. */
export const describeInstances: Action = ({ query, view }) => {
  const ids = listedIds(query, 'InstanceId');
  const matching = applyFilters(some(instanceKind, view, ids), readFilters(query), filtersFor(view));
  const { items, nextToken } = page(matching, query);
  return {
    reservationSet: [...Map.groupBy(items, ({ reservationId }) => reservationId)].map(([reservationId, together]) => ({
      reservationId,
      ownerId: accountId,
      groupSet: [],
      instancesSet: together.map((instance) => instanceShape(instance, view.volumes)),
    })),
    nextToken,
  };
};

/** Each check as the sandbox's switchboard says, "ok" by default; only a running instance is checked. */
function statusShape({ id, zone, state }: InstanceRecord, faults: Pick<Faults, 'standing'>): XmlBody {
  const health = faults.standing('health', id).at(-1);
  const check = (said: string | undefined): XmlBody =>
    state === 'running' ? checkShape(said ?? 'ok', health?.since ?? health?.setAt) : { status: 'not-applicable' };
  return {
    instanceId: id,
    availabilityZone: zone,
    eventsSet: faults.standing('event', id).map(eventShape),
    instanceState: powerShape(state),
    systemStatus: check(health?.system),
    instanceStatus: check(health?.guest),
    attachedEbsStatus: check(health?.attachedEbs),
  };
}

function checkShape(status: string, since: string | undefined): XmlBody {
  const words: Readonly<Record<string, string>> = { ok: 'passed', impaired: 'failed' };
  const impairedSince = status === 'impaired' ? since : undefined;
  return { status, details: [{ name: 'reachability', status: words[status] ?? status, impairedSince }] };
}

function eventShape(fault: Fault): XmlBody {
  const { id, code, description, notBefore } = scheduledEvent(fault);
  return { instanceEventId: id, code, description, notBefore: notBefore.toISOString() };
}

/** As documented for DescribeInstanceStatus. */
const mostIds = 100;

export const describeInstanceStatus: Action = ({ query, view }, world) => {
  const ids = listedIds(query, 'InstanceId');
  if (ids.length > mostIds) throw invalid(`At most ${mostIds} instance ids can be given`);
  const all = flag(query, 'IncludeAllInstances');
  const shown = some(instanceKind, view, ids).filter(({ state }) => all || state === 'running');
  const { items, nextToken } = page(applyFilters(shown, readFilters(query), filtersFor(view)), query);
  return { instanceStatusSet: items.map((instance) => statusShape(instance, world.faults)), nextToken };
};
