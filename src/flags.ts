import { parseArgs } from 'node:util';
import { nearest } from './spelling.ts';

/** A command line that is wrong; exit status 2. */
export class UsageError extends Error {
  readonly code = 'INVALID_OPTION';
}

type Options = Readonly<Record<string, { readonly type: 'string' | 'boolean'; readonly short?: string }>>;

/** What the flags of a command line say, by their names. */
export type Values<O extends Options> = {
  readonly [K in keyof O]?: O[K]['type'] extends 'string' ? string : boolean;
};

interface Reading {
  /** The command, as "fence"; its help is named in every complaint. */
  readonly command: string;
  /** What its words are, as "VOLUME"; absent where it takes none. */
  readonly words?: string;
}

/**
 * Reads a command line: `--flag VALUE`, `--flag=VALUE`, and words, which alone follow `--`.
 * @throws UsageError for a flag that there is not, with the nearest; for a value that lacks or is too many; for a word where none
 * is taken.
 */
export function readFlags<const O extends Options>(
  argv: readonly string[],
  options: O,
  { command, words: taken }: Reading,
): { readonly values: Values<O>; readonly words: readonly string[] } {
  const { values, positionals, tokens } = parseArgs({
    args: [...argv],
    options: options as Record<string, { type: 'string' | 'boolean'; short?: string }>,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const complain = (problem: string): never => {
    throw new UsageError(`${problem}. See docker-volume-ebs ${command} --help.`);
  };
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const problem = problemOf(token, options, command);
    if (problem !== undefined) complain(problem);
  }
  if (taken === undefined && positionals.length > 0) complain(`${command} takes no argument ${quoted(positionals[0])}`);
  return { values: values as Values<O>, words: positionals };
}

type Token = Extract<NonNullable<ReturnType<typeof parseArgs>['tokens']>[number], { kind: 'option' }>;

function problemOf({ name, rawName, value, inlineValue }: Token, options: Options, command: string) {
  const option = Object.hasOwn(options, name) ? options[name] : undefined;
  if (option === undefined) {
    const near = nearest(name, [...Object.keys(options), 'help']);
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
