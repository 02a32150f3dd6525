import { styleText } from 'node:util';
import type { ClusterVolume, ClusterVolumes } from '../../volumes/types.ts';
import { callDaemon, print, printJson, readInvocation } from '../operator-client.ts';
import { terminalWidth } from '../status/status.ts';
import { wrapped } from '../table.ts';
import { clusterLines, duplicateTexts } from './view.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs ls [NAME...] [OPTIONS]

Lists the volumes of this node's cluster as EC2 has them, in every zone: all, or those of these names. Shows which instance
has each and how that one is, since when, and what is written on it about fencing. Ends with the names that several EBS
volumes carry, if there are any: every verb on them is refused until one is left.

  --zone ZONE    Only those in this availability zone
  --free         Only those that no instance has
  --json         Print the answer as JSON
  --socket PATH  The daemon's socket (DVE_SOCKET) [/run/docker/plugins/ebs.sock]
  --help         Show this text

Exit status: 0 when they were told, 1 when the daemon or EC2 cannot be asked, 2 for a wrong command line. Where EC2 does
not answer, its last answer is shown, with its age on standard error.
`;

/** Lists the cluster's volumes through this node's daemon; gives the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const invocation = readInvocation(argv, { zone: { type: 'string' }, free: { type: 'boolean' } });
  const { values, words: names } = invocation;
  const answer = await callDaemon<ClusterVolumes>(invocation, 'Volumes');
  const wanted = ({ name, zone, owner }: ClusterVolume) =>
    (names.length === 0 || (name !== undefined && names.includes(name))) &&
    (values['zone'] === undefined || values['zone'] === zone) &&
    (!values['free'] || owner === undefined);
  const cluster = { ...answer, volumes: answer.volumes.filter(wanted) };
  if (values['json']) {
    printJson(cluster);
    return 0;
  }
  const width = terminalWidth();
  if (cluster.stale !== undefined) process.stderr.write(`This is an earlier answer: ${cluster.stale}.\n`);
  print(`${clusterLines(cluster, width).join('\n')}\n`);
  // Last, where a terminal shows it, and whatever is asked for: nobody who looks for a volume must miss that there are two.
  for (const text of duplicateTexts(answer)) print(`${styleText(['bold', 'red'], wrapped(text, width).join('\n'))}\n`);
  return 0;
}
