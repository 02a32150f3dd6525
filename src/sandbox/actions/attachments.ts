import { carryOutAttach, carryOutDetach } from '../attaching.ts';
import { Ec2Error, invalid } from '../ec2-error.ts';
import { type AttachmentRecord, type InstanceRecord, timestamp, type VolumeRecord } from '../model.ts';
import { volumesOf } from '../power.ts';
import { flag, requiredText, text, whole } from '../query.ts';
import type { Action, World } from '../world.ts';
import { instanceKind, one, volumeKind } from './lookup.ts';
import { attachmentShape } from './shapes.ts';

/**
 * /dev/sda to /dev/sdz, with partition digits from f to p, and /dev/xvda to /dev/xvddx: EC2 takes no others (device_names.go of
 * the EBS CSI driver; `sdk1` is refused on HVM, iov/batchit#15).
 */
const deviceName = /^(\/dev\/)?(sd[a-z]|sda1|xvd[a-z]|xvd[a-c][a-z]|xvdd[a-x])$/;
const rootDevices = new Set(['/dev/xvda', '/dev/sda1', '/dev/sda', 'xvda', 'sda1', 'sda']);

export const attachVolume: Action = ({ query, fault }, world) => {
  const { state } = world.store;
  const volume = one(volumeKind, state, requiredText(query, 'VolumeId'));
  const instance = one(instanceKind, state, requiredText(query, 'InstanceId'));
  const device = requiredText(query, 'Device');
  checkVolumeFree(volume);
  checkNotModifying(volume);
  checkInstanceTakes(world, instance, device);
  const card = whole(query, 'EbsCardIndex');
  checkCard(world, instance, card);
  if (volume.zone !== instance.zone) {
    const zones = `'${volume.id}' is in ${volume.zone}, '${instance.id}' in ${instance.zone}`;
    throw new Ec2Error('InvalidVolume.ZoneMismatch', `The volume is not in the same availability zone: ${zones}`);
  }
  const attachment: AttachmentRecord = {
    instanceId: instance.id,
    device,
    state: 'attaching',
    attachTime: timestamp(),
    deleteOnTermination: false,
    card,
  };
  volume.attachment = attachment;
  volume.state = 'in-use';
  world.store.save();
  carryOutAttach(world, volume, attachment, fault('stuck-attaching'));
  return attachmentShape(volume.id, attachment);
};

function checkVolumeFree({ id, state, attachment }: VolumeRecord): void {
  if (attachment !== undefined) throw new Ec2Error('VolumeInUse', `${id} is already attached to an instance`);
  if (state !== 'available') throw new Ec2Error('IncorrectState', `Volume '${id}' is in the '${state}' state.`);
}

/** Words of EC2: hashicorp/terraform#24610, terraform-provider-aws#17547. */
function checkNotModifying({ id, modifications }: VolumeRecord): void {
  if (modifications.at(-1)?.state !== 'modifying') return;
  throw new Ec2Error(
    'OperationNotPermitted',
    `Cannot attach volume '${id}' when it is in modification state: MODIFYING`,
  );
}

function checkInstanceTakes(world: World, instance: InstanceRecord, device: string): void {
  if (instance.state !== 'running' && instance.state !== 'stopped') {
    throw new Ec2Error('IncorrectState', `Instance '${instance.id}' is not 'running'.`);
  }
  if (!deviceName.test(device)) throw invalid(`Value (${device}) for parameter device is invalid.`);
  const attached = volumesOf(world, instance.id);
  if (rootDevices.has(device) || attached.some(({ attachment }) => attachment?.device === device)) {
    throw invalid(`Invalid value '${device}' for unixDevice. Attachment point ${device} is already in use`);
  }
  const limit = world.instanceTypes.find(({ name }) => name === instance.type)?.maxAttachments ?? 27;
  // The root disk has a place, too.
  if (attached.length + 1 >= limit) {
    throw new Ec2Error('AttachmentLimitExceeded', `Instance ${instance.id} has reached its limit of ${limit} volumes`);
  }
}

/** That a card which the type lacks is refused is documented, the words are not. */
function checkCard({ instanceTypes }: World, { type }: InstanceRecord, card: number | undefined): void {
  const cards = instanceTypes.find(({ name }) => name === type)?.cards ?? 1;
  if (card === undefined || (card >= 0 && card < cards)) return;
  throw invalid(`Value (${card}) for parameter ebsCardIndex is invalid. Instance type ${type} has ${cards} EBS cards.`);
}

export const detachVolume: Action = ({ query, fault }, world) => {
  const volume = one(volumeKind, world.store.state, requiredText(query, 'VolumeId'));
  const attachment = matchingAttachment(volume, text(query, 'InstanceId'), text(query, 'Device'));
  const force = flag(query, 'Force');
  const instance = one(instanceKind, world.store.state, attachment.instanceId);
  // An instance that shuts down lets go by itself (hashicorp/terraform#18965).
  if (instance.state === 'shutting-down') {
    throw new Ec2Error(
      'IncorrectInstanceState',
      `The instance '${instance.id}' is not in a valid state for this operation.`,
    );
  }
  // A second plain detach changes nothing; a forced one overtakes a plain one that waits for the guest.
  if ((attachment.state === 'detaching' || attachment.state === 'busy') && !force)
    return attachmentShape(volume.id, attachment);
  attachment.state = 'detaching';
  world.store.save();
  const tear = force || instance.state === 'stopped';
  carryOutDetach(world, volume, attachment, { tear, stuck: force ? undefined : fault('stuck-detaching') });
  return attachmentShape(volume.id, attachment);
};

function matchingAttachment(
  volume: VolumeRecord,
  instanceId: string | undefined,
  device: string | undefined,
): AttachmentRecord {
  const { id, state, attachment } = volume;
  if (attachment === undefined) throw new Ec2Error('IncorrectState', `Volume '${id}' is in the '${state}' state.`);
  const sameInstance = instanceId === undefined || instanceId === attachment.instanceId;
  if (sameInstance && (device === undefined || device === attachment.device)) return attachment;
  throw new Ec2Error(
    'InvalidAttachment.NotFound',
    `The volume '${id}' is not attached to instance '${instanceId ?? attachment.instanceId}' as device '${device ?? attachment.device}'.`,
  );
}
