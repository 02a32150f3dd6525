import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DescribeInstancesCommand, EC2Client, StopInstancesCommand } from '@aws-sdk/client-ec2';
import { type Grammar, readFlags } from '../../flags.ts';
import { type Sandbox, type SandboxNode, startSandbox } from '../../sandbox/sandbox.ts';
import { callDriver } from '../dvdi-client.ts';
import { print, printJson } from '../output.ts';

const volume = 'demo';
const fileName = 'payload.bin';
const fileBytes = 8 * 1024 * 1024;

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs demo [OPTIONS]

Shows the driver at work on this machine, in an embedded EC2 with two instances: an EBS volume is created, attached,
formatted, mounted and written on one; that instance loses power; the other takes the volume over and reads the same
bytes. Needs root and loop devices, no AWS account. Takes about half a minute and leaves nothing behind.

  --json  Print the steps as JSON, once all are done
  --help  Show this text
`;

export const grammar = { command: 'demo', flags: { json: { type: 'boolean' } } } as const satisfies Grammar;

/** Runs the demonstration. Gives 0 if every byte survived, 1 otherwise. */
export async function run(argv: readonly string[]): Promise<number> {
  const { json } = readFlags(argv, grammar).values;
  const say: Say = json ? () => undefined : print;
  const dir = await mkdtemp('/var/tmp/docker-volume-ebs-demo-');
  say('Starting an embedded EC2 with two instances (60 ms round trips, attach and detach 2 s)…\n');
  const sandbox = await startSandbox({ dir, nodes: 2, zones: 1, timing: 'bench' });
  try {
    const { steps, same } = await play(sandbox, say);
    if (json) printJson({ steps, same });
    return same ? 0 : 1;
  } finally {
    await sandbox.close();
    await rm(dir, { recursive: true, force: true });
  }
}

type Say = (text: string) => void;

interface Step {
  readonly what: string;
  readonly seconds: number;
  /** How often each action of EC2 was called meanwhile. */
  readonly calls: Readonly<Record<string, number>>;
  /** Empty where there is none to tell. */
  readonly result: string;
}

async function play(sandbox: Sandbox, say: Say): Promise<{ steps: readonly Step[]; same: boolean }> {
  const [a, b] = sandbox.nodes();
  if (a === undefined || b === undefined) throw new Error('the sandbox started without its two instances');
  await quiet(sandbox);
  const steps: Step[] = [];
  const step = stepper(sandbox, steps, say);
  say(`A is ${a.instanceId}, B is ${b.instanceId}\n\n`);

  await step(`create volume "${volume}", 1 GiB`, async () => {
    await callDriver(a.socket, 'VolumeDriver.Create', { Name: volume, Opts: { size: '1' } });
    return volumeId(a);
  });
  const onA = await step('mount on A: attach, mkfs, mount', () => mount(a));
  const written = await step(`write ${fileBytes / 1024 / 1024} MiB and fsync`, () => writePayload(onA));
  await step('A loses power', () => powerCut(sandbox, a));
  const onB = await step('mount on B: takeover, fsck, mount', () => mount(b));
  const read = await step('read on B', async () => sha256(await readFile(join(onB, fileName))));
  await step('unmount and remove on B', async () => {
    await callDriver(b.socket, 'VolumeDriver.Unmount', { Name: volume, ID: 'demo' });
    await remove(b);
    return '';
  });

  const same = read === written;
  say(same ? '\nThe same bytes on B as were written on A.\n' : `\nDATA DIFFERS: wrote ${written}, read ${read}\n`);
  return { steps, same };
}

/** A container that starts on this machine at this moment has all of its mounts for a moment, this one too. */
async function remove({ socket }: SandboxNode): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await callDriver(socket, 'VolumeDriver.Remove', { Name: volume });
      return;
    } catch (error) {
      if (tries === 20 || !(error instanceof Error && / mounted on this node\./.test(error.message))) throw error;
      await sleep(500);
    }
  }
}

/** At its start each daemon asks EC2 once what it has: those calls belong to no step. */
async function quiet(sandbox: Sandbox): Promise<void> {
  for (let before = '', now = ' '; before !== now; now = JSON.stringify(sandbox.calls())) {
    before = now;
    await sleep(600);
  }
}

/** Runs a step and prints a line: what, how long, which EC2 calls the sandbox counted meanwhile, the result. */
function stepper(
  sandbox: Sandbox,
  steps: Step[],
  say: Say,
): (what: string, work: () => Promise<string>) => Promise<string> {
  return async (what, work) => {
    const before = sandbox.calls();
    const start = performance.now();
    const result = await work();
    const seconds = ((performance.now() - start) / 1000).toFixed(2);
    const counts = Object.entries(sandbox.calls())
      .map(([action, count]) => [action, count - (before[action] ?? 0)] as const)
      .filter(([, count]) => count > 0);
    const calls = counts.map(([action, count]) => (count === 1 ? action : `${action} ×${count}`));
    steps.push({ what, seconds: Number(seconds), calls: Object.fromEntries(counts), result });
    say(`${what.padEnd(36)}${seconds.padStart(6)} s   ${calls.join(', ') || 'no EC2 call'}\n`);
    if (result !== '') say(`    ${result}\n`);
    return result;
  };
}

async function mount(node: SandboxNode): Promise<string> {
  const answer = await callDriver(node.socket, 'VolumeDriver.Mount', { Name: volume, ID: 'demo' });
  return String(answer['Mountpoint']);
}

async function volumeId(node: SandboxNode): Promise<string> {
  const answer = await callDriver(node.socket, 'VolumeDriver.Get', { Name: volume });
  const { Status } = answer['Volume'] as { Status: { volumeId: string } };
  return Status.volumeId;
}

async function writePayload(directory: string): Promise<string> {
  const bytes = randomBytes(fileBytes);
  const file = await open(join(directory, fileName), 'w');
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  return sha256(bytes);
}

function sha256(bytes: Uint8Array): string {
  return `sha256 ${createHash('sha256').update(bytes).digest('hex')}`;
}

/** A forced stop: the daemon is killed, its mounts are cut off, and EC2 says "stopped" in the end. */
async function powerCut(sandbox: Sandbox, { instanceId }: SandboxNode): Promise<string> {
  const ec2 = new EC2Client({
    endpoint: sandbox.endpoint,
    region: sandbox.region,
    credentials: { accessKeyId: 'demo', secretAccessKey: 'demo' },
  });
  await ec2.send(new StopInstancesCommand({ InstanceIds: [instanceId], Force: true }));
  for (;;) {
    const filter = { Name: 'instance-id', Values: [instanceId] };
    const { Reservations } = await ec2.send(new DescribeInstancesCommand({ Filters: [filter], MaxResults: 5 }));
    if (Reservations?.[0]?.Instances?.[0]?.State?.Name === 'stopped') return `${instanceId} is stopped`;
    await sleep(500);
  }
}
