import { shellWord } from '../../errors.ts';
import type { Grammar } from '../../flags.ts';
import type { RolledBack } from '../../volumes/types.ts';
import { callDaemon, daemonFlags, print, printJson, readInvocation, UsageError } from '../operator-client.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs rollback VOLUME SNAPSHOT [OPTIONS]

Gives a volume back the data of one of its snapshots. A new EBS volume is made from the snapshot, as large and of the type
as the one that is there, with its options, and gets the name; what was there goes into the trash, from where
docker-volume-ebs undelete brings it back. Stop the containers that use the volume first. Run it on a node in the volume's
zone. It takes about 45 seconds, in which every node comes to see the new volume.

SNAPSHOT is its id or its name, as docker-volume-ebs snapshot ls shows them, latest, or a time (2026-11-30T12:00), which is
the last one until then.

  --dry-run      Only tell what would be done
  --json         Print the answer as JSON
  --socket PATH  The daemon's socket (DVE_SOCKET) [/run/docker/plugins/ebs.sock]
  --help         Show this text

If it is interrupted it goes on when the daemon starts again, or ends with the volume's next mount on any node: the name
means the one volume or the other all the time.

Exit status: 0 when it is done, 1 when it is not, 2 for a wrong command line.
`;

export const grammar = {
  command: 'rollback',
  flags: { 'dry-run': { type: 'boolean' }, ...daemonFlags },
  words: 'VOLUME SNAPSHOT',
  offers: 'volume',
} as const satisfies Grammar;

/** Rolls a volume back through this node's daemon; gives the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const invocation = readInvocation(argv, grammar);
  const { values, words } = invocation;
  const [name, snapshot, ...more] = words;
  if (name === undefined || snapshot === undefined || more.length > 0)
    throw new UsageError('rollback takes a VOLUME and a SNAPSHOT. See docker-volume-ebs rollback --help.');
  const dryRun = values['dry-run'] === true;
  const answer = await callDaemon<RolledBack>(invocation, 'Rollback', { name, snapshot, dryRun });
  if (values['json']) printJson(answer);
  else print(dryRun ? intention(answer) : result(answer));
  return 0;
}

const what = {
  unmounted: 'nothing had it mounted',
  frozen: 'its writers stood still',
  crash: 'as after a power failure',
};

const snapshotText = ({ snapshotId, takenAt, consistency }: RolledBack): string =>
  `${snapshotId}, taken at ${takenAt}${consistency === undefined ? '' : ` (${what[consistency]})`}`;

function intention(answer: RolledBack): string {
  const { name, sizeGiB, former, expires } = answer;
  return (
    `${name} would be a new volume of ${sizeGiB} GiB, made from ${snapshotText(answer)}.\n` +
    `${former}, which it is now, would go into the trash until ${expires}.\n`
  );
}

function result(answer: RolledBack): string {
  const { name, volumeId, sizeGiB, former, expires } = answer;
  return (
    `${name} is ${volumeId} now, of ${sizeGiB} GiB, made from ${snapshotText(answer)}.\n` +
    `What was there, ${former}, is in the trash until ${expires}. To look at it beside the new one: ` +
    `docker-volume-ebs undelete ${former} --as ${shellWord(`${name}-before`)}\n`
  );
}
