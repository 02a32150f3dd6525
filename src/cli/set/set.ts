import type { Flag, Grammar } from '../../flags.ts';
import type { OptionsSet } from '../../volumes/types.ts';
import { callDaemon, daemonFlags, print, printJson, readInvocation, UsageError } from '../operator-client.ts';

export const usage = () => `Usage: docker-volume-ebs set VOLUME [OPTIONS]

Changes how an existing volume is mounted, on any node, from its next mount on, when its snapshots are taken, and what becomes
of it when it is removed: its tags are written, after the same checks as at create. What is mounted stays as it is, and no data
is touched. An empty text ('') takes an option off: the node's own setting counts then.

  --mount-options=LIST   Mount options, separated by commas
  --subdirectory=DIR     The directory inside the volume that containers get; / is its root
  --uid=N, --gid=N, --mode=BITS
                         Whose that directory is when it is made
  --mkfs-options=WORDS   Arguments of mkfs; only while the volume has not been formatted
  --snapshots=SCHEDULE   When snapshots are taken, and how many of each are kept, as hourly:24,daily:7,weekly:4
  --on-remove=WHAT       What becomes of it when it is removed, as the option onRemove
  --verify=HOW-OFTEN     daily, weekly or monthly: its newest snapshot is verified by itself

  --dry-run              Only tell what would change
  --json                 Print the answer as JSON
  --socket PATH          The daemon's socket (DVE_SOCKET) [/run/docker/plugins/ebs.sock]
  --help                 Show this text

Exit status: 0 when it was done or told, 1 when the daemon refused or cannot be asked, 2 for a wrong command line.
`;

/** The flags, and the options of a volume that they set. */
const settable = {
  'mount-options': 'mountOptions',
  subdirectory: 'subdirectory',
  uid: 'uid',
  gid: 'gid',
  mode: 'mode',
  'mkfs-options': 'mkfsOptions',
  snapshots: 'snapshots',
  'on-remove': 'onRemove',
  verify: 'verify',
} as const;

export const grammar: Grammar = {
  command: 'set',
  flags: {
    ...Object.fromEntries(Object.keys(settable).map((flag): [string, Flag] => [flag, { type: 'string' }])),
    'dry-run': { type: 'boolean' },
    ...daemonFlags,
  },
  words: 'VOLUME',
  offers: 'volume',
};

/** Sets options of a volume through this node's daemon; gives the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const invocation = readInvocation(argv, grammar);
  const { values, words } = invocation;
  const [name, ...more] = words;
  if (name === undefined || more.length > 0)
    throw new UsageError('set takes one VOLUME. See docker-volume-ebs set --help.');
  const given = Object.entries(settable).filter(([flag]) => values[flag] !== undefined);
  if (given.length === 0) throw new UsageError('set needs an option to set. See docker-volume-ebs set --help.');
  const answer = await callDaemon<OptionsSet>(invocation, 'Set', {
    name,
    options: Object.fromEntries(given.map(([flag, option]) => [option, values[flag]])),
    dryRun: values['dry-run'] === true,
  });
  if (values['json']) printJson(answer);
  else print(sentences(name, answer, values['dry-run'] === true));
  return 0;
}

function sentences(name: string, { volumeId, changes, effective }: OptionsSet, dryRun: boolean): string {
  if (changes.length === 0) return `${name} (${volumeId}): nothing to change.\n`;
  const lines = changes.map(({ option, was, is }) => `  ${option}: ${was ?? 'not set'} -> ${is || 'not set'}\n`);
  const head = `${name} (${volumeId})${dryRun ? ', were it not a dry run' : ''}:\n`;
  return `${head}${lines.join('')}${effective}.\n`;
}
