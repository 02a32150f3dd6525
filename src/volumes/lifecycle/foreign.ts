import type { EbsVolume } from '../../ebs/types.ts';
import { DriverError } from '../../errors.ts';
import type { Node } from '../state/node.ts';

/** Refuses a volume that cannot come here, whoever has it. @throws DriverError WRONG_ZONE; ATTACHED_ELSEWHERE for Multi-Attach. */
export function refuseForeign(node: Node, name: string, volume: EbsVolume): void {
  refuseOtherZone(node, name, volume);
  refuseMultiAttach(node, name, volume);
}

function refuseOtherZone(node: Node, name: string, volume: EbsVolume): void {
  if (volume.zone === node.zone) return;
  throw new DriverError('WRONG_ZONE', {
    volume: name,
    tried: `attach ${volume.id} to ${node.instanceId}`,
    why: `it is in ${volume.zone} and this node is in ${node.zone}; a disk cannot leave its zone`,
    todo: `Run the container on a node in ${volume.zone}, or copy the volume to ${node.zone} through a snapshot`,
  });
}

/** EC2 lets several instances attach such a volume: its AttachVolume is no compare-and-swap, and keeps nobody out. */
function refuseMultiAttach(node: Node, name: string, { id, multiAttach, attachments }: EbsVolume): void {
  if (!multiAttach) return;
  const owners = attachments.map(({ instanceId }) => instanceId).join(' and ');
  throw new DriverError('ATTACHED_ELSEWHERE', {
    volume: name,
    tried: `attach ${id} to ${node.instanceId}`,
    why: `it is a Multi-Attach volume, attached to ${owners || 'no instance now'}: others may attach it at any time, and its filesystem has one writer`,
    todo: 'Once nothing uses it, detach it everywhere and turn Multi-Attach off',
  });
}
