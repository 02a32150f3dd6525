import type { Grammar } from '../../flags.ts';
import type { NodeStatus } from '../../volumes/types.ts';
import {
  callDaemon,
  daemonFlags,
  type Invocation,
  print,
  printJson,
  readInvocation,
  secondsOf,
  terminalWidth,
} from '../operator-client.ts';
import { wrapped } from '../table.ts';
import { chosen, statusLines } from './view.ts';
import { type Sight, watch } from './watch.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs status [NAME...] [OPTIONS]

Shows this node: the volumes that its daemon holds or waits for (of these names, or all), how full they are, which mounts
hold them, what each waits for; whether it is drained; the takeovers it has in hand. Above the table: what is wrong, ghosts of the
last day until they are acknowledged. EC2 is asked only how this instance is, and not with --watch.

States: waiting (nothing is held here yet), attaching, attached, mounted, lingering (nobody holds it: it is detached soon,
unless it is mounted again), detaching, rescue (a person has it), GHOST (its disk went without us), FAILED (its
filesystem takes no more writes).

  --acknowledge      You have seen the ghosts: they are shown no more
  --watch [SECONDS]  Show it again every 0.5 to 3600 seconds [2], until interrupted: on a terminal in place, elsewhere
                     when something but the space used has changed
  --json             Print the answer as JSON; with --watch a line for each change
  --socket PATH      The daemon's socket (DVE_SOCKET) [/run/docker/plugins/ebs.sock]
  --help             Show this text

Exit status: 0 when it was told, 1 when a NAME is not held here or the daemon cannot be asked, 2 for a wrong command line.
`;

export const grammar = {
  command: 'status',
  flags: { watch: { type: 'string' }, acknowledge: { type: 'boolean' }, ...daemonFlags },
  words: 'NAME…',
  offers: 'volume',
} as const satisfies Grammar;

const defaultSeconds = '2';
const shortest = 0.5;
const longest = 3600;

/** Shows what this node's daemon holds and does; gives the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const invocation = readInvocation(withSeconds(argv), grammar);
  const { values, words: names } = invocation;
  if (values['watch'] !== undefined) {
    const everyMs = secondsOf('watch', String(values['watch']), shortest, longest) * 1000;
    const asScreen = process.stdout.isTTY && !values['json'];
    await watch(() => lookAgain(invocation, asScreen), everyMs, asScreen);
    return 0;
  }
  if (values['acknowledge']) return acknowledge(invocation);
  const status = await ask(invocation, true);
  const isAbsent = names.some((wanted) => !status.volumes.some(({ name }) => name === wanted));
  if (values['json']) printJson(status);
  else print(`${statusLines(status, { names, width: terminalWidth(), now: Date.now() }).join('\n')}\n`);
  return isAbsent ? 1 : 0;
}

/** parseArgs knows no option whose value may be left out. */
function withSeconds(argv: readonly string[]): string[] {
  const at = argv.indexOf('--watch');
  const end = argv.indexOf('--');
  if (at === -1 || (end !== -1 && end < at)) return [...argv];
  const next = argv[at + 1] ?? '';
  const given = /^\d+(\.\d+)?$/.test(next);
  return argv.toSpliced(at, given ? 2 : 1, `--watch=${given ? next : defaultSeconds}`);
}

async function acknowledge(invocation: Invocation): Promise<number> {
  const answer = await callDaemon<{ readonly ghosts: number }>(invocation, 'Acknowledge');
  if (invocation.values['json']) printJson(answer);
  else print(answer.ghosts === 0 ? 'There was no ghost to acknowledge.\n' : `Acknowledged: ${answer.ghosts}.\n`);
  return 0;
}

/** @param checks whether EC2 is asked how this instance is. */
async function ask(invocation: Invocation, checks: boolean): Promise<NodeStatus> {
  const status = await callDaemon<NodeStatus>(invocation, 'Status', { checks });
  return { ...status, volumes: chosen(status, invocation.words) };
}

/** A daemon that cannot be asked may be starting again: that is shown, and asked on. */
async function lookAgain(invocation: Invocation, asScreen: boolean): Promise<Sight> {
  const at = new Date();
  try {
    const status = await ask(invocation, false);
    const key = JSON.stringify({
      ...status,
      volumes: status.volumes.map((volume) => ({ ...volume, usage: undefined })),
    });
    if (invocation.values['json']) return { key, lines: () => [JSON.stringify({ ...status, Err: undefined })] };
    return stamped(at, asScreen, key, (width) =>
      statusLines(status, { names: invocation.words, width, now: at.getTime() }),
    );
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (invocation.values['json']) return { key: message, lines: () => [JSON.stringify({ error: message })] };
    return stamped(at, asScreen, message, (width) => wrapped(message, width));
  }
}

/** With the time above, and in a record a blank line below. */
function stamped(at: Date, asScreen: boolean, key: string, lines: Sight['lines']): Sight {
  return { key, lines: (width) => [at.toISOString(), ...lines(width), ...(asScreen ? [] : [''])] };
}
