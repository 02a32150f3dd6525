import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstatSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { listenOnInherited, takeInheritedFd } from '../../src/dvdi/inherited.ts';
import { dvdi } from '../support/dvdi-client.ts';
import { requires } from '../support/requirements.ts';
import { scratch } from './serving.ts';

const own = String(process.pid);

test.each([
  ['none', {}, undefined],
  ['one', { LISTEN_PID: own, LISTEN_FDS: '1', LISTEN_FDNAMES: 'a' }, 3],
  ['for a process before this one', { LISTEN_PID: '1', LISTEN_FDS: '1' }, undefined],
  ['for nobody in particular', { LISTEN_FDS: '1' }, undefined],
  ['of a unit without sockets', { LISTEN_PID: own, LISTEN_FDS: '0' }, undefined],
])('a socket that is handed over: %s', (_, given, fd) => {
  const env = { ...given, PATH: '/bin' };
  expect(takeInheritedFd(env)).toBe(fd);
  expect(env).toEqual({ PATH: '/bin' });
});

test('of more than one it takes none', () => {
  expect(() => takeInheritedFd({ LISTEN_PID: own, LISTEN_FDS: '2' })).toThrow(
    'cannot listen on the socket that systemd handed over: there are 2 of them. Give the socket unit a single ListenStream.',
  );
});

test('what is no listening socket is refused', async () => {
  const file = await open('/dev/null');
  onTestFinished(() => file.close());
  await expect(listenOnInherited(createServer(), file.fd)).rejects.toMatchObject({ code: 'HOST_FAILED' });
});

interface Activated {
  readonly child: ChildProcess;
  readonly path: string;
  readonly logged: Record<string, unknown>[];
}

/** A daemon that the first connection to a socket starts, as a socket unit has it. */
async function activated(socketSetting?: string): Promise<Activated> {
  const directory = await scratch();
  const path = join(directory, 'ebs.sock');
  const script = join(import.meta.dirname, 'exits/daemon.ts');
  const settings = ['--socket', socketSetting ?? path, '--root', join(directory, 'root'), '--instance-id', 'i-1'];
  const command = ['--listen', path, process.execPath, script, ...settings];
  const child = spawn('systemd-socket-activate', command, { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const logged: Record<string, unknown>[] = [];
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) logged.push(JSON.parse(part));
  });
  // It says that it listens.
  await once(child.stderr, 'data');
  child.stderr.resume();
  return { child, path, logged };
}

describe.skipIf(requires('systemd').skip)('a daemon that systemd starts', () => {
  test('answers the call that started it, and leaves the socket to the next', async () => {
    const { child, path, logged } = await activated();
    const before = lstatSync(path).ino;
    expect((await dvdi(path).call('VolumeDriver.Mount', { Name: 'a' })).body.Mountpoint).toBe('/mnt/a');
    const listening = expect.objectContaining({ msg: 'listening', socket: path, by: 'systemd' });
    await expect.poll(() => logged).toContainEqual(listening);
    expect(logged).not.toContainEqual(expect.objectContaining({ level: 'warn' }));
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(lstatSync(path).ino).toBe(before);
  });

  test('says so where the unit has another path than its settings', async () => {
    const { path, logged } = await activated('/run/elsewhere.sock');
    await dvdi(path).call('Plugin.Activate');
    const warning = expect.objectContaining({ level: 'warn', socket: '/run/elsewhere.sock', given: path });
    await expect.poll(() => logged).toContainEqual(warning);
  });
});
