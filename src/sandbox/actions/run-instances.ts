import { Ec2Error, invalid } from '../ec2-error.ts';
import { accountId, type InstanceRecord, newId, type TagSet, timestamp } from '../model.ts';
import { carryOutStart } from '../power.ts';
import { flag, type Query, text, whole } from '../query.ts';
import { checkToken, earlierUse, parametersDigest } from '../tokens.ts';
import type { Action, World } from '../world.ts';
import { tagsForNew } from './lookup.ts';
import { instanceShape } from './shapes.ts';

const maxNodes = 20;
const defaultType = 'm5.large';

interface InstanceSpec {
  readonly zone: string;
  readonly type: string;
  readonly tags: TagSet;
  readonly hibernation: boolean;
  readonly stopProtected: boolean;
  readonly terminationProtected: boolean;
  readonly reservationId: string;
}

/** Records a new instance, "pending". */
export function newInstance(world: World, spec: InstanceSpec): InstanceRecord {
  const { instances } = world.store.state;
  const number = instances.length + 10;
  const now = timestamp();
  const instance: InstanceRecord = {
    id: newId('i'),
    reservationId: spec.reservationId,
    zone: spec.zone,
    type: spec.type,
    imageId: 'ami-0123456789abcdef0',
    privateIp: `10.0.${Math.floor(number / 250)}.${number % 250}`,
    hibernationConfigured: spec.hibernation,
    stopProtected: spec.stopProtected,
    terminationProtected: spec.terminationProtected,
    state: 'pending',
    launchTime: now,
    createTime: now,
    stateReason: undefined,
    stateTransitionReason: '',
    terminatedAt: undefined,
    tags: spec.tags,
  };
  instances.push(instance);
  world.store.save();
  return instance;
}

/** The zone that comes next when instances go round the zones. */
export function nextZone(world: World): string {
  const living = world.store.state.instances.filter(({ state }) => state !== 'terminated');
  return world.zones[living.length % world.zones.length] ?? '';
}

export const runInstances: Action = ({ query }, world) => {
  const { state } = world.store;
  const token = text(query, 'ClientToken');
  const parameters = parametersDigest(query);
  const answer = (reservationId: string): ReturnType<typeof reservationShape> => reservationShape(world, reservationId);
  if (token !== undefined) {
    checkToken(token);
    const earlier = earlierUse(state.tokens, token, parameters, () => true);
    if (earlier !== undefined) return answer(earlier);
  }
  const spec = readSpec(query, world);
  const count = countWanted(query, world);
  for (let made = 0; made < count; made += 1) carryOutStart(world, newInstance(world, spec));
  if (token !== undefined) state.tokens[token] = { parameters, resourceId: spec.reservationId };
  world.store.save();
  return answer(spec.reservationId);
};

function readSpec(query: Query, world: World): InstanceSpec {
  const placement = query['Placement'];
  const hibernation = query['HibernationOptions'];
  const zone = (typeof placement === 'object' ? text(placement, 'AvailabilityZone') : undefined) ?? nextZone(world);
  if (!world.zones.includes(zone)) throw invalid(`Invalid availability zone: [${zone}]`);
  const type = text(query, 'InstanceType') ?? defaultType;
  if (!world.instanceTypes.some(({ name }) => name === type))
    throw invalid(`Invalid value '${type}' for InstanceType.`);
  return {
    zone,
    type,
    tags: tagsForNew(query, 'instance'),
    hibernation: typeof hibernation === 'object' && flag(hibernation, 'Configured'),
    stopProtected: flag(query, 'DisableApiStop'),
    terminationProtected: flag(query, 'DisableApiTermination'),
    reservationId: newId('r'),
  };
}

function countWanted(query: Query, world: World): number {
  const least = whole(query, 'MinCount') ?? 1;
  const most = whole(query, 'MaxCount') ?? least;
  if (least < 1 || most < least) throw invalid('MinCount is at least 1 and not above MaxCount');
  const living = world.store.state.instances.filter(({ state }) => state !== 'terminated').length;
  const room = maxNodes - living;
  if (least <= room) return Math.min(most, room);
  throw new Ec2Error('InstanceLimitExceeded', `The sandbox has room for ${maxNodes} instances, ${living} exist.`);
}

/** One reservation with its instances. */
function reservationShape(world: World, reservationId: string) {
  const { instances, volumes } = world.store.state;
  return {
    reservationId,
    ownerId: accountId,
    groupSet: [],
    instancesSet: instances
      .filter((instance) => instance.reservationId === reservationId)
      .map((instance) => instanceShape(instance, volumes)),
  };
}
