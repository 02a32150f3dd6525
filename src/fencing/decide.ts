import { tagKeys } from '../ebs/tags.ts';
import type { Instance } from '../ebs/types.ts';
import { detachByHand, knownAs, stopIt } from './advice.ts';
import { findOwner, isClean } from './evidence.ts';
import { confirmationOf } from './records.ts';
import {
  factsOf,
  heldUntil,
  independentSources,
  suspicionsOf,
  type Veto,
  vetoesOnPull,
  vetoesOnStop,
} from './suspicion.ts';
import type { Decision, Evidence, Observation, Owned, Rules } from './types.ts';

/**
 * May this volume be taken from its owner, and how? Pure and total: the same observation gives the same answer, EC2's
 * times are compared with EC2's only, and what is unknown is never evidence. `stop` and `pull` need `health`, whose
 * answer carries EC2's clock. Proof is never vetoed; only the policy `never` and a pause hold it up, and only the
 * owner's own clean tag passes those.
 */
export function decide(rules: Rules, observation: Observation): Decision {
  const { attachment, volume } = observation;
  const { instanceId } = attachment;
  if (instanceId === undefined) {
    return refuse(
      `it is attached to a resource that AWS manages (device ${attachment.device}, since ${attachment.attachTime}), which cannot be detached through EC2`,
      'Stop the ECS or Fargate task that uses it',
    );
  }
  if (volume.multiAttach || volume.attachments.length > 1) {
    return refuse(
      `it is a Multi-Attach volume, attached to ${volume.attachments.map((each) => each.instanceId).join(' and ')}`,
      'Once nothing uses it, detach it everywhere and turn Multi-Attach off: a filesystem on it has one writer',
    );
  }
  const seen = { ...observation, instanceId };
  if (isClean(seen)) return take('clean', `${instanceId} declared this attachment finished`, 0);
  const decision = bar(rules, seen) ?? judge(rules, seen);
  // A detach cannot be called back, whoever asked for it: short of a proof, it is only to be seen through.
  const lettingGo = attachment.state !== 'attached' && attachment.state !== 'attaching';
  if (decision.kind === 'take' || !lettingGo) return decision;
  return wait(
    `EC2 is detaching it from ${who(seen)}`,
    `Try again once ${instanceId} has let go of it; if it never does, stop the instance`,
  );
}

const who = ({ instanceId, attachment }: Owned) =>
  `${instanceId} (device ${attachment.device}, since ${attachment.attachTime})`;
const attachedTo = (seen: Owned) => `it is attached to ${who(seen)}`;

/** What no evidence but the owner's own clean tag passes. */
function bar({ policy }: Rules, seen: Owned): Decision | undefined {
  const { paused, volume, attachment } = seen;
  if (policy === 'never') {
    const tag = volume.tags[tagKeys.fencePolicy];
    const origin = tag === undefined ? '' : ` (the volume's tag ${tagKeys.fencePolicy} says ${JSON.stringify(tag)})`;
    const ignored =
      confirmationOf(volume.tags, attachment) === undefined ? '' : ", under which an operator's word does not count";
    return refuse(`${attachedTo(seen)} and the fence policy is never${origin}${ignored}`, detachByHand(seen));
  }
  if (paused === undefined) return undefined;
  return refuse(
    `${attachedTo(seen)} and an operator has paused fencing: ${paused}`,
    'Let it go on with docker-volume-ebs fence resume',
    'paused',
  );
}

function judge(rules: Rules, seen: Owned): Decision {
  const finding = findOwner(rules, seen);
  switch (finding.kind) {
    case 'proven':
      return take(finding.evidence, finding.reason, finding.settleMs);
    case 'changing':
      return wait(`${attachedTo(seen)}, ${finding.reason}`, finding.todo);
    case 'unlisted':
      return refuse(`${attachedTo(seen)}, ${finding.reason}`, finding.todo);
    case 'doubtful':
      // There is nothing to stop any more: short of preempt, only a person can tell.
      if (rules.policy === 'preempt') return judgePull(seen, `${attachedTo(seen)}, ${finding.reason}`);
      return refuse(`${attachedTo(seen)}, ${finding.reason}`, finding.todo);
    case 'running':
      return judgeRunning(rules, seen, finding.owner);
  }
}

function judgeRunning(rules: Rules, seen: Owned, owner: Instance): Decision {
  const facts = [...knownAs(owner), ...factsOf(seen)];
  const situation = `${attachedTo(seen)}, which is running${facts.length === 0 ? '' : ` (${facts.join('; ')})`}`;
  switch (rules.policy) {
    case 'preempt':
      return judgePull(seen, situation);
    case 'stonith':
      return judgeStop(rules, seen, owner, situation);
    default:
      return refuse(situation, stopIt(owner.id));
  }
}

function judgeStop(rules: Rules, seen: Owned, owner: Instance, situation: string): Decision {
  const suspicions = suspicionsOf(seen);
  const sources = independentSources(suspicions);
  const needed = Math.max(1, rules.suspicions);
  if (!(sources >= needed)) {
    return refuse(
      `${situation}; of the independent sources that must suspect it before it is stopped there are ${sources} of ${needed}`,
      stopIt(owner.id),
    );
  }
  const held = holdUp(vetoesOnStop(rules, seen, owner), seen, situation);
  if (held !== undefined) return held;
  const details = suspicions.map(({ detail }) => detail);
  return {
    kind: 'stop',
    evidence: 'suspected',
    reason: `${attachedTo(seen)}, which ${sources} independent ${sources === 1 ? 'source suspects' : 'sources suspect'}: ${details.join('; ')}`,
    suspicions: details,
  };
}

function judgePull(seen: Owned, situation: string): Decision {
  const held = holdUp(vetoesOnPull(seen), seen, situation);
  if (held !== undefined) return held;
  return {
    kind: 'pull',
    evidence: 'preempted',
    reason: `${situation}; the fence policy is preempt, so that it loses the disk and what it has not written yet`,
  };
}

/** What keeps us from acting on an owner that may live: a veto, or an attachment too young. */
function holdUp(vetoes: readonly Veto[], seen: Owned, situation: string): Decision | undefined {
  const [veto] = vetoes;
  if (veto !== undefined) {
    return refuse(`${situation}; but ${vetoes.map(({ reason }) => reason).join(', and ')}`, veto.todo, veto.source);
  }
  const until = heldUntil(seen);
  if (until === undefined) return undefined;
  if (until === 'unknown') {
    return wait(`${situation}; EC2 has not told how old the attachment is`, 'Try again in half a minute');
  }
  return wait(
    `${situation}; no attachment younger than ten minutes is taken without proof`,
    `Try again after ${until}`,
  );
}

function take(evidence: Evidence, reason: string, settleMs: number): Decision {
  return { kind: 'take', evidence, reason, settleMs };
}

function wait(reason: string, todo: string): Decision {
  return { kind: 'wait', reason, todo };
}

function refuse(reason: string, todo: string, veto?: string): Decision {
  return { kind: 'refuse', reason, todo, veto };
}
