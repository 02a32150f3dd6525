import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { accepts } from '../../src/sandbox/node-daemon.ts';
import type { Lab } from '../lab.ts';
import { program } from '../program.ts';
import { memoryRow, type Row, rowOf } from '../row.ts';
import { seedName } from '../seed.ts';
import { type Case, rounds } from './case.ts';

const idleMs = 5000;

export const daemon: Case = {
  name: 'daemon',
  summary: 'start and memory of the daemon',
  async run(lab) {
    return [await startRow(lab), await firstCallRow(lab), ...(await memoryRows(lab))];
  },
};

/** The daemon alone: to listen it needs neither EC2 nor the metadata service. */
async function startRow(lab: Lab): Promise<Row> {
  const samples = await rounds(7, async () => ({ wallMs: await timeToListen(lab), calls: [], ec2Ms: 0 }));
  return rowOf({
    id: 'listening',
    operation: 'the daemon listens after its start',
    samples,
    limits: { wall: 150 },
  });
}

async function timeToListen(lab: Lab): Promise<number> {
  const dir = await lab.directory();
  const socket = join(dir, 'ebs.sock');
  const env = {
    PATH: process.env['PATH'],
    DVE_SOCKET: socket,
    DVE_ROOT: join(dir, 'root'),
    DVE_INSTANCE_ID: 'i-00000000000000000',
    DVE_AVAILABILITY_ZONE: 'us-east-1a',
    AWS_REGION: 'us-east-1',
    AWS_EC2_METADATA_DISABLED: 'true',
  };
  const start = performance.now();
  const [command, ...args] = program();
  const child = spawn(command, [...args, 'serve'], { env, stdio: 'ignore' });
  const exit = once(child, 'exit');
  lab.onEnd(async () => child.kill('SIGKILL'));
  while (!(await accepts(socket))) {
    if (child.exitCode !== null) throw new Error(`the daemon ended with ${child.exitCode} before it listened`);
    await sleep(2);
  }
  const wallMs = performance.now() - start;
  child.kill('SIGKILL');
  await exit;
  return wallMs;
}

/** On a node of the sandbox, its shell and mount namespace included. */
async function firstCallRow(lab: Lab): Promise<Row> {
  const bed = await lab.bed();
  const { instanceId } = bed.node();
  const samples = await rounds(5, async () => {
    process.kill(bed.node().pid, 'SIGKILL');
    await bed.until('the daemon to end', () => bed.node().pid === 0);
    const sample = await bed.measure(async () => {
      const before = bed.sandbox.callList().length;
      await bed.sandbox.startDaemon(instanceId);
      await bed.until('its first call', () => bed.sandbox.callList().length > before);
    });
    await bed.quiet();
    return sample;
  });
  await lab.clear();
  return rowOf({
    id: 'first-call',
    operation: 'the first EC2 call after the start',
    samples,
    note: 'of the start of a node’s daemon: a mount namespace, listening, opening the AWS SDK, credentials from the instance',
  });
}

async function memoryRows(lab: Lab): Promise<Row[]> {
  const bed = await lab.bed({ nodes: 3, seed: { count: 1, formatted: true } });
  const node = bed.node();
  await sleep(idleMs);
  const fresh = await Promise.all(bed.sandbox.nodes().map(({ pid }) => residentMb(pid)));
  for (let round = 0; round < 3; round += 1) {
    await bed.mount(node, seedName(0));
    await bed.unmount(node, seedName(0));
    await bed.detached();
  }
  await sleep(idleMs);
  const used = await residentMb(node.pid);
  return [
    memoryRow('idle', `the daemon ${idleMs / 1000} s after its start`, fresh, 90),
    memoryRow('used', 'the daemon idle after three mounts', [used], 90),
  ];
}

/** Memory that a process has in RAM, in MB (10^6 bytes). */
export async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const [, kib] = /^VmRSS:\s*(\d+) kB$/m.exec(status) ?? [];
  return (Number(kib ?? Number.NaN) * 1024) / 1e6;
}
