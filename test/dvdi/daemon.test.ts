import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type DvdiClient, dvdi } from '../support/dvdi-client.ts';
import { scratch } from './serving.ts';

interface Daemon extends DvdiClient {
  readonly child: ChildProcess;
  readonly socketPath: string;
  readonly root: string;
  /** What it said and the messages it logged so far. */
  readonly lines: string[];
  readonly logged: Record<string, unknown>[];
  /** The exit status, and how long after the call it came. */
  exit(): Promise<{ code: number | null; ms: number }>;
}

async function daemon(env: Record<string, string> = {}, socketPath?: string, given?: string): Promise<Daemon> {
  const directory = await scratch();
  const root = given ?? join(directory, 'root');
  const path = socketPath ?? join(directory, 'plugins/ebs.sock');
  const script = join(import.meta.dirname, 'exits/daemon.ts');
  const settings = ['--socket', path, '--root', root, '--instance-id', 'i-1'];
  const child = spawn(process.execPath, [script, ...settings], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const exited = once(child, 'exit') as Promise<[number | null]>;
  const lines: string[] = [];
  const logged: Record<string, unknown>[] = [];
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) {
      const line = JSON.parse(part) as Record<string, unknown>;
      logged.push(line);
      lines.push(String(line['said'] ?? line['msg']));
    }
  });
  await expect.poll(() => lines.length > 0, { timeout: 20_000, interval: 10 }).toBe(true);
  return {
    ...dvdi(path),
    child,
    socketPath: path,
    root,
    lines,
    logged,
    exit: async () => {
      const asked = performance.now();
      const [code] = await exited;
      return { code, ms: performance.now() - asked };
    },
  };
}

test.each(['SIGTERM', 'SIGINT'] as const)('%s ends it: driver closed, socket gone, status 0', async (signal) => {
  const { child, call, exit, lines, socketPath } = await daemon();
  expect((await call('VolumeDriver.Mount', { Name: 'a' })).body.Mountpoint).toBe('/mnt/a');
  child.kill(signal);
  expect(await exit()).toMatchObject({ code: 0 });
  expect(lines).toEqual(['listening', 'opening', 'stopping', 'closing', 'stopped']);
  expect(existsSync(socketPath)).toBe(false);
});

test('a call in hand is answered before it ends, and nobody new connects', async () => {
  const { child, call, exit, lines, socketPath } = await daemon({ MOUNT_MS: '1500' });
  const mount = call('VolumeDriver.Mount', { Name: 'a' });
  await call('Plugin.Activate');
  child.kill('SIGTERM');
  await expect.poll(() => lines).toContain('stopping');
  await expect.poll(() => existsSync(socketPath)).toBe(false);
  expect((await mount).body.Mountpoint).toBe('/mnt/a');
  expect((await exit()).code).toBe(0);
});

test('a call that takes too long is left, and the daemon ends by itself before Docker kills it', async () => {
  const { child, call, exit, lines } = await daemon({ MOUNT_MS: '60000', CLOSE: 'hangs' });
  const mount = call('VolumeDriver.Mount', { Name: 'a' }).catch(() => 'cut');
  await call('Plugin.Activate');
  child.kill('SIGTERM');
  const { code, ms } = await exit();
  expect(code).toBe(0);
  expect(ms).toBeGreaterThan(7_000);
  expect(await mount).toBe('cut');
  expect(lines.at(-1)).toBe('stopped');
});

test('connections without a request do not delay the end', async () => {
  const { child, exit, socketPath } = await daemon();
  const silent = connect(socketPath);
  silent.on('error', () => {});
  await once(silent, 'connect');
  child.kill('SIGTERM');
  const { code, ms } = await exit();
  expect(code).toBe(0);
  expect(ms).toBeLessThan(2_000);
});

test('a second signal ends it at once', async () => {
  const { child, call, exit, lines } = await daemon({ MOUNT_MS: '60000' });
  const mount = call('VolumeDriver.Mount', { Name: 'a' }).catch(() => 'cut');
  await call('Plugin.Activate');
  child.kill('SIGTERM');
  await expect.poll(() => lines).toContain('stopping');
  child.kill('SIGTERM');
  const { code, ms } = await exit();
  expect(code).toBe(143);
  expect(ms).toBeLessThan(1_000);
  expect(await mount).toBe('cut');
});

test('it answers and stops while the driver still opens', async () => {
  const { child, call, exit } = await daemon({ OPEN: 'hangs' });
  expect((await call('Plugin.Activate')).status).toBe(200);
  expect((await call('VolumeDriver.Capabilities', {})).body.Capabilities).toEqual({ Scope: 'global' });
  const get = call('VolumeDriver.Get', { Name: 'a' }).catch(() => 'cut');
  await call('Plugin.Activate');
  child.kill('SIGTERM');
  const { code, ms } = await exit();
  expect(code).toBe(0);
  expect(ms).toBeLessThan(2_000);
  expect(await get).toBe('cut');
});

test('SIGUSR2 drains the node, and while the driver still opens it does not end the daemon', async () => {
  const ready = await daemon();
  ready.child.kill('SIGUSR2');
  await expect.poll(() => ready.lines).toContain('drain: SIGUSR2 was sent to this daemon');
  ready.child.kill('SIGTERM');
  await ready.exit();
  const opening = await daemon({ OPEN: 'hangs' });
  opening.child.kill('SIGUSR2');
  expect((await opening.call('Plugin.Activate')).status).toBe(200);
  opening.child.kill('SIGTERM');
  expect((await opening.exit()).code).toBe(0);
});

test('a driver that cannot open ends it, socket gone', async () => {
  const { exit, lines, socketPath } = await daemon({ OPEN: 'fails' });
  expect(await exit()).toMatchObject({ code: 1 });
  expect(lines).toContain('failed: no journal');
  expect(existsSync(socketPath)).toBe(false);
});

test('a driver that fails to close does not keep it', async () => {
  const { child, exit, lines } = await daemon({ CLOSE: 'fails' });
  child.kill('SIGTERM');
  expect((await exit()).code).toBe(0);
  expect(lines).toContain('closing the driver failed');
});

test.each(['rejection', 'exception'])(
  'a stray %s is logged with its stack and ends it with status 1',
  async (STRAY) => {
    const { exit, logged } = await daemon({ STRAY });
    expect((await exit()).code).toBe(1);
    expect(logged.at(-1)).toMatchObject({ level: 'fatal', node: 'i-1', err: { type: 'Error', message: 'stray' } });
    expect(JSON.stringify(logged.at(-1))).toMatch(/daemon\.ts/);
  },
);

test('a root that another daemon has ends it before it listens: who asks for it finds no plugin', async () => {
  const first = await daemon();
  const second = await daemon({}, undefined, first.root);
  expect((await second.exit()).code).toBe(1);
  expect(second.lines).toEqual([
    expect.stringMatching(/^failed: cannot use the root directory .*another daemon uses it/),
  ]);
});

test('a second daemon on the same socket never opens its driver', async () => {
  const first = await daemon();
  const second = await daemon({}, first.socketPath);
  expect((await second.exit()).code).toBe(1);
  expect(second.lines).toEqual([expect.stringMatching(/^failed: cannot listen on .*another daemon has it/)]);
  expect((await first.call('Plugin.Activate')).status).toBe(200);
});

test('a daemon that was killed is replaced by the next', async () => {
  const first = await daemon();
  first.child.kill('SIGKILL');
  await first.exit();
  expect(existsSync(first.socketPath)).toBe(true);
  const { call } = await daemon({}, first.socketPath);
  expect((await call('Plugin.Activate')).status).toBe(200);
});
