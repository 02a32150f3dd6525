import { parseArgs } from 'node:util';
import { loadSettings } from '../config.ts';
import { callDriver } from './dvdi-client.ts';

/** What a command that talks to the daemon was called with. */
export interface Invocation {
  /** The socket of this node's daemon. */
  readonly socket: string;
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
  /** The words that are no options. */
  readonly words: readonly string[];
}

type Options = NonNullable<Parameters<typeof parseArgs>[0]>['options'];

/**
 * Reads a command line that also takes --socket and --json.
 * @throws what parseArgs throws; DriverError INVALID_OPTION for a socket that is no absolute path.
 */
export function readInvocation(argv: readonly string[], options: Options): Invocation {
  const common = {
    socket: { type: 'string' },
    json: { type: 'boolean' },
  } as const;
  const { values, positionals } = parseArgs({
    args: [...argv],
    options: { ...options, ...common },
    allowPositionals: true,
  });
  const flags = typeof values.socket === 'string' ? ['--socket', values.socket] : [];
  // Of the daemon's settings only this one concerns us: a mistake in another must not be in the way.
  const { socket } = loadSettings(flags, { DVE_SOCKET: process.env['DVE_SOCKET'] });
  return { socket, values: values as Invocation['values'], words: positionals };
}

/** One of the daemon's own endpoints, as "Drain". @throws Error with the daemon's message */
export function callDaemon<T>({ socket }: Invocation, endpoint: string, body: object = {}): Promise<T> {
  return callDriver(socket, `Ebs.${endpoint}`, body) as Promise<T>;
}

/** A command line that is wrong; exit status 2. */
export class UsageError extends Error {
  readonly code = 'INVALID_OPTION';
}

/** What a flag says, in seconds. @throws UsageError unless it is a number from `shortest` to `longest` */
export function secondsOf(flag: string, text: string, shortest: number, longest: number): number {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (seconds >= shortest && seconds <= longest) return seconds;
  throw new UsageError(`--${flag} takes seconds, ${shortest} to ${longest}, not ${JSON.stringify(text)}.`);
}

export function print(text: string): void {
  process.stdout.write(text);
}

/** The answer as JSON, without the envelope's own field. */
export function printJson(answer: object): void {
  print(`${JSON.stringify({ ...answer, Err: undefined }, undefined, 2)}\n`);
}
