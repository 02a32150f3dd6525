import type { Attachment, EbsVolume } from '../../ebs/types.ts';
import { attachmentOf, ownerText } from '../../ebs/volume-record.ts';
import { waitUntilDetached } from '../../ebs/volume-waits.ts';
import { DriverError, isCode } from '../../errors.ts';
import { readOwner } from '../../fencing/records.ts';
import { detachTimeoutMs } from '../lifecycle/detach.ts';
import { type Node, waiting } from '../state/node.ts';

/**
 * The attachment under which this driver took the name off a volume: its node ends it by itself, once no read shows the
 * name any more. Undefined for one that is free, and for one that somebody else has attached.
 */
export function lastAttachment({ held }: Pick<Node, 'held'>, volume: EbsVolume): Attachment | undefined {
  const attachment = attachmentOf(volume);
  if (attachment === undefined) return undefined;
  const { instanceId, device, attachTime, state } = attachment;
  const owner = readOwner(volume.tags);
  const isOwners = owner?.instanceId === instanceId && owner?.device === device && owner?.attachTime === attachTime;
  const isHere = [...held.values()].some((each) => each.volume.id === volume.id && each.device === device);
  return isOwners || isHere || state === 'detaching' || state === 'busy' ? attachment : undefined;
}

/**
 * Waits until a volume that was removed is free of the attachment of its removal.
 * @param tried what it is wanted for, to complete "cannot …".
 * @throws DriverError ATTACHED_ELSEWHERE where somebody else has attached it, or its node does not give it back.
 */
export async function untilGivenBack(node: Node, name: string, volume: EbsVolume, tried: string): Promise<void> {
  const attachment = attachmentOf(volume);
  if (attachment === undefined) return;
  const refusal = (why: string, todo: string) => {
    const place = `${ownerText(attachment)} has it as ${attachment.device} (${attachment.state})`;
    return new DriverError('ATTACHED_ELSEWHERE', { volume: name, tried, why: `${place}${why}`, todo });
  };
  const { instanceId, device } = attachment;
  if (lastAttachment(node, volume) === undefined || instanceId === undefined) {
    throw refusal(', and not for a removal', 'Find out who has attached it there, and try again once it is detached');
  }
  const reason = `${instanceId} to detach ${volume.id} (${device}), which it does ${node.visibleMs / 1000} s after the removal`;
  await waiting(node, name, reason, () =>
    waitUntilDetached(
      node.ec2,
      { ...attachment, instanceId, volumeId: volume.id },
      { timeoutMs: node.visibleMs + detachTimeoutMs, intervalMs: 1000 },
    ),
  ).catch((error: unknown) => {
    if (!isCode(error, 'STILL_WORKING')) throw error;
    throw refusal(
      ' since its removal, and has not given it back',
      `See that the daemon runs on ${instanceId} (docker-volume-ebs status there) and try again; of an instance that is terminated EC2 takes it by itself`,
    );
  });
}
