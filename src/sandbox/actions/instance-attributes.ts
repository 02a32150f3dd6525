import { Ec2Error } from '../ec2-error.ts';
import { volumesOf } from '../power.ts';
import { flag, groups, requiredText, text } from '../query.ts';
import type { Action } from '../world.ts';
import { instanceKind, one } from './lookup.ts';

/** Stop protection (DisableApiStop), and whether a volume is deleted with its instance; of one instance. */
export const modifyInstanceAttribute: Action = ({ query }, world) => {
  const instance = one(instanceKind, world.store.state, requiredText(query, 'InstanceId'));
  const protection = query['DisableApiStop'];
  if (typeof protection === 'object') instance.stopProtected = flag(protection, 'Value');
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
