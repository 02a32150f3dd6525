import { AsyncLocalStorage } from 'node:async_hooks';
import { type DestinationStream, destination, type Logger, pino } from 'pino';
import type { Settings } from './config.ts';
import { DriverError } from './errors.ts';

/** What the daemon is doing when it writes a line: the verb, or a name of its own business, and the volume if one. */
interface Operation {
  readonly op: string;
  readonly volume?: string;
}

/** Carries the operation through everything that is awaited for it: run work in it, and each line says what it belongs to. */
export const operation = new AsyncLocalStorage<Operation>();

/** Fields that never reach the log, wherever a logged object holds them at its top or one level down. */
const secrets = [
  'accessKeyId',
  'secretAccessKey',
  'sessionToken',
  'credentials',
  'authorization',
  'Authorization',
  'password',
  'token',
  '["x-amz-security-token"]',
  '["x-aws-ec2-metadata-token"]',
];

/**
 * The daemon's log: a line of JSON each on standard output, written before the call returns, so that a crash loses
 * none. A failure that comes again is written when it begins, every hour with how often, and when it is
 * {@link over}. Every line carries the node; where the settings do not know it, call `log.setBindings({ node })` once it is known,
 * before making child loggers.
 */
export function createLogger(
  { logLevel, instanceId }: Pick<Settings, 'logLevel' | 'instanceId'>,
  stream: DestinationStream = standardOutput(),
): Logger {
  const failures = createFailures();
  const log = pino(
    {
      level: logLevel,
      base: instanceId === '' ? {} : { node: instanceId },
      mixin: () => ({ ...(operation.getStore() ?? { op: 'daemon' }) }),
      formatters: { level: (label) => ({ level: label }) },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: (error: unknown) => serializeError(error) },
      redact: { paths: secrets.flatMap((key) => [key, key.startsWith('[') ? `*${key}` : `*.${key}`]) },
      hooks: {
        logMethod(args, method, level) {
          const repeated = level < infoLevel ? 0 : failures.seen(args);
          if (repeated === 'often') return;
          const [fields, ...rest]: unknown[] = args;
          const counted = repeated === 0 ? fields : { ...(fields as object), repeated };
          Reflect.apply(method, this, [counted, ...rest]);
        },
      },
    },
    stream,
  );
  return Object.assign(log, { [recurring]: failures });
}

/** What cannot be written waits, up to this: the rest of the lines are lost. */
const waitingBytes = 1024 * 1024;

/** A full disk, a reader that is gone or does not read end nothing: what they leave waits, and goes with a later line. */
function standardOutput(): DestinationStream {
  const stream = destination({ fd: 1, sync: true, maxLength: waitingBytes, retryEAGAIN: () => false });
  // The one place that could tell of it is this log.
  stream.on('error', () => undefined);
  return stream;
}

/** Where a logger, and each child of it, has its {@link Failures}. */
const recurring = Symbol('failures that recur');

/** Says in the log that what an operation failed with is over, if it did: it has succeeded, or is not wanted any more. */
export function over(log: Pick<Logger, 'info'>, { op, volume }: Operation): void {
  const failures = (log as { [recurring]?: Failures })[recurring];
  for (const { text, times, seconds } of failures?.end(keyOf(op, volume)) ?? []) {
    log.info({ op, ...(volume === undefined ? {} : { volume }), failed: text, times, seconds }, 'works again');
  }
}

/** pino's number of it; whoever asks for more wants all. */
const infoLevel = 30;
/** A failure that is said so often is not news. */
const sayAgainMs = 60 * 60_000;
/** Names come from callers, who may make up any number. */
const mostFailures = 2000;

interface Failure {
  readonly operation: string;
  readonly text: string;
  readonly begun: number;
  times: number;
  saidAt: number;
  unsaid: number;
}

interface Failures {
  /** How often the failure of this line was left out since it was last written; "often" when this one is to be, too. */
  seen(args: readonly unknown[]): number | 'often';
  /** Forgets the failures of an operation. */
  end(operation: string): { readonly text: string; readonly times: number; readonly seconds: number }[];
}

function createFailures(): Failures {
  const known = new Map<string, Failure>();
  return {
    seen([fields, text]) {
      const cause = causeOf(fields);
      if (cause === undefined || typeof text !== 'string') return 0;
      const { op, volume } = { ...(operation.getStore() ?? { op: 'daemon' }), ...(fields as Partial<Operation>) };
      const key = [keyOf(op, volume), withoutNumbers(text), cause].join('\n');
      const now = performance.now();
      const before = known.get(key);
      const failure = before ?? { operation: keyOf(op, volume), text, begun: now, times: 0, saidAt: now, unsaid: 0 };
      failure.times += 1;
      // In the order in which they were last met.
      known.delete(key);
      known.set(key, failure);
      for (const oldest of known.keys()) if (known.size > mostFailures) known.delete(oldest);
      if (before === undefined) return 0;
      failure.unsaid += 1;
      if (now - failure.saidAt < sayAgainMs) return 'often';
      const repeated = failure.unsaid;
      Object.assign(failure, { saidAt: now, unsaid: 0 });
      return repeated;
    },
    end(operation) {
      const ended = [...known].filter(([, failure]) => failure.operation === operation);
      for (const [key] of ended) known.delete(key);
      return ended.map(([, { text, times, begun }]) => ({
        ...{ text, times, seconds: Math.round((performance.now() - begun) / 1000) },
      }));
    },
  };
}

const keyOf = (op: string, volume: string | undefined): string => JSON.stringify([op, volume]);

/** What tells one failure of an operation from another; undefined for a line that tells of none. */
function causeOf(fields: unknown): string | undefined {
  if (typeof fields !== 'object' || fields === null) return undefined;
  const { err, code } = fields as { err?: unknown; code?: unknown };
  if (err instanceof Error) return withoutNumbers(`${(err as { code?: unknown }).code} ${err.message}`);
  return typeof code === 'string' ? code : undefined;
}

/** The same words are the same failure, whatever the number of the request or of the attempt. */
const withoutNumbers = (text: string): string => text.replace(/request [\w-]+|\d+/g, '');

/**
 * An error with its code and its chain of causes. One of the catalogue says all in its sentence: only a defect has its
 * stack. Other properties are left out: SDK errors carry whole requests.
 */
function serializeError(error: unknown, depth = 0, isDefect = true): object {
  if (!(error instanceof Error)) return { message: String(error) };
  const { name, message, stack, cause } = error;
  const withStack = isDefect && (!(error instanceof DriverError) || error.code === 'INTERNAL');
  return {
    type: name,
    ...('code' in error && error.code !== undefined ? { code: String(error.code) } : {}),
    message,
    ...(withStack ? { stack } : {}),
    ...(cause !== undefined && depth < 8 ? { cause: serializeError(cause, depth + 1, withStack) } : {}),
  };
}
