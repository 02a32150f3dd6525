import { Ec2Error, invalid } from '../ec2-error.ts';
import { volumesOf } from '../power.ts';
import { flag, groups, requiredText, text } from '../query.ts';
import type { Action } from '../world.ts';
import type { XmlValue } from '../xml.ts';
import { instanceKind, one } from './lookup.ts';
import { disksOf, rootDevice } from './shapes.ts';

/** Stop and termination protection, and whether a volume is deleted with its instance; of one instance. */
export const modifyInstanceAttribute: Action = ({ query }, world) => {
  const instance = one(instanceKind, world.store.state, requiredText(query, 'InstanceId'));
  const protection = query['DisableApiStop'];
  if (typeof protection === 'object') instance.stopProtected = flag(protection, 'Value');
  const termination = query['DisableApiTermination'];
  if (typeof termination === 'object') instance.terminationProtected = flag(termination, 'Value');
  for (const mapping of groups(query, 'BlockDeviceMapping')) {
    const device = text(mapping, 'DeviceName') ?? '';
    const ebs = mapping['Ebs'];
    const attachment = volumesOf(world, instance.id).find((volume) => volume.attachment?.device === device)?.attachment;
    if (attachment === undefined) {
      throw new Ec2Error('InvalidInstanceAttributeValue', `No device is currently mapped at ${device}`);
    }
    if (typeof ebs === 'object') attachment.deleteOnTermination = flag(ebs, 'DeleteOnTermination');
  }
  world.store.save();
  return { return: true };
};

/** One attribute of an instance. @throws Ec2Error InvalidParameterValue for one that the sandbox does not know */
export const describeInstanceAttribute: Action = ({ query, view }) => {
  const instance = one(instanceKind, view, requiredText(query, 'InstanceId'));
  const attribute = requiredText(query, 'Attribute');
  const disks = view.volumes.filter(({ attachment }) => attachment?.instanceId === instance.id);
  const known: Readonly<Record<string, () => XmlValue>> = {
    instanceType: () => ({ value: instance.type }),
    disableApiStop: () => ({ value: instance.stopProtected === true }),
    disableApiTermination: () => ({ value: instance.terminationProtected === true }),
    instanceInitiatedShutdownBehavior: () => ({ value: 'stop' }),
    rootDeviceName: () => ({ value: rootDevice }),
    ebsOptimized: () => ({ value: true }),
    blockDeviceMapping: () => disksOf(instance, disks),
  };
  const value = known[attribute];
  if (value === undefined) throw invalid(`Value (${attribute}) for parameter attribute is invalid. Unknown attribute.`);
  return { instanceId: instance.id, [attribute]: value() };
};
