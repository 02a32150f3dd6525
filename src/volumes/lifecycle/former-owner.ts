import { setTimeout as sleep } from 'node:timers/promises';
import { cleanMark, tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume } from '../../ebs/types.ts';
import { readOwner } from '../../fencing/records.ts';
import { settleLeftOfFormer } from '../../fencing/settle.ts';
import { type Node, waiting } from '../state/node.ts';

/**
 * Waits for late writes of the instance that had a volume before it was found free: EC2 detaches by itself what a terminated
 * instance had, however abrupt its end was. The owner tag tells who that was, and no call is made where the clean tag says
 * that it was finished. Where EC2 cannot tell what became of it, the whole time is waited. Never fails.
 * @param volume as it is shown under our attachment, before our own owner tag.
 */
export async function settleFormer(node: Node, name: string, { id, tags }: EbsVolume): Promise<void> {
  const owner = readOwner(tags);
  if (owner === undefined || owner.instanceId === node.instanceId) return;
  if (tags[tagKeys.clean] === cleanMark(owner)) return;
  const { settleMs } = node.fencing.rulesOf(tags);
  if (settleMs === 0) return;
  const left = await node.ec2.describeInstance(owner.instanceId).then(
    (former) => settleLeftOfFormer(settleMs, owner, former),
    (error: unknown) => {
      node.log.warn({ volume: name, volumeId: id, err: error }, 'what became of its last owner is not known');
      return settleMs;
    },
  );
  if (left === 0) return;
  const seconds = Math.ceil(left / 1000);
  const reason = `late writes of ${owner.instanceId}, which had ${id} and has ended (within ${seconds} s)`;
  await waiting(node, name, reason, () => sleep(left));
}
