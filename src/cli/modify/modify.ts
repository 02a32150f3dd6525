import type { Flag, Grammar } from '../../flags.ts';
import { readInvocation, secondsOf, UsageError } from '../operator-client.ts';
import { carryOut, sharedFlags, sharedUsage } from './outcome.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs modify VOLUME [OPTIONS]

Changes the type and performance of a volume by ModifyVolume while it is in use, on whatever node it is, and how it grows by
itself. All that is given at once is one change: EC2 takes four in 24 hours, one after the other. Data is not touched.

  --type TYPE            gp3, gp2, io1, io2, st1, sc1
  --iops N               IOPS
  --throughput N         MiB/s (gp3)
  --size SIZE            As with resize
  --auto-grow PERCENT    Grow by itself once so much is used, of bytes or inodes, as 80%; off ends that
  --auto-grow-by STEP    By at least so much: 20% of its size, or GiB
  --auto-grow-max SIZE   And never beyond this

${sharedUsage}
Exit status: 0 when it is done (or taken, with --no-wait), 1 when it is not, 2 for a wrong command line.
`;

/** The flags, and the options that they set. */
const settable = {
  type: 'type',
  iops: 'iops',
  throughput: 'throughput',
  size: 'size',
  'auto-grow': 'autoGrow',
  'auto-grow-by': 'autoGrowBy',
  'auto-grow-max': 'autoGrowMax',
} as const;

export const grammar: Grammar = {
  command: 'modify',
  flags: {
    ...Object.fromEntries(Object.keys(settable).map((flag): [string, Flag] => [flag, { type: 'string' }])),
    type: { type: 'string', offers: ['gp3', 'gp2', 'io1', 'io2', 'st1', 'sc1'] },
    ...sharedFlags,
  },
  words: 'VOLUME',
  offers: 'volume',
};

/** Modifies a volume through this node's daemon; gives the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const invocation = readInvocation(argv, grammar);
  const { values, words } = invocation;
  const [name, ...more] = words;
  if (name === undefined || more.length > 0)
    throw new UsageError('modify takes one VOLUME. See docker-volume-ebs modify --help.');
  const given = Object.entries(settable).flatMap(([flag, option]) =>
    typeof values[flag] === 'string' ? [[option, values[flag]] as const] : [],
  );
  if (given.length === 0)
    throw new UsageError('modify needs something to change. See docker-volume-ebs modify --help.');
  const timeoutMs = secondsOf('timeout', String(values['timeout'] ?? 600), 1, 86_400) * 1000;
  return carryOut(invocation, name, Object.fromEntries(given), timeoutMs);
}
