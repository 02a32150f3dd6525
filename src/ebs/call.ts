import { toDriverError } from './errors.ts';

/** What the caller of {@link openEc2} may listen with; a pino logger fits. */
export interface CallLog {
  debug(fields: object, message: string): void;
}

export interface Call {
  /** The EC2 API action, as "AttachVolume". */
  readonly action: string;
  /** What is tried, to complete "cannot …". */
  readonly tried: string;
  readonly signal: AbortSignal | undefined;
}

/** What the SDK's send takes besides the command. */
type SendOptions = { readonly abortSignal?: AbortSignal };

export type Caller = <T>(call: Call, send: (options: SendOptions) => Promise<T>) => Promise<T>;

/**
 * Makes the wrapper around every EC2 call: it hands the signal to the SDK, logs how the call went, and gives
 * DriverErrors. When the caller's signal ended the call, its reason is thrown as it is.
 */
export function caller(log: CallLog | undefined): Caller {
  return async (call, send) => {
    const started = performance.now();
    const logged = (outcome: object) => {
      const ms = Math.round(performance.now() - started);
      log?.debug({ action: call.action, ms, ...outcome }, `EC2: ${call.tried}`);
    };
    try {
      const answer = await send(call.signal === undefined ? {} : { abortSignal: call.signal });
      logged({});
      return answer;
    } catch (error) {
      if (call.signal?.aborted && !isAnswer(error)) {
        logged({ aborted: true });
        throw call.signal.reason;
      }
      const driverError = toDriverError(error, call);
      logged({ code: driverError.code, why: driverError.parts.why });
      throw driverError;
    }
  };
}

/** True for an error that EC2 itself answered: it stays true whatever happened to the caller meanwhile. */
const isAnswer = (error: unknown): boolean => error instanceof Error && '$fault' in error;
