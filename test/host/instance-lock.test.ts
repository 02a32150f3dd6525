import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Server } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { lockInstance } from '../../src/host/instance-lock.ts';

const module = join(import.meta.dirname, '../../src/host/instance-lock.ts');

/** Another process that asks for the lock, says what came of it, and stays. */
async function daemon(instanceId: string, cluster: string): Promise<{ said: string; process: ChildProcess }> {
  const code = `
    const { lockInstance } = await import(${JSON.stringify(module)});
    const said = await lockInstance(...${JSON.stringify([instanceId, cluster])}).then(() => 'locked', String);
    process.send(said);
    setInterval(() => {}, 60_000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [said] = await once(child, 'message');
  return { said, process: child };
}

const instanceId = `i-lock-${process.pid}`;

it('is for one daemon of a cluster on an instance, until that one is gone', async () => {
  const first = await daemon(instanceId, 'production');
  expect(first.said).toBe('locked');
  expect((await daemon(instanceId, 'production')).said).toMatch(/serve the cluster production .*another daemon/);
  first.process.kill('SIGKILL');
  await once(first.process, 'exit');
  expect((await daemon(instanceId, 'production')).said).toBe('locked');
});

it('leaves other clusters and other instances alone', async () => {
  const long = 'a cluster with a very long name '.repeat(20);
  for (const [instance, cluster] of [
    [`${instanceId}-2`, 'production'],
    [`${instanceId}-2`, 'staging'],
    [`${instanceId}-2`, long],
    [`${instanceId}-3`, 'production'],
  ] as const) {
    expect((await daemon(instance, cluster)).said).toBe('locked');
  }
});

it('that cannot be had for another reason is not laid on another daemon', async () => {
  const listen = vi.spyOn(Server.prototype, 'listen').mockImplementation(function (this: Server) {
    process.nextTick(() =>
      this.emit('error', Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' })),
    );
    return this;
  });
  onTestFinished(() => listen.mockRestore());
  const failing = lockInstance(instanceId, 'production');
  await expect(failing).rejects.toThrow(/serve the cluster production .*EACCES: permission denied/);
  await expect(failing).rejects.not.toThrow('another daemon');
});
