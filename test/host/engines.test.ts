import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { engineOf, isRunning } from '../../src/host/engines.ts';

async function started(program: string): Promise<ChildProcess & { pid: number }> {
  const child = spawn(program, ['1000'], { stdio: 'ignore' });
  await once(child, 'spawn');
  onTestFinished(() => void child.kill('SIGKILL'));
  return child as ChildProcess & { pid: number };
}

it('a process runs until it has ended', async () => {
  const child = await started('sleep');
  const engine = await engineOf(child.pid);
  expect(engine).toEqual({ pid: child.pid, startedAt: expect.any(Number) });
  if (engine === undefined) return;
  expect(await isRunning(engine)).toBe(true);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(await isRunning(engine)).toBe(false);
});

it('another process under the same id is another one', async () => {
  const engine = await engineOf(process.pid);
  expect(await isRunning({ pid: process.pid, startedAt: (engine?.startedAt ?? 0) - 1 })).toBe(false);
});

it('one that cannot be seen is taken to run', async () => {
  const unseen = await engineOf(0);
  expect(unseen).toEqual({ pid: 0, startedAt: 0 });
  expect(await isRunning({ pid: 0, startedAt: 0 })).toBe(true);
});

it('where it is not known which process asked, an engine is known by its name', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'dve-engines-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  await copyFile('/bin/sleep', join(directory, 'dockerd'));
  const child = await started(join(directory, 'dockerd'));
  // Other tests run engines of their own beside this one.
  const engine = await engineOf(undefined);
  expect(engine).toEqual({ pid: expect.any(Number), startedAt: expect.any(Number) });
  expect(engine?.startedAt).toBeLessThanOrEqual((await engineOf(child.pid))?.startedAt ?? 0);
});
