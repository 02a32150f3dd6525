import { Ec2Error, missing } from '../ec2-error.ts';
import { type InstanceRecord, type PowerState, timestamp } from '../model.ts';
import { carryOutReboot, carryOutStart, carryOutStop, carryOutTerminate } from '../power.ts';
import { flag, type Query, texts } from '../query.ts';
import type { Action, World } from '../world.ts';
import type { XmlBody } from '../xml.ts';
import { instanceKind, some } from './lookup.ts';
import { powerShape } from './shapes.ts';

function named(query: Query, world: World): InstanceRecord[] {
  const ids = texts(query, 'InstanceId');
  if (ids.length === 0) throw missing('InstanceId');
  return some(instanceKind, world.store.state, ids);
}

/** @throws Ec2Error IncorrectInstanceState for the first instance that is in none of these states */
function requireState(instances: readonly InstanceRecord[], verb: string, states: readonly PowerState[]): void {
  for (const { id, state } of instances) {
    if (states.includes(state)) continue;
    const message = `The instance '${id}' is not in a state from which it can be ${verb}: it is '${state}'.`;
    throw new Ec2Error('IncorrectInstanceState', message);
  }
}

function guardedError(id: string, verb: string, attribute: string): Ec2Error {
  const message = `The instance '${id}' may not be ${verb}. Modify its '${attribute}' instance attribute and try again.`;
  return new Ec2Error('OperationNotPermitted', message);
}

/** Moves each instance to `next`, unless it is at or past it, and answers as the four power calls do. */
function transition(
  instances: readonly InstanceRecord[],
  from: readonly PowerState[],
  next: PowerState,
  begin: (instance: InstanceRecord) => void,
): XmlBody {
  const items = instances.map((instance) => {
    const previous = instance.state;
    if (from.includes(previous)) {
      instance.state = next;
      begin(instance);
    }
    return {
      instanceId: instance.id,
      currentState: powerShape(instance.state),
      previousState: powerShape(previous),
    };
  });
  return { instancesSet: items };
}

/** Force, which on EC2 first tries the guest's own shutdown, cuts the power at once here: it is for guests that hang. */
export const stopInstances: Action = ({ query, fault }, world) => {
  const instances = named(query, world);
  const hurried = flag(query, 'Force') || flag(query, 'SkipOsShutdown');
  const hibernate = flag(query, 'Hibernate');
  requireState(instances, 'stopped', ['pending', 'running', 'stopping', 'stopped']);
  const cannot = instances.find(({ hibernationConfigured }) => hibernate && !hibernationConfigured);
  if (cannot !== undefined) {
    const message = `Instance '${cannot.id}' is not configured for hibernation.`;
    throw new Ec2Error('UnsupportedHibernationConfiguration', message);
  }
  const guarded = instances.find(({ stopProtected }) => stopProtected === true);
  if (guarded !== undefined) throw guardedError(guarded.id, 'stopped', 'disableApiStop');
  // An instance that is stopping may also be hurried.
  const from: PowerState[] = hurried ? ['pending', 'running', 'stopping'] : ['pending', 'running'];
  const stuck = fault('stuck-stopping');
  const reason = fault('stop-reason');
  return transition(instances, from, 'stopping', (instance) =>
    carryOutStop(world, instance, { hurried, hibernate, stuck, reason }),
  );
};

export const startInstances: Action = ({ query }, world) => {
  const instances = named(query, world);
  requireState(instances, 'started', ['pending', 'running', 'stopped']);
  return transition(instances, ['stopped'], 'pending', (instance) => {
    instance.launchTime = timestamp();
    instance.stateReason = undefined;
    instance.stateTransitionReason = '';
    world.store.save();
    carryOutStart(world, instance);
  });
};

export const rebootInstances: Action = ({ query }, world) => {
  const instances = named(query, world);
  requireState(instances, 'rebooted', ['running', 'pending']);
  for (const instance of instances) carryOutReboot(world, instance);
  return { return: true };
};

export const terminateInstances: Action = ({ query, fault }, world) => {
  const from: PowerState[] = ['pending', 'running', 'stopping', 'stopped'];
  const instances = named(query, world);
  const guarded = instances.find(({ terminationProtected }) => terminationProtected === true);
  if (guarded !== undefined) throw guardedError(guarded.id, 'terminated', 'disableApiTermination');
  const reason = fault('stop-reason');
  return transition(instances, from, 'shutting-down', (instance) => carryOutTerminate(world, instance, reason));
};
