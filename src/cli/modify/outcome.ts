import { setTimeout as sleep } from 'node:timers/promises';
import { shellWord } from '../../errors.ts';
import type { Flags } from '../../flags.ts';
import type { ModifyReport } from '../../volumes/types.ts';
import { callDaemon, daemonFlags, type Invocation, print, printJson, tell } from '../operator-client.ts';
import { openProgress } from '../progress.ts';
import { sizeText } from '../table.ts';
import { billText } from './bill.ts';

const pollMs = 1000;

/** Flags that `resize` and `modify` share. */
export const sharedFlags = {
  'dry-run': { type: 'boolean' },
  'no-wait': { type: 'boolean' },
  timeout: { type: 'string' },
  ...daemonFlags,
} as const satisfies Flags;

/** What both say of these flags. */
export const sharedUsage = `  --dry-run          Only tell what EC2 would be asked, and what it does to the bill
  --no-wait          Return once EC2 has taken it
  --timeout SECONDS  How long to wait, 1 to 86400; EC2 goes on after that [600]
  --json             Print the outcome as JSON
  --socket PATH      The daemon's socket (DVE_SOCKET) [/run/docker/plugins/ebs.sock]
  --help             Show this text
`;

/** Asks the daemon for a change, waits for it as told and shows what came of it; gives the exit status. */
export async function carryOut(
  invocation: Invocation,
  name: string,
  options: Readonly<Record<string, string>>,
  timeoutMs: number,
): Promise<number> {
  const dryRun = invocation.values['dry-run'] === true;
  const asked = await callDaemon<ModifyReport>(invocation, 'Modify', { name, options, dryRun });
  const waits = !dryRun && invocation.values['no-wait'] !== true && asked.modification !== undefined && !asked.done;
  if (!invocation.values['json'] && waits) tell(`${changesText(asked, dryRun)}\n`);
  const last = waits ? await untilDone(invocation, name, timeoutMs) : asked;
  const outcome: ModifyReport = { ...asked, ...last, before: asked.before, changes: asked.changes, notes: asked.notes };
  if (invocation.values['json']) printJson({ ...outcome, sent: asked.sent });
  else print(outcomeText(outcome, asked, dryRun));
  if (outcome.modification?.state === 'failed' || (outcome.filesystem?.refused !== undefined && waits)) return 1;
  return waits && !outcome.done ? 1 : 0;
}

/** Asks until it is done or the time is over. Says on standard error how far it is. */
async function untilDone(invocation: Invocation, name: string, timeoutMs: number): Promise<ModifyReport> {
  const deadline = performance.now() + timeoutMs;
  const progress = openProgress();
  try {
    for (;;) {
      const report = await callDaemon<ModifyReport>(invocation, 'Modification', { name });
      if (report.done || performance.now() >= deadline) return report;
      progress.show({ what: waitedFor(report) });
      await sleep(Math.min(pollMs, Math.max(0, deadline - performance.now())));
    }
  } finally {
    progress.end();
  }
}

function waitedFor({ volumeId, modification, filesystem }: ModifyReport): string {
  if (modification?.state === 'modifying') return `EC2 to modify ${volumeId} (${modification.progress}%)`;
  const size = filesystem?.filesystemBytes;
  return `the filesystem to follow its disk${size === undefined ? '' : ` (it has ${sizeText(size)})`}`;
}

function changesText({ name, volumeId, changes }: ModifyReport, dryRun: boolean): string {
  const lines = changes.map(({ option, was, is }) => `  ${option}: ${was ?? 'not set'} -> ${is ?? 'not set'}`);
  return [`${name} (${volumeId})${dryRun ? ', were it not a dry run' : ''}:`, ...lines].join('\n');
}

function outcomeText(outcome: ModifyReport, asked: ModifyReport, dryRun: boolean): string {
  const { name, volumeId, changes, modification, before, after, notes, next } = outcome;
  const bill = dryRun ? billText(before, after) : undefined;
  const lines = [
    changes.length === 0 && modification === undefined
      ? `${name} (${volumeId}): nothing to change.`
      : changesText(outcome, dryRun),
    ...(modification === undefined ? [] : modificationTexts(outcome, asked)),
    ...notes.map((note) => `${note}.`),
    ...(bill === undefined ? [] : [bill]),
    ...(next === undefined || outcome.filesystem !== undefined ? [] : [`${next}.`]),
  ];
  return `${lines.join('\n')}\n`;
}

function modificationTexts(outcome: ModifyReport, asked: ModifyReport): string[] {
  const { modification, filesystem, done, name } = outcome;
  const state = modification?.state;
  const told = {
    modifying: `EC2 is at it (${modification?.progress}%).`,
    optimizing: 'EC2 has done it, and optimizes the volume for minutes or hours: until then it takes no other change.',
    completed: 'EC2 has done it.',
    failed: `EC2 has failed to do it${modification?.message === undefined ? '' : ` (${modification.message})`}: try again.`,
  };
  const grown = asked.filesystem?.filesystemBytes;
  const now = filesystem?.filesystemBytes;
  return [
    ...(asked.sent ? [] : ['It was asked for already, and is not asked for twice.']),
    state === undefined ? '' : told[state],
    ...(filesystem?.refused === undefined
      ? grown === undefined || now === undefined || grown === now
        ? []
        : [`Its filesystem had ${sizeText(grown)} and has ${sizeText(now)}.`]
      : [`Its filesystem does not grow: ${filesystem.refused}.`]),
    ...(done
      ? []
      : [`Run docker-volume-ebs status ${shellWord(name)} to see more; EC2 and the node go on by themselves.`]),
  ];
}
