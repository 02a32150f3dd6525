import type { CallOptions, OneAttempt } from '../ebs/types.ts';
import type { DriverError } from '../errors.ts';
import type { FenceCall, Subject } from './audit.ts';
import { ageOf, type Job, refused, type Sight } from './job.ts';
import { lane } from './observe.ts';
import type { Evidence } from './types.ts';

/** A call that others may feel, and the look that allows it. */
interface Act {
  readonly checked: Sight;
  readonly call: FenceCall;
  readonly evidence: Evidence;
  readonly force: boolean;
  /**
   * A look like the one that allows it, undefined when it no longer says the same. With it the call may wait for its turn
   * for as long as a takeover waits: it is looked again then, right before it is sent.
   */
  readonly again?: (() => Promise<Sight | undefined>) | undefined;
}

type SendOptions = Pick<CallOptions, 'signal' | 'lane' | 'stillValid'> & { readonly inTurn?: OneAttempt };

/** A look this old is made again where that can be done, in milliseconds: most calls have their turn at once. */
const freshMs = 2000;

/**
 * Makes a call that others may feel: written down first, and sent only while the check that allows it is fresh, for
 * anything may have held this process up meanwhile.
 * @returns false when it was too late; the call may have been made all the same, which fresh evidence will show.
 * @throws DriverError JOURNAL_FAILED and DRAINING, with nothing sent; ATTACHED_ELSEWHERE when it has been too late for ten
 * minutes; what the call throws.
 */
export async function sendInTime(
  job: Job,
  subject: Subject,
  act: Act,
  send: (options: SendOptions) => Promise<unknown>,
): Promise<boolean> {
  const { context } = job;
  const { call } = act;
  const since = job.lateSince ?? performance.now();
  await context.mayGoOn();
  await context.audit.calling(subject, call, act.evidence, act.force);
  const late = new AbortController();
  job.lateSince = undefined;
  try {
    await (act.again === undefined ? whileFresh(job, act, late, send) : lookingInTurn(job, act, late, send));
    return true;
  } catch (error) {
    if (error !== late.signal.reason) throw error;
    job.lateCalls += 1;
    job.lateSince = since;
    await context.audit.ended(
      subject,
      `aborted: ${call} was not sent, or not answered, in time after the check that allowed it`,
    );
    if (performance.now() - job.lateSince >= context.timings.waitMs) throw alwaysLate(job, subject, call);
    return false;
  }
}

async function whileFresh(
  { context }: Job,
  { checked }: Act,
  late: AbortController,
  send: (options: SendOptions) => Promise<unknown>,
): Promise<void> {
  const left = () => context.timings.sendMs - ageOf(checked);
  // The call waits for its turn, and the timer does not see that this machine was hibernated meanwhile.
  const stillValid = () => {
    if (left() <= 0) late.abort();
    return !late.signal.aborted;
  };
  const timer = setTimeout(() => late.abort(), Math.max(0, left()));
  try {
    if (!stillValid()) throw late.signal.reason;
    await send({ signal: late.signal, ...lane, stillValid });
  } finally {
    clearTimeout(timer);
  }
}

async function lookingInTurn(
  { context }: Job,
  { checked, again }: Act,
  late: AbortController,
  send: (options: SendOptions) => Promise<unknown>,
): Promise<void> {
  let allowed: Sight | undefined = checked;
  const inTurn: OneAttempt = async (attempt) => {
    if (allowed === undefined || ageOf(allowed) >= freshMs) {
      allowed = await again?.();
      await context.mayGoOn();
    }
    const left = allowed === undefined ? 0 : context.timings.sendMs - ageOf(allowed);
    if (left <= 0) late.abort();
    late.signal.throwIfAborted();
    const timer = setTimeout(() => late.abort(), left);
    return attempt().finally(() => clearTimeout(timer));
  };
  const timer = setTimeout(() => late.abort(), context.timings.waitMs);
  await send({ signal: late.signal, ...lane, inTurn }).finally(() => clearTimeout(timer));
}

function alwaysLate(job: Job, subject: Subject, call: FenceCall): DriverError {
  const { sendMs, waitMs } = job.context.timings;
  const why = `for ${Math.round(waitMs / 60_000)} minutes ${call} could not be sent within ${sendMs / 1000} s of the look that allows it: EC2 throttles the calls of the account, or this machine is held up`;
  return refused(job, subject, why, "Find out what else uses up the account's EC2 request quota, then try again");
}
