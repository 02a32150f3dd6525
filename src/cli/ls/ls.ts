import { styleText } from 'node:util';
import { type Grammar, UsageError } from '../../flags.ts';
import type { ClusterVolume, ClusterVolumes } from '../../volumes/types.ts';
import {
  callDaemon,
  daemonFlags,
  type Invocation,
  printAsIs,
  printJson,
  readInvocation,
  tell,
  terminalWidth,
} from '../operator-client.ts';
import { wrapped } from '../table.ts';
import { clusterLines, duplicateTexts } from './view.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs ls [NAME...] [OPTIONS]

Lists the volumes of this node's cluster as EC2 has them, in every zone: all, or those of these names. Shows which instance
has each and how that one is, since when, and what is written on it about fencing. Ends with the names that several EBS
volumes carry, if there are any: every verb on them is refused until one is left.

  --zone ZONE    Only those in this availability zone
  --free         Only those that no instance has
  -q, --quiet    Only the names, a line each; those without one are left out
  --json         Print the answer as JSON
  --socket PATH  The daemon's socket (DVE_SOCKET) [/run/docker/plugins/ebs.sock]
  --help         Show this text

Exit status: 0 when they were told, 1 when there is no volume of a name or in a zone that was asked for, or the daemon or EC2
cannot be asked, 2 for a wrong command line. Where EC2 does not answer, its last answer is shown, with its age on standard error.
`;

export const grammar = {
  command: 'ls',
  flags: {
    zone: { type: 'string' },
    free: { type: 'boolean' },
    quiet: { type: 'boolean', short: 'q' },
    ...daemonFlags,
  },
  words: 'NAME…',
  offers: 'volume',
} as const satisfies Grammar;

/** Lists the cluster's volumes through this node's daemon; gives the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const invocation = readInvocation(argv, grammar);
  const { values, words: names } = invocation;
  if (values['zone'] === '') throw new UsageError('--zone is empty. See docker-volume-ebs ls --help.');
  const answer = await callDaemon<ClusterVolumes>(invocation, 'Volumes');
  const wanted = ({ name, zone, owner }: ClusterVolume) =>
    (names.length === 0 || (name !== undefined && names.includes(name))) &&
    (values['zone'] === undefined || values['zone'] === zone) &&
    (!values['free'] || owner === undefined);
  const cluster = { ...answer, volumes: answer.volumes.filter(wanted) };
  const absent = absentTexts(answer, names, values['zone']);
  for (const text of absent) tell(`${text}\n`);
  if (cluster.stale !== undefined) tell(`This is an earlier answer: ${cluster.stale}.\n`);
  if (absent.length === 0 || cluster.volumes.length > 0 || values['json']) show(cluster, answer, values);
  return absent.length === 0 ? 0 : 1;
}

function show(cluster: ClusterVolumes, all: ClusterVolumes, values: Invocation['values']): void {
  if (values['json']) {
    printJson(cluster);
    return;
  }
  if (values['quiet']) {
    const names = cluster.volumes.flatMap(({ name, retained }) => (name === undefined || retained ? [] : [name]));
    for (const name of new Set(names)) printAsIs(`${name}\n`);
    return;
  }
  const width = terminalWidth();
  printAsIs(`${clusterLines(cluster, width).join('\n')}\n`);
  // Last, where a terminal shows it, and whatever is asked for: nobody who looks for a volume must miss that there are two.
  for (const text of duplicateTexts(all)) printAsIs(`${styleText(['bold', 'red'], wrapped(text, width).join('\n'))}\n`);
}

/** What was asked for and is nowhere in the cluster, a sentence each. */
function absentTexts({ cluster, volumes }: ClusterVolumes, names: readonly string[], zone: unknown): string[] {
  const zones = [...new Set(volumes.map((volume) => volume.zone))].sort();
  return [
    ...names
      .filter((name) => !volumes.some((volume) => volume.name === name))
      .map((name) => `There is no volume ${JSON.stringify(name)} in the cluster ${cluster}.`),
    ...(zone === undefined || zones.some((each) => each === zone)
      ? []
      : [
          `No volume of the cluster ${cluster} is in ${zone}${zones.length === 0 ? '' : `, only in ${zones.join(', ')}`}.`,
        ]),
  ];
}
