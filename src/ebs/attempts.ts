import { setTimeout as sleep } from 'node:timers/promises';
import { DriverError } from '../errors.ts';
import { type Events, publish, stopwatch } from '../events.ts';
import { toDriverError } from './errors.ts';
import type { Over, Pacer } from './pacer.ts';
import { countAttempts, isAnswer, retryOf } from './retries.ts';
import type { Lane, OneAttempt } from './types.ts';

/** One call of the EC2 API, as its caller wants it made. */
export interface Call {
  /** What is tried, to complete "cannot …". */
  readonly tried: string;
  readonly signal?: AbortSignal | undefined;
  /** "mount" unless told; it may improve while the call waits for its turn. */
  readonly lane?: Lane | undefined;
  /** Called when EC2 first refuses the call for its rate: from then on it may take minutes. */
  readonly onThrottled?: (() => void) | undefined;
  /** Asked at each attempt, once it has its turn, for that may come late; false ends the call. */
  readonly stillValid?: (() => boolean) | undefined;
  /** Sends its only attempt. */
  readonly once?: OneAttempt | undefined;
  /** Sends each attempt, once it has its turn. What it throws without having sent ends the call. */
  readonly inTurn?: OneAttempt | undefined;
}

/** What the SDK's send takes besides the command. */
export type SendOptions = { readonly abortSignal?: AbortSignal };

/** Failures for other reasons than the rate after which a call is given up. */
const maxFailures = 4;
const firstDelayMs = 100;
/**
 * How long a call that EC2 refuses for its rate is tried again, in milliseconds. A mount's caller is answered earlier,
 * with what it waits for, and the next one joins. A takeover tries again by itself, and says so; whoever asks for a list
 * waits himself, dockerd for 60 s: there the time counts from the start, since a mount that is refused goes before it.
 */
const patienceMs: Readonly<Record<Lane, number>> = { takeover: 60_000, mount: 600_000, list: 45_000 };

/**
 * Sends a call, each attempt in its turn, until EC2 answers it for good. Also a call that changes something is repeated
 * when its answer was lost: its ClientToken or the state it leaves makes that harmless, or an error that callers tell
 * apart.
 * @param onThrottled called when EC2 first refuses the call for its rate.
 * @throws what the last attempt failed with: a refusal for the rate only when every attempt was refused so, which proves
 * that the call took no effect; the signal's reason when aborted between attempts; DriverError EC2_UNAVAILABLE when the
 * call says that it is no longer valid.
 */
export async function sendUntilAnswered<T>(
  pacer: Pacer,
  action: string,
  call: Call,
  send: (options: SendOptions) => Promise<T>,
  onThrottled: () => void,
): Promise<T> {
  const entrant = pacer.entrant(call);
  const patience = new Patience(call);
  let failures = 0;
  try {
    for (let attempt = 1; ; attempt += 1) {
      const waited = stopwatch();
      const over = await pacer.turn(action, entrant, patience.signal);
      if (call.stillValid?.() === false) {
        over('served');
        throw outdated(call);
      }
      const outcome = await attemptOnce(over, action, call, send, waited());
      if (outcome.failed === undefined) return outcome.answer;
      const { error, retry } = outcome.failed;
      countAttempts(error, attempt);
      if (retry === 'rate') {
        if (patience.begin(error)) onThrottled();
        continue;
      }
      failures += 1;
      if (retry === undefined || failures >= maxFailures) throw error;
      patience.lost(error);
      await pause(failures, call.signal);
    }
  } finally {
    patience.end();
  }
}

/** It proves nothing about earlier attempts. */
function outdated({ tried }: Call): DriverError {
  return new DriverError('EC2_UNAVAILABLE', {
    tried,
    why: 'what it was based on no longer held when its turn came',
    todo: 'Try again',
  });
}

function neverSent(tried: string, afterMs: number): DriverError {
  return new DriverError('EC2_THROTTLED', {
    tried,
    why: `its turn has not come for ${afterMs / 1000} s: calls that go before it use up the rate that EC2 allows`,
    todo: 'Try again in a minute',
  });
}

type Outcome<T> =
  | { readonly failed?: undefined; readonly answer: T }
  | { readonly failed: { readonly error: unknown; readonly retry: ReturnType<typeof retryOf> } };

async function attemptOnce<T>(
  over: Over,
  action: string,
  call: Call,
  send: (options: SendOptions) => Promise<T>,
  waitedSeconds: number,
): Promise<Outcome<T>> {
  const { signal, once, inTurn: around = once } = call;
  let sentAt: number | undefined;
  const tell = (how: Pick<Events['ec2-call'], 'outcome' | 'why'>, since: number) =>
    publish('ec2-call', { action, ...how, seconds: (performance.now() - since) / 1000, waitedSeconds });
  const sendIt = () => {
    sentAt = performance.now();
    return send(signal === undefined ? {} : { abortSignal: signal });
  };
  try {
    const answer = await (around === undefined ? sendIt() : around(sendIt));
    over('served');
    tell({ outcome: 'ok' }, sentAt ?? performance.now());
    return { answer };
  } catch (error) {
    const retry = retryOf(error);
    over(retry === 'rate' ? 'refused' : 'served');
    if (sentAt === undefined) throw error;
    const { code: outcome, parts } = toDriverError(error, { action, tried: call.tried });
    tell(signal?.aborted && !isAnswer(error) ? { outcome: 'aborted' } : { outcome, why: parts.why }, sentAt);
    return { failed: { error, retry: once === undefined ? retry : undefined } };
  }
}

/** Up to a time that doubles with each failure, at random (full jitter). */
async function pause(failures: number, signal: AbortSignal | undefined): Promise<void> {
  const delayMs = Math.random() * firstDelayMs * 2 ** (failures - 1);
  await sleep(delayMs, undefined, { signal }).catch(() => signal?.throwIfAborted());
}

/** Ends the wait for a turn some time after EC2 first refused the call, with what is known then of how it failed. */
class Patience {
  readonly #call: Call;
  #signal: AbortSignal | undefined;
  #timer: NodeJS.Timeout | undefined;
  #refusal: unknown;
  #lost: unknown;

  constructor(call: Call) {
    this.#call = call;
    this.#signal = call.signal;
    if (call.lane === 'list') this.#start();
  }

  get signal(): AbortSignal | undefined {
    return this.#signal;
  }

  /** EC2 refused an attempt for its rate. @returns true when that is the first. */
  begin(refusal: unknown): boolean {
    const isFirst = this.#refusal === undefined;
    this.#refusal = refusal;
    if (this.#timer === undefined) this.#start();
    return isFirst;
  }

  #start(): void {
    const { signal, lane = 'mount', tried } = this.#call;
    const deadline = new AbortController();
    this.#timer = setTimeout(
      () => deadline.abort(this.#lost ?? this.#refusal ?? neverSent(tried, patienceMs[lane])),
      patienceMs[lane],
    );
    this.#signal = signal === undefined ? deadline.signal : AbortSignal.any([signal, deadline.signal]);
  }

  /** An attempt failed otherwise: it may have taken effect. */
  lost(error: unknown): void {
    this.#lost = error;
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}
