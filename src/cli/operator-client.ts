import { readSettings } from '../config.ts';
import { type Flags, type Grammar, readFlags, UsageError } from '../flags.ts';
import { callDriver } from './dvdi-client.ts';
import { nodeVariables } from './node-variables.ts';
import { whileAlive } from './pulse.ts';

export { UsageError } from '../flags.ts';
export { print, printAsIs, printJson, tell, terminalWidth } from './output.ts';

/** What a command that talks to the daemon was called with. */
export interface Invocation {
  /** The socket of this node's daemon. */
  readonly socket: string;
  /** DVE_ROOT. */
  readonly root: string;
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
  /** The words that are no options. */
  readonly words: readonly string[];
}

/** The flags of every command that asks the daemon. */
export const daemonFlags = {
  json: { type: 'boolean' },
  socket: { type: 'string', offers: 'path' },
} as const satisfies Flags;

/**
 * Reads a command line that takes {@link daemonFlags}. Where neither a flag nor the environment says the socket, it is that of the
 * installed service or plugin.
 * @throws UsageError for a command line that is wrong; DriverError INVALID_OPTION for a socket that is no absolute path.
 */
export function readInvocation(argv: readonly string[], grammar: Grammar): Invocation {
  const { values, words } = readFlags(argv, grammar);
  // Of the daemon's settings only these concern us: a mistake in another must not be in the way.
  const { DVE_SOCKET, DVE_ROOT } = nodeVariables(process.env).env;
  const { socket, root } = readSettings({ socket: values['socket'] }, { DVE_SOCKET, DVE_ROOT });
  return { socket, root, values, words };
}

/**
 * One of the daemon's own endpoints, as "Drain". Says on standard error what is awaited where it takes long.
 * @throws Error with the daemon's message, or that it does not answer.
 */
export function callDaemon<T>(
  invocation: Invocation,
  endpoint: string,
  body: { readonly name?: string; readonly [member: string]: unknown } = {},
): Promise<T> {
  return whileAlive(
    invocation,
    body.name,
    (signal) => callDriver(invocation.socket, `Ebs.${endpoint}`, body, signal) as Promise<T>,
  );
}

/** What a flag says, in seconds. @throws UsageError unless it is a number from `shortest` to `longest` */
export function secondsOf(flag: string, text: string, shortest: number, longest: number): number {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (seconds >= shortest && seconds <= longest) return seconds;
  throw new UsageError(`--${flag} takes seconds, ${shortest} to ${longest}, not ${JSON.stringify(text)}.`);
}

/** The one word that a command takes. @param what it is, as "VOLUME". @throws UsageError for none, and for more */
export function onlyWord(words: readonly string[], command: string, what: string): string {
  const [word, ...more] = words;
  if (word !== undefined && more.length === 0) return word;
  throw new UsageError(`${command} takes one ${what}. See docker-volume-ebs ${command.split(' ')[0]} --help.`);
}
