import { setTimeout as sleep } from 'node:timers/promises';
import type { Grammar } from '../../flags.ts';
import type { DrainedVolume, DrainReport } from '../../volumes/types.ts';
import {
  callDaemon,
  daemonFlags,
  type Invocation,
  print,
  printJson,
  readInvocation,
  secondsOf,
  tell,
} from '../operator-client.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs drain [OPTIONS]

Drains this node: its daemon takes no new mounts, unmounts and detaches every volume that no container or program uses,
and goes on doing so as their users end, until the drain is cancelled or the daemon restarts. Other nodes then mount
these volumes at once, without any fencing. Containers are not stopped: move them away first, or meanwhile.

Waits for the outcome and prints one line for each volume. Exit status: 0 when all are released, 1 when something is
left or the daemon cannot be asked, 2 for a wrong command line.

  --reason TEXT      Said to whoever is refused a mount [an operator drains this node]
  --timeout SECONDS  How long to wait for volumes that are in use, 0 to 86400 [60]
  --status           Only tell how far a drain is
  --cancel           End the drain: this node takes mounts again
  --json             Print the outcome as JSON
  --socket PATH      The daemon's socket (DVE_SOCKET) [/run/docker/plugins/ebs.sock]
  --help             Show this text

The daemon does the same at SIGUSR2, and by itself at a notice of EC2 that this instance is about to be interrupted,
stopped or retired (DVE_NOTICES).
`;

export const grammar = {
  command: 'drain',
  flags: {
    reason: { type: 'string' },
    timeout: { type: 'string' },
    status: { type: 'boolean' },
    cancel: { type: 'boolean' },
    ...daemonFlags,
  },
} as const satisfies Grammar;

const pollMs = 250;
const longestTimeout = 86_400;

/** Drains this node through its daemon; gives the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const invocation = readInvocation(argv, grammar);
  const { values } = invocation;
  if (values['cancel']) return cancel(invocation);
  if (values['status']) return show(invocation, await callDaemon<DrainReport>(invocation, 'DrainStatus'));
  const timeoutMs = secondsOf('timeout', String(values['timeout'] ?? 60), 0, longestTimeout) * 1000;
  const reason = values['reason'] ?? 'an operator drains this node';
  await callDaemon<DrainReport>(invocation, 'Drain', { reason });
  return show(invocation, await outcome(invocation, timeoutMs));
}

async function cancel(invocation: Invocation): Promise<number> {
  const ended = await callDaemon<{ reason?: string; since?: string }>(invocation, 'DrainCancel');
  if (invocation.values['json']) printJson(ended);
  else if (ended.reason === undefined) print('This node was not being drained.\n');
  else print(`This node takes mounts again. It was drained since ${ended.since}: ${ended.reason}.\n`);
  return 0;
}

/** Asks until everything is released or the time is over. Says on standard error what it waits for. */
async function outcome(invocation: Invocation, timeoutMs: number): Promise<DrainReport> {
  const deadline = performance.now() + timeoutMs;
  const told = new Set<string>();
  for (;;) {
    const report = await callDaemon<DrainReport>(invocation, 'DrainStatus');
    const left = report.volumes.filter(({ state }) => state !== 'released');
    if (left.length === 0 || report.draining === undefined || performance.now() >= deadline) return report;
    for (const volume of left) {
      const line = `waiting for ${volume.name}: ${useOf(volume)}\n`;
      if (volume.state !== 'in-use' || told.has(line)) continue;
      told.add(line);
      tell(line);
    }
    await sleep(Math.min(pollMs, Math.max(0, deadline - performance.now())));
  }
}

function show({ values }: Invocation, report: DrainReport): number {
  const { draining, volumes } = report;
  const left = volumes.filter(({ state }) => state !== 'released').length;
  const status = left === 0 ? 0 : 1;
  if (values['json']) {
    printJson(report);
    return status;
  }
  const width = Math.max(...volumes.map(({ name }) => name.length));
  for (const volume of volumes) print(`${volume.name.padEnd(width)}  ${volume.volumeId}  ${stateOf(volume)}\n`);
  print(`${summary(volumes.length, left, draining)}\n`);
  return status;
}

function stateOf(volume: DrainedVolume): string {
  if (volume.state === 'released') return 'released';
  return volume.state === 'in-use' ? `in use: ${useOf(volume)}` : `being released: waiting for ${volume.why}`;
}

const useOf = ({ holders, why }: DrainedVolume) => `${why} (mounted for ${holders.join(', ')})`;

function summary(all: number, left: number, draining: DrainReport['draining']): string {
  if (draining === undefined) return 'This node is not being drained.';
  const since = `It takes no new mounts since ${draining.since} (${draining.reason}); docker-volume-ebs drain --cancel ends that.`;
  if (all === 0) return `No volume is held on this node. ${since}`;
  if (left === 0) return `All ${all} released. ${since}`;
  return `${left} of ${all} not released yet: each is as soon as nothing uses it. ${since}`;
}
