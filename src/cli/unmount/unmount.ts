import type { Grammar } from '../../flags.ts';
import { callDaemon, daemonFlags, print, printJson, readInvocation, UsageError } from '../operator-client.ts';

export const usage = () => `Usage: docker-volume-ebs unmount VOLUME --holder HOLDER [OPTIONS]

Ends a holder of a volume mounted on this node whose caller has forgotten it, as status shows it: a mount id of Docker, or
anonymous for callers without one (dvdcli, Mesos). With its last holder the volume is unmounted and goes free. Refused while a
container or program uses the volume.

  --holder HOLDER  The holder to end
  --json           Print the answer as JSON
  --socket PATH    The daemon's socket (DVE_SOCKET) [/run/docker/plugins/ebs.sock]
  --help           Show this text

Exit status: 0 when it was done, 1 when the daemon refused or cannot be asked, 2 for a wrong command line.
`;

export const grammar = {
  command: 'unmount',
  flags: { holder: { type: 'string' }, ...daemonFlags },
  words: 'VOLUME',
  offers: 'volume',
} as const satisfies Grammar;

/** Ends a forgotten holder through this node's daemon; gives the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const invocation = readInvocation(argv, grammar);
  const { values, words } = invocation;
  const [name, ...more] = words;
  const { holder } = values;
  if (name === undefined || more.length > 0 || typeof holder !== 'string') {
    throw new UsageError('unmount takes one VOLUME and --holder. See docker-volume-ebs unmount --help.');
  }
  const answer = await callDaemon<object>(invocation, 'EndHolder', { name, holder });
  if (values['json']) printJson(answer);
  else print(`${holder} holds ${name} no more.\n`);
  return 0;
}
