import { type Grammar, UsageError } from '../../flags.ts';
import { secondsOf } from '../operator-client.ts';
import { readOptions } from './options.ts';

const commands = ['create', 'remove', 'mount', 'unmount', 'path', 'get', 'list', 'version', 'help'] as const;
type Command = (typeof commands)[number];

export interface CommandLine {
  readonly command: Command;
  /** The volume driver's name; empty only where the command asks no driver. */
  readonly driver: string;
  /** Empty only where the command is about none. */
  readonly volume: string;
  readonly options: Readonly<Record<string, string>>;
  /** Whether a mount may not create the volume. */
  readonly explicitCreate: boolean;
  /** How long to go on trying while the driver is not there. */
  readonly waitMs: number;
}

/** The flags, and the commands that take each. */
const flags: Readonly<Record<string, readonly Command[]>> = {
  volumedriver: commands,
  volumename: commands,
  volumeopts: ['create', 'mount'],
  explicitcreate: ['mount'],
  wait: commands,
};

/** For shells: what dvdcli takes is checked below, as the original of the name takes it. */
export const grammar = {
  command: 'dvdcli',
  flags: {
    volumedriver: { type: 'string' },
    volumename: { type: 'string', offers: 'volume' },
    volumeopts: { type: 'string' },
    explicitcreate: { type: 'boolean' },
    wait: { type: 'string' },
  },
  words: 'COMMAND',
  verbs: Object.fromEntries(commands.map((command) => [command, []])),
} as const satisfies Grammar;

/**
 * Mesos waits 10 minutes for an unmount and never asks again, and ends a mount after 2: each is tried nearly as long.
 * In seconds; 30 for the others.
 */
const usualWaits: Readonly<Partial<Record<Command, string>>> = { unmount: '540', mount: '100' };
const withoutValue = new Set(['explicitcreate', 'help']);
const withoutVolume = new Set<Command>(['list', 'version', 'help']);
const withoutDriver = new Set<Command>(['version', 'help']);

const truths = new Map([
  ...['true', 't', '1'].map((word) => [word, true] as const),
  ...['false', 'f', '0'].map((word) => [word, false] as const),
]);

/**
 * Reads dvdcli's command line. Flags may stand before or after the command, as --flag=VALUE or --flag VALUE, and their
 * names in any case: mesos-module-dvdi sends --explicitCreate=true. Of a flag given twice the last counts.
 * @throws UsageError naming what is wrong. The original shows its usage and exits with 0 for a flag that it does not
 * know, which Mesos takes for a mount point "".
 */
export function readCommandLine(argv: readonly string[]): CommandLine {
  const { words, given } = split(argv);
  const command = given.has('help') ? 'help' : commandOf(words);
  for (const flag of given.keys()) {
    if (flag !== 'help' && !flags[flag]?.includes(command) && command !== 'help')
      throw new UsageError(`${command} takes no --${flag}. See dvdcli help.`);
  }
  const last = (flag: string) => given.get(flag)?.at(-1) ?? '';
  const [driver, volume] = [last('volumedriver'), last('volumename')];
  if (driver === '' && !withoutDriver.has(command)) throw missing('volumedriver', 'a volume driver, as ebs');
  if (volume === '' && !withoutVolume.has(command)) throw missing('volumename', 'a volume');
  return {
    command,
    driver,
    volume,
    options: readOptions(given.get('volumeopts') ?? []),
    explicitCreate: truthOf(last('explicitcreate') || 'false'),
    waitMs: secondsOf('wait', last('wait') || (usualWaits[command] ?? '30'), 0, 3600) * 1000,
  };
}

/** The words that are no flags, and the values of each flag. */
function split(argv: readonly string[]): { words: string[]; given: Map<string, string[]> } {
  const words: string[] = [];
  const given = new Map<string, string[]>();
  const rest = [...argv];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const [, name, inline] = /^--([^=]+)(?:=(.*))?$/s.exec(word === '-h' ? '--help' : word) ?? [];
    if (name === undefined) {
      words.push(word);
      continue;
    }
    const flag = name.toLowerCase();
    if (flag !== 'help' && !Object.hasOwn(flags, flag))
      throw new UsageError(`there is no flag --${name}. See dvdcli help.`);
    const value = inline ?? (withoutValue.has(flag) ? 'true' : valueFrom(rest, flag));
    given.set(flag, [...(given.get(flag) ?? []), value]);
  }
  return { words, given };
}

function valueFrom(rest: string[], flag: string): string {
  const value = rest.shift();
  if (value !== undefined && !value.startsWith('--')) return value;
  throw new UsageError(`--${flag} has no value. Write --${flag}=VALUE.`);
}

function commandOf([word, ...more]: readonly string[]): Command {
  if (word === undefined) throw new UsageError('no command given. See dvdcli help.');
  const command = commands.find((each) => each === word);
  if (command === undefined) throw new UsageError(`unknown command ${JSON.stringify(word)}. See dvdcli help.`);
  if (more.length === 0) return command;
  throw new UsageError(`${command} takes no argument ${JSON.stringify(more[0])}: the volume is --volumename=NAME.`);
}

const missing = (flag: string, what: string) => new UsageError(`--${flag}=NAME is missing: ${what}.`);

function truthOf(text: string): boolean {
  const truth = truths.get(text.toLowerCase());
  if (truth !== undefined) return truth;
  throw new UsageError(`--explicitcreate takes true or false, not ${JSON.stringify(text)}.`);
}
