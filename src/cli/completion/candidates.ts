import type { Flags, Grammar, Offer } from '../../flags.ts';
import type { CommandTable } from '../command.ts';
import { blocksOf, entryOf } from '../help-text.ts';
import { pathsWanted } from './scripts.ts';

/** What the daemon has the names of: volumes, or what is in the trash. */
export type Named = Extract<Offer, 'volume' | 'removed'>;

export interface Candidate {
  readonly word: string;
  /** What it is for. */
  readonly about?: string;
}

/**
 * What can stand where the cursor is.
 * @param words those after the program's name, up to the cursor; the last is being typed. A shell may give "--flag=value" as
 * three words: then it wants the value alone.
 * @param namesOf asks the daemon. @returns those that begin as the last word does.
 */
export async function candidates(
  words: readonly string[],
  table: CommandTable,
  namesOf: (names: Named) => Promise<readonly string[]>,
): Promise<Candidate[]> {
  const [name = '', ...rest] = joined(words);
  if (rest.length === 0) return beginning(commandsOf(table), name);
  const typed = rest.pop() ?? '';
  const command = Object.hasOwn(table, name) ? table[name] : undefined;
  if (command?.summary === undefined) return [];
  const { grammar, usage } = await command.load();
  const line = readSoFar(rest, grammar.flags);
  const offered = async (offer: Offer | undefined): Promise<Candidate[]> => {
    if (offer === undefined) return [];
    if (offer === 'command') return commandsOf(table);
    if (offer === 'path') return [{ word: pathsWanted }];
    const all = typeof offer === 'string' ? await namesOf(offer) : offer;
    return all.map((word) => ({ word }));
  };
  if (line.awaiting !== undefined) return beginning(await offered(grammar.flags[line.awaiting]?.offers), typed);
  const [, flag = '', value] = /^--([^=]+)=(.*)$/s.exec(typed) ?? [];
  if (value !== undefined) {
    const values = beginning(await offered(grammar.flags[flag]?.offers), value);
    return wantsValueAlone(words) ? values : values.map(({ word }) => ({ word: `--${flag}=${word}` }));
  }
  if (typed.startsWith('-') && !line.ended) return beginning(flagsOf(grammar, usage(), line.given), typed);
  return beginning(await offered(offerFor(grammar, line.words)), typed);
}

/** Paths are left to the shell. */
const beginning = (all: readonly Candidate[], typed: string): Candidate[] =>
  all.filter(({ word }) => word === pathsWanted || word.startsWith(typed));

const commandsOf = (table: CommandTable): Candidate[] =>
  Object.entries(table).flatMap(([word, { summary }]) => (summary === undefined ? [] : [{ word, about: summary }]));

const wantsValueAlone = (words: readonly string[]): boolean => words.slice(-2).includes('=');

/** bash makes a word of its own of each "=" (COMP_WORDBREAKS). */
function joined(words: readonly string[]): string[] {
  const all: string[] = [];
  for (const [index, word] of words.entries()) {
    const follows = words[index - 1] === '=' && words[index - 2]?.startsWith('--');
    if (follows || (word === '=' && all.at(-1)?.startsWith('--'))) all.push(`${all.pop()}${word}`);
    else all.push(word);
  }
  return all;
}

/** What a command line says before the word that is typed. */
function readSoFar(before: readonly string[], flags: Flags) {
  const words: string[] = [];
  const given = new Set<string>();
  let awaiting: string | undefined;
  let ended = false;
  for (const word of before) {
    const [, flag, inline] = /^--([^=]+)(=.*)?$/s.exec(word) ?? [];
    if (awaiting !== undefined) awaiting = undefined;
    else if (ended || !word.startsWith('-') || word === '-') words.push(word);
    else if (word === '--') ended = true;
    else if (flag !== undefined) {
      given.add(flag);
      if (inline === undefined && flags[flag]?.type === 'string') awaiting = flag;
    }
  }
  return { words, given, awaiting, ended };
}

function offerFor({ words: taken = '', offers, verbs }: Grammar, words: readonly string[]): Offer | undefined {
  const [verb = '', ...rest] = words;
  if (verbs !== undefined && words.length === 0) return Object.keys(verbs);
  const before = verbs === undefined ? words : rest;
  const offer = verbs === undefined ? offers : verbs[verb];
  return before.length === 0 || taken.endsWith('…') ? offer : undefined;
}

function flagsOf({ flags }: Grammar, usage: string, given: ReadonlySet<string>): Candidate[] {
  const entries = blocksOf(usage.split('\n'))
    .flatMap((block) => entryOf(block) ?? [])
    .filter(({ label }) => label.startsWith('-'));
  return [...Object.keys(flags), 'help']
    .filter((flag) => !given.has(flag))
    .map((flag) => {
      const entry = entries.find(({ label }) => label.split(/[\s,=[]+/).includes(`--${flag}`));
      return { word: `--${flag}`, ...(entry && { about: firstSentence(entry.text) }) };
    });
}

/** A list of candidates has little room. */
const firstSentence = (text: string): string => /^.*?(?=[.;:] |[.;:]$|$)/.exec(text)?.[0] ?? '';
