import { type Grammar, verbOf } from '../../flags.ts';
import type { TrashEntry } from '../../volumes/types.ts';
import {
  callDaemon,
  daemonFlags,
  type Invocation,
  printAsIs,
  printJson,
  readInvocation,
  terminalWidth,
  UsageError,
} from '../operator-client.ts';
import { type Column, tableLines, wrapped } from '../table.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs trash COMMAND [OPTIONS]

A removed volume stays in the trash for a while (DVE_TRASH), unless its option onRemove or the setting DVE_ON_REMOVE says
otherwise. Its name is free at once, and docker-volume-ebs undelete brings it back, data and all. It costs what it did before.

  trash ls               List the trash of the cluster: until when each is kept, and what a month of it costs
  trash rm VOLUME...     Delete these for good, each by its id or, if only one had it, by its name
  trash empty            Say what is in the trash
      --yes              Delete all of it for good

  --json                 Print the answer as JSON
  --socket PATH          The daemon's socket (DVE_SOCKET) [/run/docker/plugins/ebs.sock]
  --help                 Show this text

Exit status: 0 when it was done or told, 1 when the daemon refused or cannot be asked, 2 for a wrong command line.
`;

export const grammar = {
  command: 'trash',
  flags: { yes: { type: 'boolean' }, ...daemonFlags },
  words: 'COMMAND VOLUME…',
  verbs: { ls: [], rm: 'removed', empty: [] },
} as const satisfies Grammar;

interface Trash {
  readonly volumes: readonly TrashEntry[];
}

const columns: readonly Column[] = [
  { title: 'NAME', least: 16 },
  { title: 'ID' },
  { title: 'ZONE', rank: 2 },
  { title: 'SIZE', rank: 3 },
  { title: 'REMOVED', rank: 1 },
  { title: 'KEPT UNTIL' },
  { title: 'USD A MONTH', rank: 4 },
];

const commands: Readonly<
  Record<keyof typeof grammar.verbs, (invocation: Invocation, rest: readonly string[]) => Promise<Trash>>
> = {
  ls: (invocation, rest) => callDaemon(noMore(invocation, rest), 'Trash'),
  rm: (invocation, rest) => {
    if (rest.length === 0)
      throw new UsageError('trash rm takes one VOLUME or more. See docker-volume-ebs trash --help.');
    return callDaemon(invocation, 'TrashPurge', { which: rest });
  },
  empty: (invocation, rest) =>
    callDaemon(noMore(invocation, rest), 'TrashPurge', { dryRun: invocation.values['yes'] !== true }),
};

/** Shows and steers the trash through this node's daemon; gives the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const invocation = readInvocation(argv, grammar);
  const { verb, rest } = verbOf(invocation.words, grammar);
  const answer = await commands[verb](invocation, rest);
  if (invocation.values['json']) printJson(answer);
  else printAsIs(`${lines(answer, verb, invocation.values['yes'] === true).join('\n')}\n`);
  return 0;
}

function noMore(invocation: Invocation, rest: readonly string[]): Invocation {
  if (rest.length === 0) return invocation;
  throw new UsageError(`${JSON.stringify(rest[0])} is one word too many. See docker-volume-ebs trash --help.`);
}

function lines({ volumes }: Trash, command: string, yes: boolean): string[] {
  if (volumes.length === 0) return ['The trash is empty.'];
  const rows = volumes.map((entry) => ({ cells: cellsOf(entry), below: command === 'ls' ? notesOn(entry) : [] }));
  const cost = volumes.reduce((sum, { monthlyCost = 0 }) => sum + monthlyCost, 0).toFixed(2);
  const end = {
    ls: `${volumes.length} in the trash; a month of them costs about ${cost} USD (list prices of us-east-1).`,
    rm: `Deleted for good: ${volumes.length}.`,
    empty: yes ? `Deleted for good: ${volumes.length}.` : 'Nothing was done. With --yes these are deleted for good.',
  }[command];
  const width = terminalWidth();
  return [...tableLines(columns, rows, width), ...(end === undefined ? [] : wrapped(end, width))];
}

const cellsOf = ({ name, id, zone, sizeGiB, type, removed, expires, monthlyCost }: TrashEntry): string[] => [
  name,
  id,
  zone ?? 'any',
  `${sizeGiB} GiB ${type}`,
  removed,
  expires,
  monthlyCost?.toFixed(2) ?? '-',
];

const notesOn = ({ kept, leaves }: TrashEntry): string[] => [
  ...(kept === undefined ? [] : [`it stays: ${kept}`]),
  ...(leaves === undefined
    ? []
    : [`${leaves} is about to detach it, as it does 20 s after a removal; undelete need not wait`]),
];
