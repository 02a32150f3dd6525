import { isDriverName } from '../../ebs/device-names.ts';
import type { Attachment, EbsVolume } from '../../ebs/types.ts';
import { waitUntilDetached } from '../../ebs/volume-waits.ts';
import { DriverError } from '../../errors.ts';
import { readOwner } from '../../fencing/records.ts';
import type { Held } from '../state/held.ts';
import { keep, type Node, waiting } from '../state/node.ts';
import { detachTimeoutMs, finishDetach, secondLook, stillUsed } from './detach.ts';

/**
 * True for an attachment of this node that this driver made, or that it has to take for its own: a device name that
 * people do not use, on a disk that nothing here uses or reads at this moment. So is released what no record explains
 * any more, and a disk that a person reads to rescue it is not pulled out, whatever its name.
 * @param found its {@link leftover}. @throws DriverError HOST_FAILED
 */
export async function mayRelease(node: Node, volume: EbsVolume, attachment: Attachment, found: Held): Promise<boolean> {
  if (isOurMake(node, volume, attachment)) return true;
  return isDriverName(attachment.device) && (await usedHere(node, found)) === undefined;
}

/** What has the disk mounted or open here, for reading alone too, as a clause. */
async function usedHere(node: Node, found: Held): Promise<string | undefined> {
  const used = await stillUsed(node, found);
  if (used !== undefined) return used;
  const disk = await secondLook(node, found);
  const reader = disk && (await node.host.openedBy(disk));
  return reader && `${reader} has ${found.volume.id} open`;
}

/** Its owner tag names it, or this node remembers an AttachVolume under this name whose end it does not know. */
function isOurMake({ instanceId, devices }: Node, { id, tags }: EbsVolume, attachment: Attachment): boolean {
  const { device, attachTime } = attachment;
  const owner = readOwner(tags);
  if (owner?.instanceId === instanceId && owner.device === device && owner.attachTime === attachTime) return true;
  return devices
    .uses()
    .some(({ name, volumeId, quarantine }) => name === device && volumeId === id && quarantine !== undefined);
}

/**
 * Releases an attachment of this instance that no record explains, or that an earlier boot made: it is never mounted.
 * @returns the volume, free. @throws DriverError IN_USE_HERE while something on this machine uses the disk, or when
 * somebody else than this driver has attached it.
 */
export async function releaseLeftover(
  node: Node,
  name: string,
  volume: EbsVolume,
  attachment: Attachment,
): Promise<EbsVolume> {
  if (attachment.state === 'detaching' || attachment.state === 'busy') {
    return waiting(node, name, `EC2 to finish detaching ${volume.id} (${attachment.device}) from this instance`, () =>
      waitUntilDetached(node.ec2, { ...attachment, instanceId: node.instanceId }, { timeoutMs: detachTimeoutMs }),
    );
  }
  const found = leftover(node, name, volume, attachment);
  if (!(await mayRelease(node, volume, attachment, found))) {
    throw attachedByHand(node, name, volume, attachment, await usedHere(node, found));
  }
  const held = await keep(node, found);
  node.devices.take([attachment.device]);
  await finishDetach(node, held);
  return { ...volume, state: 'available', attachments: [] };
}

/** @param use what has it mounted or open here, as a clause: a disk that is detached under its filesystem loses writes. */
function attachedByHand(
  { instanceId }: Node,
  name: string,
  { id }: EbsVolume,
  { device }: Attachment,
  use: string | undefined,
): DriverError {
  return new DriverError('IN_USE_HERE', {
    volume: name,
    tried: `use ${id}`,
    why: `somebody else than this driver has attached it to ${instanceId} as ${device} (its owner tag does not name this attachment), perhaps to rescue it${use === undefined ? '' : `; ${use}`}`,
    todo: `Once nobody works on it${use === undefined ? '' : ' and it is unmounted'}, run aws ec2 detach-volume --volume-id ${id} --instance-id ${instanceId} --device ${device}, and try again`,
  });
}

/** The record of an attachment found, not made: it can only be detached. */
export function leftover(node: Node, name: string, volume: EbsVolume, attachment: Attachment): Held {
  return {
    name,
    volume,
    phase: 'detaching',
    instanceId: node.instanceId,
    device: attachment.device,
    attachTime: attachment.attachTime,
    bootId: node.host.bootId,
    filesystem: undefined,
    directory: undefined,
    holders: [],
  };
}
