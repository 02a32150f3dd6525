import { setTimeout as sleep } from 'node:timers/promises';
import type { Attachment, EbsVolume } from '../../ebs/types.ts';
import { attachmentOf, ownerText } from '../../ebs/volume-record.ts';
import { isCode } from '../../errors.ts';
import { decide } from '../../fencing/decide.ts';
import { type Reading, readOut } from '../../fencing/explain.ts';
import { observe, withChecks } from '../../fencing/observe.ts';
import type { FencePolicy } from '../../fencing/types.ts';
import { refuseWhileDraining } from '../lifecycle/drain.ts';
import { refuseForeign } from '../lifecycle/foreign.ts';
import { roomHere } from '../lifecycle/room.ts';
import { noSuchVolume } from '../state/lookup.ts';
import { findVolume, type Node, waiting } from '../state/node.ts';
import type { PermissionCheck } from './permission-check.ts';
import type { Explanation } from './types.ts';

/** Whoever asks at night waits no longer for what only the dry runs tell. */
const permissionsMs = 3000;

const nothing: Reading = { evidenceFor: [], evidenceAgainst: [], steps: [] };

/** What a Mount of the volume on this node would do about its owner now, and why. Only reads. */
export async function explain(node: Node, permissions: PermissionCheck, name: string): Promise<Explanation> {
  const volume = await findVolume(node, name);
  if (volume === undefined) throw noSuchVolume(name, 'explain what would happen to it');
  const denied = deniedSoon(permissions);
  const answer = await judged(node, name, volume);
  return {
    name,
    volumeId: volume.id,
    policy: policyText(node, node.fencing.rulesOf(volume.tags).policy),
    owner: ownerOf(attachmentOf(volume)),
    ...answer,
    denied: await denied,
  };
}

/** The calls that this role may not make, as texts; undefined where EC2 has not told within the time. */
async function deniedSoon(permissions: PermissionCheck): Promise<readonly string[] | undefined> {
  const missing = await Promise.race([permissions.missing(), sleep(permissionsMs, undefined, { ref: false })]);
  return missing?.map(({ action, why, without }) => `${action}: ${why} (so that ${without})`);
}

async function judged(node: Node, name: string, volume: EbsVolume): Promise<Judged> {
  const attachment = attachmentOf(volume);
  const simple = withoutOwner(node, name, attachment) ?? (await refusal(node, name, volume));
  if (simple !== undefined) return { ...nothing, paused: undefined, ...simple };
  if (attachment === undefined) {
    const steps = ['attach it', 'check its filesystem, or make one if it is blank', 'mount it'];
    return { ...nothing, steps, paused: undefined, outcome: 'free', reason: 'nobody has it', todo: undefined };
  }
  const { ec2, instanceId, fencing } = node;
  const rules = fencing.rulesOf(volume.tags);
  const context = { ec2, instanceId, name, rules, schedulers: fencing.schedulers };
  const observation = await waiting(node, name, `EC2 to tell how ${ownerText(attachment)} is`, async () =>
    withChecks(context, await observe(context, volume, attachment)),
  );
  const decision = decide(rules, observation);
  const owner = ownerOf(attachment);
  return {
    ...readOut(rules, observation, decision),
    owner: owner && {
      ...owner,
      instanceName: observation.owner?.tags['Name'] || undefined,
      address: observation.owner?.privateIp,
    },
    paused: observation.paused,
    outcome: decision.kind,
    reason: decision.reason,
    todo: 'todo' in decision ? decision.todo : undefined,
  };
}

function ownerOf(attachment: Attachment | undefined): Explanation['owner'] {
  if (attachment === undefined) return undefined;
  const { device, attachTime } = attachment;
  return { instanceId: ownerText(attachment), device, attachTime };
}

function policyText({ settings }: Node, policy: FencePolicy): string {
  return policy === settings.fencePolicy
    ? `${policy} (this daemon's DVE_FENCE_POLICY)`
    : `${policy} (the volume's own; this daemon's is ${settings.fencePolicy})`;
}

type Answer = Pick<Explanation, 'outcome' | 'reason' | 'todo'>;
type Judged = Answer & Reading & Pick<Explanation, 'paused'> & Partial<Pick<Explanation, 'owner'>>;

/** The answer where no owner has to be judged, because it is here. */
function withoutOwner(node: Node, name: string, attachment: Attachment | undefined): Answer | undefined {
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
  return undefined;
}

/** With what a Mount here would be refused before it looks at the owner. */
async function refusal(node: Node, name: string, volume: EbsVolume): Promise<Answer | undefined> {
  // What a Mount waits for meanwhile stays as it is.
  const reading = { ...node, waits: new Map<string, string>() };
  try {
    await refuseWhileDraining(reading, name, undefined);
    refuseForeign(reading, name, volume);
    await roomHere(reading, name, volume);
    return undefined;
  } catch (error) {
    if (!isCode(error, 'DRAINING', 'WRONG_ZONE', 'ATTACHED_ELSEWHERE', 'NODE_FULL')) throw error;
    return { outcome: 'refuse', reason: error.parts.why, todo: error.parts.todo };
  }
}
