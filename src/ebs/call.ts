import { sendUntilAnswered } from './attempts.ts';
import { toDriverError } from './errors.ts';
import { Pacer } from './pacer.ts';
import { isAnswer } from './retries.ts';
import type { Lane } from './types.ts';

/** What the caller of {@link openEc2} may listen with; a pino logger fits. */
export interface CallLog {
  info(fields: object, message: string): void;
  debug(fields: object, message: string): void;
}

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
}

/** What the SDK's send takes besides the command. */
export type SendOptions = { readonly abortSignal?: AbortSignal };

/** Makes one call of the EC2 API action, as "AttachVolume"; `send` is one attempt. */
export type Caller = <T>(action: string, call: Call, send: (options: SendOptions) => Promise<T>) => Promise<T>;

/**
 * Makes the wrapper around every EC2 call: it paces and repeats it, hands the signal to the SDK, logs how the call went,
 * and gives DriverErrors. When the caller's signal ended the call, its reason is thrown as it is.
 */
export function caller(log: CallLog | undefined): Caller {
  const pacer = new Pacer();
  return async (action, call, send) => {
    const started = performance.now();
    const logged = (outcome: object) => {
      const ms = Math.round(performance.now() - started);
      log?.debug({ action, ms, ...outcome }, `EC2: ${call.tried}`);
    };
    const onThrottled = () => {
      log?.info({ action }, `EC2 throttles the calls of the account, and is asked again: ${call.tried}`);
      call.onThrottled?.();
    };
    try {
      const answer = await sendUntilAnswered(pacer, action, call, send, onThrottled);
      logged({});
      return answer;
    } catch (error) {
      if (call.signal?.aborted && !isAnswer(error)) {
        logged({ aborted: true });
        throw call.signal.reason;
      }
      const driverError = toDriverError(error, { action, tried: call.tried });
      logged({ code: driverError.code, why: driverError.parts.why });
      throw driverError;
    }
  };
}
