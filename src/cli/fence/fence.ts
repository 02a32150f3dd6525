import { type Grammar, verbOf } from '../../flags.ts';
import type { Explanation, FenceHistory } from '../../volumes/types.ts';
import {
  callDaemon,
  daemonFlags,
  type Invocation,
  print,
  printJson,
  readInvocation,
  UsageError,
} from '../operator-client.ts';
import { historyLines, summaryOf } from './words.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs fence COMMAND [OPTIONS]

Fencing is what lets a volume move from an instance that has failed: when, is for the policy (DVE_FENCE_POLICY).

  fence explain VOLUME   Say what a mount of VOLUME on this node would do now, and why; nothing is done
  fence history          Show what this node has decided and done, newest first, and how often since the daemon's start
      --limit N          At most N entries, 1 to 10000 [50]
  fence confirm VOLUME --victim INSTANCE --reason TEXT
                         Give your word that INSTANCE, VOLUME's owner, will never use it again as it is attached now.
                         Be sure: where it is wrong, the volume is taken from under an instance that writes to it.
      --even-if-running  Also while EC2 shows it as running, starting or stopping, which is refused otherwise
  fence pause --reason TEXT
                         Take no volume from its owner, on any node of the cluster, until it is resumed.
                         What owners gave up themselves still moves.
  fence resume           End a pause

  --json                 Print the answer as JSON
  --socket PATH          The daemon's socket (DVE_SOCKET) [/run/docker/plugins/ebs.sock]
  --help                 Show this text

Exit status: 0 when it was done or told, 1 when the daemon refused or cannot be asked, 2 for a wrong command line.
`;

export const grammar = {
  command: 'fence',
  flags: {
    limit: { type: 'string' },
    victim: { type: 'string' },
    reason: { type: 'string' },
    'even-if-running': { type: 'boolean' },
    ...daemonFlags,
  },
  words: 'COMMAND',
  verbs: { explain: 'volume', history: [], confirm: 'volume', pause: [], resume: [] },
} as const satisfies Grammar;

const commands: Readonly<
  Record<keyof typeof grammar.verbs, (invocation: Invocation, rest: readonly string[]) => Promise<void>>
> = {
  explain,
  history,
  confirm,
  pause,
  resume,
};

/** Shows and steers fencing through this node's daemon; gives the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const invocation = readInvocation(argv, grammar);
  const { verb, rest } = verbOf(invocation.words, grammar);
  await commands[verb](invocation, rest);
  return 0;
}

/** What a Mount here would come to. */
const outcomes = {
  free: 'nothing stands in the way',
  here: 'nothing needs to be taken over',
  leaving: 'it is attached anew once it has left',
  take: 'it would be taken over',
  stop: 'its owner would be stopped, and then it would be taken over',
  pull: 'it would be taken from under its owner',
  wait: 'not now, but that may change by itself',
  refuse: 'it would be refused',
} as const;

async function explain(invocation: Invocation, words: readonly string[]): Promise<void> {
  const answer = await callDaemon<Explanation>(invocation, 'FenceExplain', { name: only(words, 'explain', 'VOLUME') });
  if (invocation.values['json']) {
    printJson(answer);
    return;
  }
  const { owner, paused, denied } = answer;
  line('volume', `${answer.name} (${answer.volumeId})`);
  line('owner', ownerOf(owner));
  line('policy', answer.policy);
  if (paused !== undefined) line('paused', paused);
  line('outcome', outcomes[answer.outcome]);
  line('because', answer.reason);
  lines('for', answer.evidenceFor);
  lines('against', answer.evidenceAgainst);
  lines(
    'a mount would',
    answer.steps.map((step, index) => `${index + 1}. ${step}`),
  );
  if (answer.todo !== undefined) line('to do', answer.todo);
  lines('not permitted', denied ?? ['not known: EC2 has not told whether this role may do what the policy needs']);
}

function ownerOf(owner: Explanation['owner']): string {
  if (owner === undefined) return 'none';
  const { instanceId, instanceName, address, device, attachTime } = owner;
  const known = [instanceName, address].filter((each) => each !== undefined).join(', ');
  return `${instanceId}${known === '' ? '' : ` (${known})`}, as ${device}, since ${attachTime}`;
}

const line = (label: string, text: string) => print(`${label.padEnd(15)}${text}\n`);

function lines(label: string, texts: readonly string[]): void {
  for (const [index, text] of texts.entries()) line(index === 0 ? label : '', text);
}

async function history(invocation: Invocation, words: readonly string[]): Promise<void> {
  none(words, 'history');
  const text = String(invocation.values['limit'] ?? 50);
  const limit = /^\d+$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > 10_000) throw new UsageError(`--limit takes 1 to 10000, not ${JSON.stringify(text)}.`);
  const { entries, counters } = await callDaemon<FenceHistory>(invocation, 'FenceHistory', { limit });
  if (invocation.values['json']) {
    printJson({ counters, entries: entries.map(({ entry }) => entry) });
    return;
  }
  for (const text of historyLines(entries)) print(`${text}\n`);
  if (entries.length === 0) print('This node has decided nothing yet: no volume it was asked for had another owner.\n');
  print(`Since the daemon's start: ${summaryOf(counters)}\n`);
}

async function confirm(invocation: Invocation, words: readonly string[]): Promise<void> {
  const volume = only(words, 'confirm', 'VOLUME');
  const body = {
    name: volume,
    victim: needed(invocation, 'victim'),
    reason: needed(invocation, 'reason'),
    evenIfRunning: invocation.values['even-if-running'] === true,
  };
  const answer = await callDaemon<{ next: string }>(invocation, 'FenceConfirm', body);
  if (invocation.values['json']) printJson(answer);
  else print(`${answer.next}\n`);
}

async function pause(invocation: Invocation, words: readonly string[]): Promise<void> {
  none(words, 'pause');
  const answer = await callDaemon<{ volumes: number }>(invocation, 'FencePause', {
    reason: needed(invocation, 'reason'),
  });
  if (invocation.values['json']) printJson(answer);
  else if (answer.volumes === 0) {
    print('Nothing is paused: the cluster has no volume to write it on, and none to take over.\n');
  } else {
    print(
      `Fencing is paused in the whole cluster: ${volumes(answer.volumes)} it. docker-volume-ebs fence resume ends that.\n`,
    );
  }
}

const volumes = (count: number) => (count === 1 ? '1 volume says' : `${count} volumes say`);

async function resume(invocation: Invocation, words: readonly string[]): Promise<void> {
  none(words, 'resume');
  const answer = await callDaemon<{ volumes: number }>(invocation, 'FenceResume');
  if (invocation.values['json']) printJson(answer);
  else if (answer.volumes === 0) print('Fencing was not paused: no volume says it.\n');
  else print(`Fencing goes on: it was taken off ${answer.volumes === 1 ? '1 volume' : `${answer.volumes} volumes`}.\n`);
}

function only(words: readonly string[], command: string, what: string): string {
  const [word, ...more] = words;
  if (word !== undefined && more.length === 0) return word;
  throw new UsageError(`fence ${command} takes one ${what}. See docker-volume-ebs fence --help.`);
}

function none(words: readonly string[], command: string): void {
  if (words.length > 0) throw new UsageError(`fence ${command} takes no argument ${JSON.stringify(words[0])}.`);
}

function needed({ values }: Invocation, name: string): string {
  const value = values[name];
  if (typeof value === 'string' && value.trim() !== '') return value;
  throw new UsageError(`--${name} is needed. See docker-volume-ebs fence --help.`);
}
