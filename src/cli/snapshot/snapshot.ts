import { type Grammar, verbOf } from '../../flags.ts';
import type { Taken, VolumeSnapshot } from '../../volumes/types.ts';
import {
  callDaemon,
  daemonFlags,
  type Invocation,
  print,
  printAsIs,
  printJson,
  readInvocation,
  terminalWidth,
  UsageError,
} from '../operator-client.ts';
import { around } from './around.ts';
import { verify, verifyFlags, verifyUsage } from './verify.ts';
import { snapshotLines } from './view.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs snapshot take VOLUME [NAME] [OPTIONS]
       docker-volume-ebs snapshot ls [VOLUME] [OPTIONS]
       docker-volume-ebs snapshot rm VOLUME SNAPSHOT [OPTIONS]
       docker-volume-ebs snapshot verify SNAPSHOT [OPTIONS]

take  Takes a snapshot of a volume, under a name or the time of now. The filesystem of a volume that is mounted on this node
      is written out and stands still until EC2 has answered, ten seconds at most: writers wait for so long, and go on. How
      long that was is printed. Where another node has the volume, that one is asked and waited for: it must look for requests
      (DVE_SNAPSHOT_REQUESTS, in seconds), and how often it does is said.
ls    Lists the snapshots of a volume, or of the cluster: also those that Amazon DLM, AWS Backup or a person took of its
      volumes.
rm    Deletes a snapshot that this driver took. SNAPSHOT is its id or its name.
verify
      Proves that a volume can be restored from a snapshot: a scratch volume is made of it and attached to this node, its
      journal replayed, its whole filesystem checked, and it is mounted read-only; then it is deleted. The volume itself is
      not touched. SNAPSHOT is an id, or VOLUME/NAME. The result is kept with the snapshot, and snapshot ls shows it.

  --before COMMAND    take: run before, when all is ready: the snapshot is only taken if it succeeds
  --after COMMAND     take: run after, whatever has happened, also if this command is killed
  --crash-consistent  take: do not hold the writers: the snapshot is as after a power failure. From any node, at once
${verifyUsage}  --json              Print the answer as JSON
  --socket PATH       The daemon's socket (DVE_SOCKET) [/run/docker/plugins/ebs.sock]
  --help              Show this text

COMMAND is run by sh -c on this node, as 'docker exec db pg_backup_start': run snapshot take on the node that has the volume.

Exit status: 0 when it is done, 1 when it cannot be or a snapshot fails, 2 for a wrong command line.
`;

export const grammar = {
  command: 'snapshot',
  flags: {
    before: { type: 'string' },
    after: { type: 'string' },
    'crash-consistent': { type: 'boolean' },
    ...verifyFlags,
    ...daemonFlags,
  },
  words: 'COMMAND',
  verbs: { take: 'volume', ls: 'volume', rm: 'volume', verify: [] },
} as const satisfies Grammar;

/** Takes, lists, verifies and deletes snapshots through this node's daemon; gives the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const invocation = readInvocation(argv, grammar);
  const { verb, rest } = verbOf(invocation.words, grammar);
  return verbs[verb](invocation, rest);
}

const verbs: Readonly<
  Record<keyof typeof grammar.verbs, (invocation: Invocation, words: readonly string[]) => Promise<number>>
> = {
  async take(invocation, [name, snapshot, ...more]) {
    if (name === undefined || more.length > 0) throw new UsageError('snapshot take takes a VOLUME and perhaps a NAME.');
    const { values } = invocation;
    const crashConsistent = values['crash-consistent'] === true;
    const take = () => callDaemon<Taken>(invocation, 'SnapshotTake', { name, snapshot, crashConsistent });
    const { before, after } = values as { before?: string; after?: string };
    const hasHooks = before !== undefined || after !== undefined;
    if (hasHooks) await callDaemon(invocation, 'SnapshotReady', { name });
    const taken = hasHooks ? await around({ before, after }, take) : await take();
    if (values['json']) printJson(taken);
    else print(sentence(name, taken));
    return 0;
  },
  async ls(invocation, [name, ...more]) {
    if (more.length > 0) throw new UsageError('snapshot ls takes one VOLUME, or none.');
    const answer = await callDaemon<{ readonly snapshots: readonly VolumeSnapshot[] }>(
      invocation,
      'Snapshots',
      name === undefined ? {} : { name },
    );
    if (invocation.values['json']) printJson(answer);
    else printAsIs(`${snapshotLines(answer.snapshots, terminalWidth()).join('\n')}\n`);
    return 0;
  },
  async rm(invocation, [name, snapshot, ...more]) {
    if (name === undefined || snapshot === undefined || more.length > 0) {
      throw new UsageError('snapshot rm takes a VOLUME and one of its snapshots.');
    }
    const removed = await callDaemon<VolumeSnapshot>(invocation, 'SnapshotRemove', { name, snapshot });
    if (invocation.values['json']) printJson(removed);
    else print(`${removed.id}, taken of ${name} at ${removed.startedAt}, is deleted.\n`);
    return 0;
  },
  verify,
};

function sentence(name: string, { snapshotId, name: called, consistency, frozenSeconds }: Taken): string {
  const how = {
    unmounted: 'nothing had it mounted',
    frozen: 'its writers stood still',
    crash: 'as after a power failure',
  }[consistency];
  const pause = frozenSeconds === undefined ? '' : ` for ${Math.round(frozenSeconds * 1000)} ms`;
  return `${snapshotId} (${called}) of ${name}: ${how}${pause}. EC2 completes it by itself.\n`;
}
