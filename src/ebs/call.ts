import { type Call, type SendOptions, sendUntilAnswered } from './attempts.ts';
import { toDriverError } from './errors.ts';
import { Pacer } from './pacer.ts';
import { isAnswer } from './retries.ts';

/** What the caller of {@link openEc2} may listen with; a pino logger fits. */
export interface CallLog {
  info(fields: object, message: string): void;
  debug(fields: object, message: string): void;
}

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
      log?.info(
        { action, code: 'EC2_THROTTLED' },
        `EC2 throttles the calls of the account, and is asked again: ${call.tried}`,
      );
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
