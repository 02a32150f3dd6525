import { setTimeout as sleep } from 'node:timers/promises';
import type { Attachment, EbsVolume } from '../ebs/types.ts';
import { DriverError, toDriverError } from '../errors.ts';
import { type Events, publish, stopwatch } from '../events.ts';
import { confirmCommand } from './advice.ts';
import type { Subject } from './audit.ts';
import { decide } from './decide.ts';
import { detachOwner, detachTerminated, untilDetached } from './detach.ts';
import { announced, withdraw } from './intents.ts';
import {
  createJob,
  doing,
  isKind,
  type Job,
  look,
  lookAtOwner,
  mayLetGo,
  type Outcome,
  readVolume,
  refused,
  type Sight,
  type SightOf,
  stepsFor,
  subjectOf,
  type TakeoverContext,
} from './job.ts';
import { stillThere, withChecks } from './observe.ts';
import { isOverdue, leavePlace, stopByForce, stopOwner, takePlace } from './stonith.ts';
import { pauseBefore } from './timings.ts';
import type { Evidence } from './types.ts';

/** More than this many tries to do something mean that the evidence keeps changing under us. */
const maxAttempts = 10;

/** A takeover that freed a volume: what its next owner records, or clears away. */
export interface Fenced {
  readonly fenceId: string;
  readonly subject: Subject;
  readonly evidence: Evidence;
  /** The value of this node's intent tag; undefined where none was written. */
  readonly intent: string | undefined;
}

export interface Takeover {
  /** As EC2 shows it afterwards: free, or with a newer attachment that must be judged anew. */
  readonly volume: EbsVolume;
  /** Undefined when the owner let go by itself. */
  readonly fenced: Fenced | undefined;
}

/**
 * Frees a volume that another instance has: gives a running owner a moment to let go and one that stops, shuts down or
 * detaches its time; takes it from an owner that is proven to be finished with it; stops or robs one where the policy
 * says so. Any node can go on with what another began, from EC2's state alone.
 * @throws DriverError ATTACHED_ELSEWHERE with the owner and what to do; NODE_FULL; DRAINING; JOURNAL_FAILED; STILL_WORKING for a
 * detach that is stuck; EC2_* when EC2 cannot be asked for long, which is never taken for evidence.
 */
export async function takeOver(context: TakeoverContext, volume: EbsVolume, attachment: Attachment): Promise<Takeover> {
  await context.room();
  const job = createJob(context);
  const subject = subjectOf(job, attachment);
  const listed = { ...subject, since: new Date().toISOString() };
  context.underWay.add(listed);
  const seconds = stopwatch();
  const tell = (outcome: Events['takeover']['outcome']) =>
    publish('takeover', { policy: context.rules.policy, outcome, seconds: seconds() });
  try {
    const { volume: now, evidence } = await untilOver(job, volume, attachment);
    const proof = job.stopped === undefined ? evidence : 'suspected';
    if (proof === undefined) {
      void context.audit.ended(subject, 'the owner let go');
      await withdraw(job, volume.id);
      tell('let-go');
      return { volume: now, fenced: undefined };
    }
    void context.audit.ended(subject, 'detached');
    tell('fenced');
    return { volume: now, fenced: { fenceId: job.fenceId, subject, evidence: proof, intent: job.intent?.value } };
  } catch (error) {
    tell(toDriverError(error, 'take it over').code);
    const failed = `failed: ${error instanceof Error ? error.message : error}`;
    if (job.attempts > 0) await context.audit.ended(subject, failed);
    await withdraw(job, volume.id);
    throw error;
  } finally {
    context.underWay.delete(listed);
    job.leave?.();
  }
}

/** Rounds, each with fresh evidence, until this attachment is over. */
async function untilOver(job: Job, found: EbsVolume, first: Attachment): Promise<Exclude<Outcome, 'again'>> {
  let volume: EbsVolume | undefined = found;
  const failures = { count: 0 };
  for (;;) {
    const known = volume;
    volume = undefined;
    const outcome = await patiently(job, failures, async () => {
      const now = known ?? (await readVolume(job, first.volumeId));
      const same = stillThere(now, first);
      return same === undefined ? { volume: now } : round(job, now, same);
    });
    if (outcome !== 'again') return outcome;
  }
}

/** EC2 that cannot be asked for a while ends nothing: the round is begun again, a few times. */
async function patiently(job: Job, failures: { count: number }, work: () => Promise<Outcome>): Promise<Outcome> {
  const { log, timings, name } = job.context;
  try {
    const outcome = await work();
    failures.count = 0;
    return outcome;
  } catch (error) {
    if (!(error instanceof DriverError && error.transient && error.code.startsWith('EC2_'))) throw error;
    if (failures.count >= timings.retriesMs.length) throw error;
    const pause = pauseBefore(timings.retriesMs, failures.count) * (0.5 + Math.random() / 2);
    failures.count += 1;
    log.warn({ op: 'fence', volume: name, fenceId: job.fenceId, err: error }, 'EC2 cannot be asked; trying again');
    await doing(job, undefined, `EC2 to answer: ${error.parts.why}`, pause, () => sleep(pause));
    return 'again';
  }
}

