import type { Attachment, EbsVolume } from '../../ebs/types.ts';
import { waitUntilDetached } from '../../ebs/volume-waits.ts';
import type { Held } from '../state/held.ts';
import { keep, type Node, waiting } from '../state/node.ts';
import { detachTimeoutMs, finishDetach } from './detach.ts';

/**
 * Releases an attachment of this instance that no record explains, or that an earlier boot made: it is never mounted.
 * @returns the volume, free. @throws DriverError IN_USE_HERE while something on this machine uses the disk.
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
  const held = await keep(node, leftover(node, name, volume, attachment));
  node.devices.take([attachment.device]);
  await finishDetach(node, held);
  return { ...volume, state: 'available', attachments: [] };
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
