import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Verification, VerificationPlan } from '../../volumes/types.ts';
import { callDaemon, type Invocation, onlyWord, print, printJson, UsageError } from '../operator-client.ts';
import { openProgress } from '../progress.ts';
import { planText, progressText, verdictText } from './verify-text.ts';

const pollMs = 1000;

/** Flags of `snapshot verify`. */
export const verifyFlags = {
  run: { type: 'string' },
  'initialization-rate': { type: 'string' },
  'dry-run': { type: 'boolean' },
} as const;

/** What its help says of them. */
export const verifyUsage = `  --run COMMAND       verify: run it while the copy is mounted; its directory is $DVE_MOUNTPOINT. It must succeed
  --initialization-rate MIBS
                      verify: have EC2 fetch all of the snapshot first, at 100 to 300 MiB/s, which it charges for
  --dry-run           verify: only tell what it takes and costs
`;

/**
 * Has this node's daemon verify a snapshot, runs the user's command on the copy, and tells what came of it.
 * @returns the exit status: 0 when it can be restored from, 1 when it cannot. @throws Error where that could not be told.
 */
export async function verify(invocation: Invocation, words: readonly string[]): Promise<number> {
  const snapshot = onlyWord(words, 'snapshot verify', 'SNAPSHOT');
  const { values } = invocation;
  const command = values['run'] as string | undefined;
  const initializationRate = rateOf(values['initialization-rate']);
  const asked = { snapshot, initializationRate, command: command !== undefined };
  if (values['dry-run'] === true) return showPlan(invocation, asked);
  const begun = await callDaemon<Verification>(invocation, 'Verify', asked);
  const last = await untilEnded(invocation, begun, command);
  if (last.verdict === undefined) throw new Error(last.error ?? 'the daemon does not tell how it ended');
  if (values['json']) printJson(last);
  else print(verdictText(last));
  return last.verdict.ok ? 0 : 1;
}

async function showPlan(invocation: Invocation, asked: { readonly snapshot: string }): Promise<number> {
  const plan = await callDaemon<VerificationPlan>(invocation, 'VerifyPlan', asked);
  if (invocation.values['json']) printJson(plan);
  else print(planText(plan));
  return plan.denied === undefined && plan.state === 'completed' ? 0 : 1;
}

function rateOf(text: string | boolean | undefined): number | undefined {
  if (typeof text !== 'string') return undefined;
  if (/^\d{3}$/.test(text) && Number(text) >= 100 && Number(text) <= 300) return Number(text);
  throw new UsageError(`--initialization-rate takes MiB/s, 100 to 300, not ${JSON.stringify(text)}.`);
}

/** Asks how far it is until it has ended: by that the daemon knows, too, that somebody is there for the command. */
async function untilEnded(
  invocation: Invocation,
  begun: Verification,
  command: string | undefined,
): Promise<Verification> {
  const { snapshotId } = begun;
  const progress = openProgress();
  let running: Promise<void> | undefined;
  try {
    for (let now = begun; ; now = await callDaemon<Verification>(invocation, 'Verification', { snapshotId })) {
      if (now.step === 'ended') {
        await running;
        return now;
      }
      progress.show(progressText(now));
      if (command !== undefined && now.mountpoint !== undefined && running === undefined) {
        running = runCommand(invocation, now, now.mountpoint, command);
        running.catch(() => undefined);
      }
      await Promise.race([sleep(pollMs), ...(running === undefined ? [] : [running])]);
    }
  } finally {
    progress.end();
  }
}

/** Runs it here, and not in the daemon: what it may do is what whoever typed it may do. */
async function runCommand(
  invocation: Invocation,
  { snapshotId }: Verification,
  mountpoint: string,
  command: string,
): Promise<void> {
  await callDaemon(invocation, 'VerifyCommandEnded', { snapshotId, failed: await failureOf(command, mountpoint) });
}

/** Why it failed, as a clause. @throws Error where it cannot be run here: that says nothing of the snapshot. */
async function failureOf(command: string, mountpoint: string): Promise<string | undefined> {
  await access(mountpoint).catch(() => {
    throw new Error(
      `cannot run the command of --run: ${mountpoint}, where the daemon has mounted the copy, cannot be seen from here. ` +
        'Nothing is told of the snapshot, and the copy is taken away within a minute. Run this where the daemon runs: in a managed plugin by docker ebs',
    );
  });
  const child = spawn('sh', ['-c', command], {
    stdio: ['ignore', 2, 2],
    env: { ...process.env, DVE_MOUNTPOINT: mountpoint },
  });
  const [code, signal] = await once(child, 'exit');
  return code === 0 ? undefined : `the command of --run has ended with ${signal ?? `exit status ${code}`}`;
}
