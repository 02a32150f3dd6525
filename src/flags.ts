import { parseArgs } from 'node:util';
import { nearest } from './spelling.ts';

/** A command line that is wrong; exit status 2. */
export class UsageError extends Error {
  readonly code = 'INVALID_OPTION';
}

/** What a shell offers: names of volumes, names in the trash, paths, names of commands; or these words. */
export type Offer = 'volume' | 'removed' | 'path' | 'command' | readonly string[];

export interface Flag {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  /** For its value. */
  readonly offers?: Offer;
}

export type Flags = Readonly<Record<string, Flag>>;

/** What the flags of a command line say, by their names. */
export type Values<F extends Flags> = {
  readonly [K in keyof F]?: F[K]['type'] extends 'string' ? string : boolean;
};

/** What a command line takes: all else is refused, and shells complete it. */
export interface Grammar<F extends Flags = Flags> {
  /** As "fence"; its help is named in every complaint. */
  readonly command: string;
  readonly flags: F;
  /** What its words are, as "VOLUME", or "VOLUME…" for any number; absent where it takes none. */
  readonly words?: string;
  /** For its first word, or each of any number. */
  readonly offers?: Offer;
  /** The words of which one comes first, and what is offered after each, once or any number of times. */
  readonly verbs?: Readonly<Record<string, Offer>>;
}

/**
 * Reads a command line: `--flag VALUE`, `--flag=VALUE`, and words, which alone follow `--`.
 * @throws UsageError for a flag that there is not, with the nearest; for a value that lacks or is too many; for a word where none
 * is taken.
 */
export function readFlags<const F extends Flags>(
  argv: readonly string[],
  { command, flags, words: taken }: Grammar<F>,
): { readonly values: Values<F>; readonly words: readonly string[] } {
  const { values, positionals, tokens } = parseArgs({
    args: [...argv],
    options: flags as Record<string, { type: 'string' | 'boolean'; short?: string }>,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const complain = (problem: string): never => {
    throw new UsageError(`${problem}. See docker-volume-ebs ${command} --help.`);
  };
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const problem = problemOf(token, flags, command);
    if (problem !== undefined) complain(problem);
  }
  if (taken === undefined && positionals.length > 0) complain(`${command} takes no argument ${quoted(positionals[0])}`);
  return { values: values as Values<F>, words: positionals };
}

/** The command that comes first where a command has several, and the words after it. @throws UsageError with the nearest one. */
export function verbOf<V extends string>(
  [given = '', ...rest]: readonly string[],
  { command, verbs }: { readonly command: string; readonly verbs: Readonly<Record<V, Offer>> },
): { readonly verb: V; readonly rest: readonly string[] } {
  const all = Object.keys(verbs) as V[];
  const verb = all.find((each) => each === given);
  if (verb !== undefined) return { verb, rest };
  const near = given === '' ? undefined : nearest(given, all);
  const problem = given === '' ? `${command} needs a command` : `${command} has no command ${quoted(given)}`;
  const hint = near === undefined ? `: it has ${all.join(', ')}` : `, but ${near}`;
  throw new UsageError(`${problem}${hint}. See docker-volume-ebs ${command} --help.`);
}

type Token = Extract<NonNullable<ReturnType<typeof parseArgs>['tokens']>[number], { kind: 'option' }>;

function problemOf({ name, rawName, value, inlineValue }: Token, flags: Flags, command: string) {
  const option = Object.hasOwn(flags, name) ? flags[name] : undefined;
  if (option === undefined) {
    const near = nearest(name, [...Object.keys(flags), 'help']);
    return `${command} has no option ${rawName}${near === undefined ? '' : `, but --${near}`}`;
  }
  if (option.type === 'boolean') return inlineValue ? `${rawName} takes no value` : undefined;
  if (value === undefined) return `${rawName} needs a value`;
  // As a shell gives it whose variable is empty: the next flag is no value, unless it is meant to be.
  if (!inlineValue && value.startsWith('-') && value !== '-')
    return `${rawName} needs a value; one that begins with a dash is given as ${rawName}=${value}`;
  return undefined;
}

const quoted = (word: string | undefined): string => JSON.stringify(word);
