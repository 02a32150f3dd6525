import { setTimeout as sleep } from 'node:timers/promises';
import { DriverError } from '../../errors.ts';
import type { Facts } from './facts.ts';

/** `unknown`: it cannot be judged from here, or now; never taken for good or bad. */
export type Level = 'ok' | 'warn' | 'fail' | 'unknown';

/** What a check has found. Texts are for people, without a full stop. */
export interface Finding {
  readonly level: Level;
  readonly found: string;
  /** Parts of what was found, a line each. */
  readonly details?: readonly string[] | undefined;
  /** What to do, as an imperative sentence. */
  readonly todo?: string | undefined;
}

export interface Check {
  /** One or two words. */
  readonly title: string;
  /** What it throws makes it unknown. */
  run(facts: Facts): Promise<Finding>;
}

export interface Result extends Finding {
  readonly title: string;
}

/** After the deadline, for checks to say what its end means to them. */
const graceMs = 200;

/**
 * Makes all checks side by side; gives their results in their order. Never throws.
 * @param deadline ends those that are not done when it is aborted; its reason says why.
 */
export async function runChecks(checks: readonly Check[], facts: Facts, deadline: AbortSignal): Promise<Result[]> {
  const results = await Promise.all(
    checks.map(async (check) => ({
      title: check.title,
      ...(await Promise.race([made(check, facts), late(deadline)])),
    })),
  );
  return results.map((result) => ({ ...result, found: withoutRepetition(result, results) }));
}

const notJudged = 'cannot be judged: ';

/** What one check tells as a failure keeps others from being judged: they need not tell it again. */
function withoutRepetition({ level, found }: Result, results: readonly Result[]): string {
  const reason = found.startsWith(notJudged) ? found.slice(notJudged.length) : '';
  if (level !== 'unknown' || reason === '') return found;
  const cause = results.find((other) => other.level === 'fail' && other.found.includes(reason));
  return cause === undefined ? found : `${notJudged}see ${cause.title}`;
}

async function made(check: Check, facts: Facts): Promise<Finding> {
  try {
    return await check.run(facts);
  } catch (error) {
    return { level: 'unknown', found: `${notJudged}${reasonOf(error)}` };
  }
}

async function late(deadline: AbortSignal): Promise<Finding> {
  const ended = Promise.withResolvers<void>();
  deadline.addEventListener('abort', () => ended.resolve(), { once: true });
  if (!deadline.aborted) await ended.promise;
  await sleep(graceMs, undefined, { ref: false });
  return { level: 'unknown', found: `${notJudged}${reasonOf(deadline.reason)}` };
}

/** Why something failed, as a clause. */
export function reasonOf(error: unknown): string {
  if (error instanceof DriverError) return error.parts.why;
  return error instanceof Error ? error.message : String(error);
}

/** A failure as a finding: with what its error says to do. */
export function failed(error: unknown, level: Level = 'fail'): Finding {
  const todo = error instanceof DriverError ? error.parts.todo : undefined;
  return { level, found: reasonOf(error), todo };
}
