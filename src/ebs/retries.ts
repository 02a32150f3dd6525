import { rateNames, type SdkError } from './errors.ts';

/** Node's network errors that another attempt may not meet; the SDK's lists. */
const networkCodes = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);
const timeoutNames = new Set(['TimeoutError', 'RequestTimeout', 'RequestTimeoutException']);

/** Why another attempt at a failed call may succeed: it came too often, or for now; undefined when it would not. */
export function retryOf(error: unknown): 'rate' | 'transient' | undefined {
  if (!(error instanceof Error)) return undefined;
  const { name, code, $metadata }: SdkError = error;
  const status = $metadata?.httpStatusCode ?? 0;
  if (status === 429 || rateNames.includes(name)) return 'rate';
  const transient =
    status >= 500 ||
    timeoutNames.has(name) ||
    networkCodes.has(String(code)) ||
    // The SDK has learnt the server's time from this answer, and signs the next attempt by it.
    $metadata?.clockSkewCorrected === true;
  return transient ? 'transient' : undefined;
}

/** True for an error that EC2 itself answered: it stays true whatever happened to the caller meanwhile. */
export const isAnswer = (error: unknown): boolean => error instanceof Error && '$fault' in error;

/** Notes on the SDK's error how many attempts it took, where the SDK notes its own. */
export function countAttempts(error: unknown, attempts: number): void {
  if (error instanceof Error && '$metadata' in error) Object.assign(error.$metadata ?? {}, { attempts });
}