async function round(job: Job, volume: EbsVolume, attachment: Attachment): Promise<Outcome> {
  const sight = await look(job, volume, attachment);
  if (isKind(sight, 'refuse')) return handOver(job, sight);
  if (isKind(sight, 'wait') || isBehind(job, sight)) return waitAWhile(job, sight);
  if (isKind(sight, 'stop') && !(await takePlace(job))) return 'again';
  if (isKind(sight, 'take')) leavePlace(job, sight);
  job.attempts += 1;
  if (job.attempts === 1) {
    const subject = subjectOf(job, attachment);
    job.context.log.info({ op: 'fence', ...subject, why: sight.decision.reason }, 'a takeover begins');
  }
  if (job.attempts - job.lateCalls > maxAttempts) {
    throw refused(
      job,
      attachment,
      `${sight.decision.reason}, but it is another thing at each look`,
      'Try again in a minute',
    );
  }
  if (isKind(sight, 'take')) return takeFinished(job, sight);
  if (isKind(sight, 'stop')) {
    job.steps = stepsFor('suspected', job.context.rules.settleMs);
    return stopOwner(job, sight);
  }
  return isKind(sight, 'pull') ? pull(job, sight) : 'again';
}

/** A read that still shows an owner running just after it was told to stop. */
function isBehind({ stopped, context }: Job, sight: Sight): boolean {
  return isKind(sight, 'stop') && stopped !== undefined && sight.at - stopped.at < context.timings.visibleMs;
}

/** A planned move reaches the new node before the old one has finished. */
async function handOver(job: Job, sight: SightOf<'refuse'>): Promise<Outcome> {
  const { observation } = sight;
  if (!job.asked && mayLetGo(observation)) return letGo(job, observation.attachment);
  const told = decide(job.context.rules, await withChecks(job.context, observation));
  const { reason, todo } = told.kind === 'refuse' ? told : sight.decision;
  throw refused(job, observation.attachment, reason, todo);
}

async function letGo(job: Job, attachment: Attachment): Promise<Outcome> {
  const { handoverMs: forMs, handoverLookMs: everyMs } = job.context.timings;
  job.asked = true;
  const what = `${attachment.instanceId} to let go of ${attachment.volumeId}`;
  return doing(job, undefined, what, forMs, async () => {
    const volume = await untilDetached(job, attachment, [{ forMs, everyMs, delayMs: everyMs }]);
    return volume === undefined ? 'again' : { volume };
  });
}

/** What changes in the owner, or in EC2's view of it, gets its time. */
async function waitAWhile(job: Job, sight: Sight): Promise<Outcome> {
  const { timings, log } = job.context;
  const { attachment } = sight.observation;
  const { since, looks } = job.wait ?? { since: performance.now(), looks: 0 };
  const waited = performance.now() - since;
  if (isOverdue(job, sight, waited)) return stopByForce(job, sight);
  if (waited >= timings.waitMs) {
    const minutes = Math.round(waited / 60_000);
    const error = refused(
      job,
      attachment,
      `${sight.decision.reason}, and nothing has changed for ${minutes} minutes`,
      `Look at ${attachment.instanceId} in the EC2 console; once it surely runs nothing any more, say so with ${confirmCommand({ name: job.context.name, instanceId: attachment.instanceId ?? '' })} --even-if-running`,
    );
    log.error({ op: 'fence', fenceId: job.fenceId, err: error }, 'a takeover needs an operator');
    throw error;
  }
  job.wait = { since, looks: looks + 1 };
  const step = job.stopped === undefined ? undefined : 'stop';
  await doing(job, step, `a change, since ${sight.decision.reason}`, timings.waitMs - waited, () =>
    sleep(pauseBefore(timings.waitLooksMs, looks)),
  );
  return 'again';
}

/** From an owner that is finished with it. */
async function takeFinished(job: Job, sight: SightOf<'take'>): Promise<Outcome> {
  const { evidence } = sight.decision;
  if (job.stopped === undefined) job.steps = stepsFor(evidence, sight.decision.settleMs);
  const isStopped = evidence === 'stopped' || evidence === 'stopped-by-force';
  const seen = isStopped ? await lookAgain(job, 'look again', sight, job.context.timings.recheckMs) : sight;
  // What a host still had in hand when its guest was cut off may arrive late.
  const settleMs = seen?.decision.settleMs ?? 0;
  const settled = seen !== undefined && settleMs > 0 ? await lookAgain(job, 'settle', seen, settleMs) : seen;
  if (settled === undefined) return 'again';
  return evidence === 'terminated' ? detachTerminated(job, settled) : detachOwner(job, settled);
}

/** A later look at an owner that is over, in the same boot; undefined when it no longer says the same. */
async function lookAgain(
  job: Job,
  step: 'look again' | 'settle',
  before: SightOf<'take'>,
  ms: number,
): Promise<SightOf<'take'> | undefined> {
  const { attachment, owner } = before.observation;
  const what = step === 'settle' ? 'late writes' : 'a second look';
  return doing(job, step, `${what}, since ${before.decision.reason}`, ms, async () => {
    // What is left to settle is from EC2's answer on, not from when it was asked.
    await sleep(step === 'settle' ? ms : Math.max(0, ms - (performance.now() - before.at)));
    const now = await lookAtOwner(job, before);
    if (isKind(now, 'take') && now.observation.owner?.launchTime === owner?.launchTime) return now;
    await job.context.audit.ended(subjectOf(job, attachment), 'aborted: the second look did not confirm the first');
    return undefined;
  });
}

/** From an owner that may live, under the policy preempt: asked first, announced, then detached. */
async function pull(job: Job, sight: SightOf<'pull'>): Promise<Outcome> {
  job.steps = stepsFor('preempted', 0);
  if (!job.asked) return letGo(job, sight.observation.attachment);
  const second = await announced(job, 'pull', sight);
  return second === undefined ? 'again' : detachOwner(job, second);
}
