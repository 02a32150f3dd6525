import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';

const { skip } = requires('root', 'loop');
const main = join(import.meta.dirname, '../../src/cli/main.ts');

describe.skipIf(skip)('a node that is drained', () => {
  let box: TestSandbox;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 2, nodeEnv: { DVE_LINGER: '60' } });
  });
  afterAll(() => box?.close());

  const mount = async (which: number, name: string) =>
    String((await box.ok(which, 'Mount', { Name: name, ID: `id-${name}` }))['Mountpoint']);
  const create = (name: string) => box.ok(0, 'Create', { Name: name, Opts: { size: '1' } });
  const unmount = (which: number, name: string) => box.ok(which, 'Unmount', { Name: name, ID: `id-${name}` });
  const drain = (...argv: string[]) =>
    new Promise<{ status: number; stdout: string; stderr: string }>((resolve) => {
      const args = [main, 'drain', '--socket', box.node(0).socket, ...argv];
      execFile(process.execPath, args, (error, stdout, stderr) => {
        resolve({ status: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
      });
    });

  /** A process that sees the volume at a place of its own, as a container does, until it is ended. */
  async function container(directory: string): Promise<{ pid: number; end(): Promise<void> }> {
    const script = `mount --bind "$0" /mnt && echo ready && exec sleep infinity`;
    const child = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script, directory]);
    const end = async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    };
    onTestFinished(end);
    await once(child.stdout, 'data');
    return { pid: child.pid ?? 0, end };
  }

  it('releases what is idle, names what uses the rest, refuses mounts, and releases the rest once it can', async () => {
    await Promise.all(['idle', 'busy'].map(create));
    const user = await container(await mount(0, 'busy'));
    await mount(0, 'idle');
    await unmount(0, 'idle');
    const { status } = await drain('--timeout', '1', '--reason', 'kernel update');
    expect(status).toBe(1);
    await box.detached('idle');
    const stdout = await eventually(async () => {
      const { stdout: now } = await drain('--status');
      return /^idle +vol-\w+ {2}released$/m.test(now) && now;
    });
    const use = `process ${user.pid} \\(sleep\\) still has .* mounted \\(mounted for id-busy\\)`;
    expect(stdout).toMatch(new RegExp(`^busy +vol-\\w+ {2}in use: ${use}$`, 'm'));
    expect(await box.refused(0, 'Mount', { Name: 'idle', ID: 'x' })).toMatch(/being drained.*kernel update.*--cancel/);
    const [idle] = await box.volumes('idle');
    expect(idle?.Attachments).toEqual([]);
    expect(tagsOf(idle)).toHaveProperty(['docker-volume-ebs:clean']);
    await user.end();
    await unmount(0, 'busy');
    await box.detached('busy');
    expect(await drain()).toMatchObject({ status: 0, stdout: expect.stringContaining('All 2 released') });
    expect(await drain('--cancel')).toMatchObject({ status: 0 });
    await mount(0, 'idle');
    await unmount(0, 'idle');
  });

  it('37 by a spot interruption notice hands its volumes over without any fencing', async () => {
    await create('moving');
    await mount(0, 'moving');
    await unmount(0, 'moving');
    await box.fault({ kind: 'spot', instance: box.node(0).instanceId });
    await box.detached('moving');
    // The other volume of this node goes back at the notice, too.
    await box.detached('idle');
    expect(await box.refused(0, 'Mount', { Name: 'moving', ID: 'x' })).toMatch(/EC2 will terminate this spot instance/);
    box.sandbox.resetCalls();
    await mount(1, 'moving');
    expect(Object.keys(box.sandbox.calls())).not.toContain('DetachVolume');
    expect(box.sandbox.calls()).not.toHaveProperty('DescribeInstances');
    await unmount(1, 'moving');
    await box.clearFaults();
    await eventually(async () => (await box.call(0, 'Mount', { Name: 'idle', ID: 'again' })).status === 200);
  });

  it('by SIGUSR2 is drained as by the command', async () => {
    const { pid } = box.node(0);
    process.kill(pid, 'SIGUSR2');
    await eventually(async () => (await drain('--status')).stdout.includes('SIGUSR2'));
    await drain('--cancel');
  });
});
