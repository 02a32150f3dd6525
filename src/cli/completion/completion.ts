import type { Grammar } from '../../flags.ts';
import { readFlags } from '../../flags.ts';
import type { CommandTable } from '../command.ts';
import { callDriver } from '../dvdi-client.ts';
import { onlyWord, readInvocation, UsageError } from '../operator-client.ts';
import { printAsIs } from '../output.ts';
import { type Candidate, candidates, type Named } from './candidates.ts';
import { scripts, shells } from './scripts.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs completion SHELL

Prints the script by which bash, zsh or fish completes the command line of docker-volume-ebs: commands, flags, and names of
volumes where the daemon answers within a second. install writes it to where the shell looks for it; else:

  bash  source <(docker-volume-ebs completion bash)
  zsh   source <(docker-volume-ebs completion zsh)
  fish  docker-volume-ebs completion fish | source
`;

export const grammar = {
  command: 'completion',
  flags: {},
  words: 'SHELL',
  offers: shells,
} as const satisfies Grammar;

/** Prints the script for a shell; gives the exit status. @throws UsageError for a shell that is not known. */
export async function run(argv: readonly string[]): Promise<number> {
  const { words } = readFlags(argv, grammar);
  const word = onlyWord(words, 'completion', 'SHELL');
  const shell = shells.find((each) => each === word);
  if (shell === undefined) throw new UsageError(`completion takes ${shells.join(', ')}, not ${JSON.stringify(word)}.`);
  printAsIs(scripts[shell]);
  return 0;
}

/** A person who waits for a shell's answer types on after that. */
const patienceMs = 1000;

/**
 * Answers a shell: prints what can stand where the cursor is, a line each, with what it is for after a tab.
 * @param argv "--", and the words up to the cursor. @returns 0, whatever happens.
 */
export async function complete([, ...words]: readonly string[], table: CommandTable): Promise<number> {
  const given = (names: Named) => namesOf(names, words).catch(() => []);
  const found = await candidates(words, table, given).catch((): Candidate[] => []);
  // A name with a line break in it could not be told from two.
  const lines = found.filter(({ word }) => !/[\n\t]/.test(word)).map(lineOf);
  printAsIs(lines.join(''));
  return 0;
}

const lineOf = ({ word, about }: Candidate): string => (about === undefined ? `${word}\n` : `${word}\t${about}\n`);

async function namesOf(names: Named, words: readonly string[]): Promise<readonly string[]> {
  const at = words.lastIndexOf('--socket', -2);
  const { socket } = readInvocation(at === -1 ? [] : ['--socket', words[at + 1] ?? ''], invocation);
  const late = AbortSignal.timeout(patienceMs);
  const found =
    names === 'volume'
      ? Object((await callDriver(socket, 'VolumeDriver.List', {}, late))['Volumes'])
      : Object((await callDriver(socket, 'Ebs.Trash', {}, late))['volumes']);
  const all: unknown[] = Array.isArray(found) ? found.map((each) => Object(each).Name ?? Object(each).name) : [];
  return [...new Set(all.filter((each) => typeof each === 'string'))].sort();
}

const invocation: Grammar = { command: 'complete', flags: { socket: { type: 'string' } } };
