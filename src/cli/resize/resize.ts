import type { Grammar } from '../../flags.ts';
import { carryOut, sharedFlags, sharedUsage } from '../modify/outcome.ts';
import { readInvocation, secondsOf, UsageError } from '../operator-client.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs resize VOLUME SIZE [OPTIONS]

Makes a volume larger, on whatever node of the cluster it is: EC2 enlarges it (ModifyVolume), and the node that has it
mounted grows the filesystem within seconds, while containers use it. SIZE is what it is to have, in GiB, as 200 or 1T, or
so much more, as +50. No volume becomes smaller. EC2 changes a volume four times in 24 hours at most, and one change must
be completed before the next, which may take hours: enlarge it in large steps.

Run again with the same size after whatever went wrong: what EC2 has taken already is not asked for twice.

${sharedUsage}
Exit status: 0 when it is done (or taken, with --no-wait), 1 when it is not, 2 for a wrong command line.
`;

export const grammar = {
  command: 'resize',
  flags: sharedFlags,
  words: 'VOLUME SIZE',
  offers: 'volume',
} as const satisfies Grammar;

/** Makes a volume larger through this node's daemon; gives the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const invocation = readInvocation(argv, grammar);
  const [name, size, ...more] = invocation.words;
  if (name === undefined || size === undefined || more.length > 0)
    throw new UsageError('resize takes a VOLUME and a SIZE. See docker-volume-ebs resize --help.');
  const timeoutMs = secondsOf('timeout', String(invocation.values['timeout'] ?? 600), 1, 86_400) * 1000;
  return carryOut(invocation, name, { size }, timeoutMs);
}
