/** A decision and what it was made of, in sentences for an operator. Pure. */
import { findOwner, isClean } from './evidence.ts';
import { mayLetGo, type Step, stepsFor } from './job.ts';
import { confirmationOf } from './records.ts';
import { factsOf, heldUntil, suspicionsOf, vetoesOnPull, vetoesOnStop } from './suspicion.ts';
import { fenceTimings } from './timings.ts';
import type { Decision, Observation, Owned, Rules } from './types.ts';

export interface Reading {
  /** What speaks for taking the volume from its owner, proofs first. */
  readonly evidenceFor: readonly string[];
  readonly evidenceAgainst: readonly string[];
  /** What a Mount would do, in order. */
  readonly steps: readonly string[];
}

/** Reads a decision out: everything that was weighed, also what did not tip it. */
export function readOut(rules: Rules, observation: Observation, decision: Decision): Reading {
  const { instanceId } = observation.attachment;
  if (instanceId === undefined) return { evidenceFor: [], evidenceAgainst: [decision.reason], steps: refusal };
  const seen = { ...observation, instanceId };
  const evidenceFor = forTaking(rules, seen);
  return {
    evidenceFor,
    evidenceAgainst: againstTaking(rules, seen).filter((text) => !evidenceFor.includes(text)),
    steps: stepsOf(rules, seen, decision),
  };
}

function forTaking(rules: Rules, seen: Owned): string[] {
  const finding = findOwner(rules, seen);
  const confirmed = confirmationOf(seen.volume.tags, seen.attachment);
  return [
    ...(isClean(seen) ? [`proof: ${seen.instanceId} declared this attachment finished`] : []),
    ...(finding.kind === 'proven' ? [`proof: ${finding.reason}`] : []),
    ...(confirmed !== undefined && !(finding.kind === 'proven' && finding.evidence === 'confirmed')
      ? [`proof: an operator confirmed that ${seen.instanceId} is finished with it: ${confirmed.reason}`]
      : []),
    ...suspicionsOf(seen).map(({ detail }) => `suspicion: ${detail}`),
  ];
}

function againstTaking(rules: Rules, seen: Owned): string[] {
  const { owner, paused, volume, instanceId } = seen;
  const finding = findOwner(rules, seen);
  const suspected = new Set(suspicionsOf(seen).map(({ detail }) => detail));
  const texts: string[] = [];
  if (rules.policy === 'never') texts.push('the policy never: only a clean tag of the owner counts');
  if (paused !== undefined) texts.push(`fencing is paused in this cluster: ${paused}`);
  if (volume.multiAttach || volume.attachments.length > 1) texts.push('it is a Multi-Attach volume');
  if (owner?.state === 'running') texts.push(`EC2 shows ${instanceId} as running`);
  if (finding.kind === 'changing' || finding.kind === 'doubtful' || finding.kind === 'unlisted') {
    texts.push(`${instanceId}, ${finding.reason}`);
  }
  if (finding.kind === 'proven') return texts;
  const facts = factsOf(seen).filter((fact) => !suspected.has(fact));
  return [...texts, ...facts.map((fact) => `no suspicion: ${fact}`), ...hindrances(rules, seen)];
}

/** What only matters short of a proof. */
function hindrances(rules: Rules, seen: Owned): string[] {
  const { policy } = rules;
  if (seen.owner === undefined || (policy !== 'stonith' && policy !== 'preempt')) return [];
  const vetoes = policy === 'stonith' ? vetoesOnStop(rules, seen, seen.owner) : vetoesOnPull(seen);
  const until = heldUntil(seen);
  const young = until === undefined ? [] : [`the attachment is younger than ten minutes (until ${until})`];
  return [...vetoes.map(({ reason }) => reason), ...young];
}

const refusal = ['answer with an error that says what is said above'];

function stepsOf(rules: Rules, seen: Owned, decision: Decision): readonly string[] {
  const { attachment, instanceId } = seen;
  const { handoverMs, waitMs } = fenceTimings;
  if (decision.kind === 'refuse') {
    if (!mayLetGo(seen)) return refusal;
    return [`wait up to ${handoverMs / 1000} s for ${instanceId} to let go by itself`, ...refusal];
  }
  if (decision.kind === 'wait') return [`look again, for up to ${waitMs / 60_000} minutes`, ...refusal];
  const settleMs = decision.kind === 'take' ? decision.settleMs : rules.settleMs;
  const what = `${attachment.volumeId} from ${instanceId} (${attachment.device})`;
  const texts = textsOf(instanceId, what, Math.ceil(settleMs / 1000));
  const steps = stepsFor(decision.evidence, settleMs).map((step) => texts[step]);
  return [...steps, 'check its filesystem', 'mount it'];
}

function textsOf(owner: string, what: string, settleSeconds: number): Readonly<Record<Step, string>> {
  const { visibleMs, gracefulMs, recheckMs } = fenceTimings;
  return {
    announce: `announce it in a tag, and look again after ${visibleMs / 1000} s`,
    stop: `stop ${owner}: gracefully, after ${gracefulMs / 60_000} minutes by force`,
    'look again': `look at ${owner} a second time after ${recheckMs / 1000} s`,
    settle: `wait up to ${settleSeconds} s for late writes of ${owner}`,
    detach: `detach ${what}`,
    attach: 'attach it here: whoever is first has it',
  };
}
