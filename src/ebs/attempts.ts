import { setTimeout as sleep } from 'node:timers/promises';
import type { Call, SendOptions } from './call.ts';
import type { Pacer } from './pacer.ts';
import { countAttempts, isAnswer, retryOf } from './retries.ts';

/** Failures for other reasons than the rate after which a call is given up. */
const maxFailures = 4;
const firstDelayMs = 100;
/** How long a call that EC2 refuses for its rate is tried again: a mount has 110 s, and needs the rest for itself. */
const patienceMs = 60_000;

/**
 * Sends a call, each attempt in its turn, until EC2 answers it for good. Also a call that changes something is repeated
 * when its answer was lost: its ClientToken or the state it leaves makes that harmless, or an error that callers tell
 * apart.
 * @throws what the last attempt failed with; the signal's reason when aborted between attempts.
 */
export async function sendUntilAnswered<T>(
  pacer: Pacer,
  action: string,
  call: Call,
  send: (options: SendOptions) => Promise<T>,
): Promise<T> {
  const entrant = pacer.entrant(call);
  const patience = new Patience(call.signal);
  let failures = 0;
  try {
    for (let attempt = 1; ; attempt += 1) {
      await pacer.turn(action, entrant, patience.signal);
      const outcome = await attemptOnce(pacer, action, call, send);
      if (outcome.failed === undefined) return outcome.answer;
      const { error, retry } = outcome.failed;
      countAttempts(error, attempt);
      if (retry === 'rate') {
        patience.begin(error);
        continue;
      }
      failures += 1;
      if (retry === undefined || failures >= maxFailures) throw error;
      await pause(failures, call.signal);
    }
  } finally {
    patience.end();
  }
}

type Outcome<T> =
  | { readonly failed?: undefined; readonly answer: T }
  | { readonly failed: { readonly error: unknown; readonly retry: ReturnType<typeof retryOf> } };

async function attemptOnce<T>(
  pacer: Pacer,
  action: string,
  { signal }: Call,
  send: (options: SendOptions) => Promise<T>,
): Promise<Outcome<T>> {
  const sentAt = performance.now();
  try {
    const answer = await send(signal === undefined ? {} : { abortSignal: signal });
    pacer.accepted(action, sentAt);
    return { answer };
  } catch (error) {
    const retry = retryOf(error);
    if (retry === 'rate') pacer.refused(action, sentAt);
    else if (isAnswer(error)) pacer.accepted(action, sentAt);
    return { failed: { error, retry } };
  }
}

/** Up to a time that doubles with each failure, at random (full jitter). */
async function pause(failures: number, signal: AbortSignal | undefined): Promise<void> {
  const delayMs = Math.random() * firstDelayMs * 2 ** (failures - 1);
  await sleep(delayMs, undefined, { signal }).catch(() => signal?.throwIfAborted());
}

/** Ends the wait for a turn some time after EC2 first refused the call, with what it refused it with last. */
class Patience {
  readonly #caller: AbortSignal | undefined;
  #signal: AbortSignal | undefined;
  #timer: NodeJS.Timeout | undefined;
  #refusal: unknown;

  constructor(caller: AbortSignal | undefined) {
    this.#caller = caller;
    this.#signal = caller;
  }

  get signal(): AbortSignal | undefined {
    return this.#signal;
  }

  begin(refusal: unknown): void {
    this.#refusal = refusal;
    if (this.#timer !== undefined) return;
    const deadline = new AbortController();
    this.#timer = setTimeout(() => deadline.abort(this.#refusal), patienceMs);
    this.#signal = this.#caller === undefined ? deadline.signal : AbortSignal.any([this.#caller, deadline.signal]);
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}
