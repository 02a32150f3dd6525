import type { Attachment, EbsVolume } from '../ebs/types.ts';
import { decide } from '../fencing/decide.ts';
import { type Reading, readOut } from '../fencing/explain.ts';
import { observe } from '../fencing/observe.ts';
import type { FencePolicy } from '../fencing/types.ts';
import { noSuchVolume } from './hold.ts';
import type { Node } from './node.ts';
import type { PermissionCheck } from './permission-check.ts';
import type { Explanation } from './types.ts';

const nothing: Reading = { evidenceFor: [], evidenceAgainst: [], steps: [] };

/** What a Mount of the volume on this node would do about its owner now, and why. Only reads. */
export async function explain(node: Node, permissions: PermissionCheck, name: string): Promise<Explanation> {
  const volume = await node.lookup.find(name);
  if (volume === undefined) throw noSuchVolume(name, 'explain what would happen to it');
  const rules = node.fencing.rulesOf(volume.tags);
  const attachment = presentAttachment(volume);
  const missing = await permissions.missing();
  const common = {
    name,
    volumeId: volume.id,
    policy: policyText(node, rules.policy),
    owner: ownerOf(attachment),
    denied: missing?.map(({ action, why, without }) => `${action}: ${why} (so that ${without})`),
  };
  const simple = withoutOwner(node, name, volume, attachment);
  if (simple !== undefined) return { ...common, ...nothing, paused: undefined, ...simple };
  if (attachment === undefined) {
    const steps = ['attach it', 'check its filesystem, or make one if it is blank', 'mount it'];
    return {
      ...common,
      ...nothing,
      steps,
      paused: undefined,
      outcome: 'free',
      reason: 'nobody has it',
      todo: undefined,
    };
  }
  const { ec2, instanceId, fencing } = node;
  const observation = await observe({ ec2, instanceId, rules, schedulers: fencing.schedulers }, volume, attachment);
  const decision = decide(rules, observation);
  return {
    ...common,
    ...readOut(rules, observation, decision),
    paused: observation.paused,
    outcome: decision.kind,
    reason: decision.reason,
    todo: 'todo' in decision ? decision.todo : undefined,
  };
}

/** The attachment that a takeover would be about. */
export function presentAttachment({ attachments }: EbsVolume): Attachment | undefined {
  return attachments.find(({ state }) => state !== 'detached');
}

function ownerOf(attachment: Attachment | undefined): Explanation['owner'] {
  if (attachment === undefined) return undefined;
  const { instanceId = 'a resource that AWS manages', device, attachTime } = attachment;
  return { instanceId, device, attachTime };
}

function policyText({ settings }: Node, policy: FencePolicy): string {
  return policy === settings.fencePolicy
    ? `${policy} (this daemon's DVE_FENCE_POLICY)`
    : `${policy} (the volume's own; this daemon's is ${settings.fencePolicy})`;
}

type Answer = Pick<Explanation, 'outcome' | 'reason' | 'todo'>;

/** The answer where no owner has to be judged: it is here, or cannot come here. */
function withoutOwner(
  node: Node,
  name: string,
  volume: EbsVolume,
  attachment: Attachment | undefined,
): Answer | undefined {
  const held = node.held.get(name);
  if (held?.phase === 'detaching') {
    return { outcome: 'leaving', reason: 'this node is giving it back', todo: undefined };
  }
  if (held !== undefined) {
    return { outcome: 'here', reason: `this node has it (${held.phase})`, todo: undefined };
  }
  if (attachment?.instanceId === node.instanceId) {
    return {
      outcome: 'leaving',
      reason: 'it is attached to this node from before, and is given back before it is mounted again',
      todo: undefined,
    };
  }
  if (node.drain.now !== undefined) {
    return {
      outcome: 'refuse',
      reason: `this node is being drained since ${node.drain.now.since}: ${node.drain.now.reason}`,
      todo: 'Ask another node, or end the drain with docker-volume-ebs drain --cancel',
    };
  }
  if (volume.zone === node.zone) return undefined;
  return {
    outcome: 'refuse',
    reason: `it is in ${volume.zone} and this node is in ${node.zone}; a disk cannot leave its zone`,
    todo: `Ask a node in ${volume.zone}`,
  };
}
