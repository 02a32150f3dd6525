import { shellWord } from '../../errors.ts';
import type { Grammar } from '../../flags.ts';
import type { RescueReport } from '../../volumes/types.ts';
import { callDaemon, daemonFlags, print, printJson, readInvocation, UsageError } from '../operator-client.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs rescue VOLUME [OPTIONS]

Attaches a volume to this node without mounting it, and holds it for you until you give it back, also while its daemon
restarts: to check or repair its filesystem, or to copy from it. Takes a snapshot first and prints its id, the path of
the disk and the checks to run on it. The path means this disk and no other: it leads nowhere once the disk has gone.
Nothing is written to the disk by this command; run again, it shows the same again. Mounts of the volume are refused meanwhile.

Only a volume that no container uses, here or on another node, can be rescued.

  --end          Give it back: detach it, for whoever mounts it next
  --no-snapshot  Take no snapshot
  --json         Print the answer as JSON
  --socket PATH  The daemon's socket (DVE_SOCKET) [/run/docker/plugins/ebs.sock]
  --help         Show this text

Exit status: 0 when it is done, 1 when it cannot be, 2 for a wrong command line.
`;

export const grammar = {
  command: 'rescue',
  flags: { end: { type: 'boolean' }, 'no-snapshot': { type: 'boolean' }, ...daemonFlags },
  words: 'VOLUME',
  offers: 'volume',
} as const satisfies Grammar;

/** Holds a volume here for a person, or gives it back; gives the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const invocation = readInvocation(argv, grammar);
  const { values, words } = invocation;
  const [name, ...more] = words;
  if (name === undefined || more.length > 0) throw new UsageError('rescue takes the name of one volume.');
  if (values['end']) {
    const ended = await callDaemon<object>(invocation, 'RescueEnd', { name });
    if (values['json']) printJson(ended);
    else print(`${name} is given back: it can be mounted again.\n`);
    return 0;
  }
  const answer = await callDaemon<RescueReport>(invocation, 'Rescue', { name, snapshot: !values['no-snapshot'] });
  if (values['json']) printJson(answer);
  else print(textOf(answer));
  return 0;
}

function textOf({ name, volumeId, path, since, snapshotId, found, steps }: RescueReport): string {
  const width = Math.max(...steps.map(({ command }) => command.length));
  const snapshot =
    snapshotId === undefined
      ? 'No snapshot was taken. One first is better: run this again without --no-snapshot.'
      : `Snapshot: ${snapshotId}. It holds what was on the disk before, also while EC2 still completes it.`;
  return `${[
    `${name} (${volumeId}) is held on this node for you since ${since}; mounts of it are refused meanwhile.`,
    `Disk: ${path}`,
    snapshot,
    `Found: ${found}.`,
    '',
    'Run in this order, as far as it is needed:',
    ...steps.map(({ command, what }) => `  ${command.padEnd(width)}  # ${what}`),
    '',
    'When it is in order, give it back:',
    `  docker-volume-ebs rescue ${shellWord(name)} --end`,
  ].join('\n')}\n`;
}
