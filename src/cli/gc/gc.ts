import type { Grammar } from '../../flags.ts';
import type { Collected } from '../../volumes/types.ts';
import { callDaemon, daemonFlags, printAsIs, printJson, readInvocation, terminalWidth } from '../operator-client.ts';
import { type Column, tableLines } from '../table.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs gc [ID...] [OPTIONS]

Shows what the cluster may not need any more, why, since when it is there, and what a month of it costs at most: scratch
volumes that a node has left, volumes that were made and never used, volumes that nothing has had for long, snapshots whose
volume and schedule are gone. What other tools made is never shown.

  --idle TIME    A volume is shown that was last attached so long ago [30d]
  --apply        Do away with what is shown: volumes of a name go into the trash, what the driver made for itself is ended.
                 What has a name, or may be a backup, only if its ID is given
  --json         Print the answer as JSON
  --socket PATH  The daemon's socket (DVE_SOCKET) [/run/docker/plugins/ebs.sock]
  --help         Show this text

Exit status: 0 when it was told or done, 1 when something could not be done or the daemon cannot be asked, 2 for a wrong
command line.
`;

export const grammar = {
  command: 'gc',
  flags: { idle: { type: 'string' }, apply: { type: 'boolean' }, ...daemonFlags },
  words: 'ID…',
} as const satisfies Grammar;

const columns: readonly Column[] = [
  { title: 'ID', least: 12 },
  { title: 'NAME', least: 16 },
  { title: 'KIND', rank: 2 },
  { title: 'SIZE', rank: 3 },
  { title: 'SINCE', rank: 1 },
  { title: 'USD A MONTH' },
];

/** Shows what nobody needs, through this node's daemon, and does away with it if asked; gives the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const invocation = readInvocation(argv, grammar);
  const { values, words } = invocation;
  const apply = values['apply'] === true;
  const { garbage } = await callDaemon<{ garbage: readonly Collected[] }>(invocation, 'Gc', {
    ...(words.length === 0 ? {} : { ids: words }),
    idle: values['idle'] ?? '30d',
    apply,
  });
  if (values['json']) printJson({ garbage });
  else printAsIs(`${lines(garbage, apply).join('\n')}\n`);
  return garbage.some(({ outcome }) => outcome === 'failed') ? 1 : 0;
}

function lines(garbage: readonly Collected[], apply: boolean): string[] {
  if (garbage.length === 0) return ['Nothing is found that may not be needed.'];
  const rows = garbage.map((each) => ({ cells: cellsOf(each), below: [remark(each)] }));
  const cost = garbage.reduce((sum, { monthlyCost = 0 }) => sum + monthlyCost, 0).toFixed(2);
  const done = garbage.filter(({ outcome }) => outcome === 'removed').length;
  const end = apply
    ? `${done} of ${garbage.length} are done away with.`
    : `A month of them costs at most ${cost} USD (list prices of us-east-1). Nothing was done.`;
  return [...tableLines(columns, rows, terminalWidth()), end];
}

const cellsOf = ({ id, name, kind, sizeGiB, since, monthlyCost }: Collected): string[] => [
  id,
  name ?? '-',
  kind,
  `${sizeGiB} GiB`,
  since,
  monthlyCost?.toFixed(2) ?? '-',
];

function remark({ why, named, outcome, failure }: Collected): string {
  if (outcome === 'failed') return `it stays: ${failure}`;
  return `${why}${named && outcome === 'found' ? '; --apply leaves it unless its ID is given' : ''}`;
}
