import type { Grammar } from '../../flags.ts';
import type { ClusterVolume, ClusterVolumes } from '../../volumes/types.ts';
import {
  callDaemon,
  daemonFlags,
  onlyWord,
  print,
  printAsIs,
  printJson,
  readInvocation,
  tell,
} from '../operator-client.ts';
import { constraintsFor, whereLines } from './view.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs where VOLUME [OPTIONS]

Shows which availability zone a volume is in, and the constraint that keeps its containers there: to copy into what you
give to Docker Swarm, Compose, Nomad, ECS or Marathon, none of which knows where a volume is.

  -q, --quiet    Only the zone
  --json         Print the answer as JSON
  --socket PATH  The daemon's socket (DVE_SOCKET) [/run/docker/plugins/ebs.sock]
  --help         Show this text

Exit status: 0 when it was told, 1 when there is no such volume, or several of the name in more than one zone, or the daemon
or EC2 cannot be asked, 2 for a wrong command line.
`;

export const grammar = {
  command: 'where',
  flags: { quiet: { type: 'boolean', short: 'q' }, ...daemonFlags },
  words: 'VOLUME',
  offers: 'volume',
} as const satisfies Grammar;

/** Shows the zone of a volume, through this node's daemon; gives the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const invocation = readInvocation(argv, grammar);
  const name = onlyWord(invocation.words, 'where', 'VOLUME');
  const { cluster, volumes, stale } = await callDaemon<ClusterVolumes>(invocation, 'Volumes');
  if (stale !== undefined) tell(`This is an earlier answer: ${stale}.\n`);
  const named = volumes.filter((volume) => volume.name === name && !volume.retained);
  const zones = [...new Set(named.map(({ zone }) => zone))];
  const [volume] = named;
  const [zone] = zones;
  if (volume === undefined || zone === undefined || zones.length > 1) {
    tell(`${zones.length > 1 ? severalText(name, named) : noneText(name, cluster)}\n`);
    return 1;
  }
  if (invocation.values['json']) {
    printJson({ name, volumeId: volume.volumeId, zone, constraints: constraintsFor(zone) });
  } else if (invocation.values['quiet']) printAsIs(`${zone}\n`);
  // What stands further in is to be copied.
  else for (const line of whereLines(volume)) (line.startsWith(' ') ? printAsIs : print)(`${line}\n`);
  return 0;
}

const noneText = (name: string, cluster: string) =>
  `There is no volume ${JSON.stringify(name)} in the cluster ${cluster}. See docker-volume-ebs ls.`;

const severalText = (name: string, named: readonly ClusterVolume[]) =>
  `${named.length} EBS volumes are called ${name}: ${named.map(({ volumeId, zone }) => `${volumeId} in ${zone}`).join(', ')}. ` +
  'docker-volume-ebs ls says what to do.';
