import { AsyncLocalStorage } from 'node:async_hooks';
import { type DestinationStream, destination, type Logger, pino } from 'pino';
import type { Settings } from './config.ts';

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
 * none. Every line carries the node; where the settings do not know it, call `log.setBindings({ node })` once it is known,
 * before making child loggers.
 */
export function createLogger(
  { logLevel, instanceId }: Pick<Settings, 'logLevel' | 'instanceId'>,
  stream: DestinationStream = destination({ fd: 1, sync: true }),
): Logger {
  return pino(
    {
      level: logLevel,
      base: instanceId === '' ? {} : { node: instanceId },
      mixin: () => ({ ...(operation.getStore() ?? { op: 'daemon' }) }),
      formatters: { level: (label) => ({ level: label }) },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: serializeError },
      redact: { paths: secrets.flatMap((key) => [key, key.startsWith('[') ? `*${key}` : `*.${key}`]) },
    },
    stream,
  );
}

/** An error with its code and its chain of causes. Other properties are left out: SDK errors carry whole requests. */
function serializeError(error: unknown, depth = 0): object {
  if (!(error instanceof Error)) return { message: String(error) };
  const { name, message, stack, cause } = error;
  return {
    type: name,
    ...('code' in error && error.code !== undefined ? { code: String(error.code) } : {}),
    message,
    stack,
    ...(cause !== undefined && depth < 8 ? { cause: serializeError(cause, depth + 1) } : {}),
  };
}
