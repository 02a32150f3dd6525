import type { Grammar } from '../../flags.ts';
import type { Undeleted } from '../../volumes/types.ts';
import { callDaemon, daemonFlags, onlyWord, print, printJson, readInvocation } from '../operator-client.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs undelete VOLUME [OPTIONS]

Brings a removed volume back from the trash, with its data: the last that had this name, or the one of this id. It must be in
this node's zone. It takes about 45 seconds, in which it is made sure that nobody else has made a volume of the name.

Of one that was removed from another zone a snapshot is kept, of which a volume is made in this node's zone. While it is
being removed from there, this calls that off.

  --as NAME      The name that it gets, if its own is taken by now
  --zone ZONE    Where to make the volume of a snapshot
  --json         Print the answer as JSON
  --socket PATH  The daemon's socket (DVE_SOCKET) [/run/docker/plugins/ebs.sock]
  --help         Show this text

Exit status: 0 when it is back, 1 when the daemon refused or cannot be asked, 2 for a wrong command line.
`;

export const grammar = {
  command: 'undelete',
  flags: { as: { type: 'string' }, zone: { type: 'string' }, ...daemonFlags },
  words: 'VOLUME',
  offers: 'removed',
} as const satisfies Grammar;

/** Undeletes a volume through this node's daemon; gives the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const invocation = readInvocation(argv, grammar);
  const { values, words } = invocation;
  const answer = await callDaemon<Undeleted>(invocation, 'Undelete', {
    name: onlyWord(words, 'undelete', 'VOLUME'),
    as: values['as'],
    zone: values['zone'],
  });
  if (values['json']) printJson(answer);
  else print(sentences(answer));
  return 0;
}

function sentences({ volumeId, name, removed, snapshotId, others }: Undeleted): string {
  const what = snapshotId === undefined ? volumeId : `${volumeId}, made of ${snapshotId},`;
  const when = removed === undefined ? '' : ` as it was when it was removed (${removed})`;
  const more = others.length === 0 ? '' : `Others that had this name are still kept: ${others.join(', ')}.\n`;
  return `${name} is back: ${what}${when}.\n${more}`;
}
