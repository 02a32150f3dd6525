import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, lstat, mkdir, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { listenOn } from '../../src/dvdi/socket.ts';
import { takeLock } from '../../src/lock.ts';
import { exchange } from '../support/dvdi-client.ts';
import { scratch } from './serving.ts';

function server(): Server {
  const made = createServer((socket) => socket.on('error', () => {}).end('hello'));
  onTestFinished(() => void made.close());
  return made;
}

/** A socket file whose process was killed. */
async function deadSocket(path: string): Promise<void> {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', script]);
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
}

const greeting = (path: string) => exchange(path, '');

test('makes the directory, listens with mode 0600, and leaves nothing but its lock behind', async () => {
  const directory = join(await scratch(), 'run/plugins');
  const path = join(directory, 'ebs.sock');
  const listening = server();
  const socket = await listenOn(listening, path);
  expect((await lstat(path)).mode & 0o777).toBe(0o600);
  expect((await lstat(directory)).mode & 0o777).toBe(0o755);
  expect(await greeting(path)).toBe('hello');
  expect((await readdir(directory)).sort()).toEqual(['ebs.sock', 'ebs.sock.lock']);
  socket.withdraw();
  socket.withdraw();
  listening.close();
  socket.release();
  expect(await readdir(directory)).toEqual(['ebs.sock.lock']);
});

test('a dead socket is replaced, whatever its mode', async () => {
  const path = join(await scratch(), 'ebs.sock');
  await deadSocket(path);
  await chmod(path, 0o000);
  await listenOn(server(), path);
  expect(await greeting(path)).toBe('hello');
});

test('a live socket is refused and goes on, with our lock or without', async () => {
  const path = join(await scratch(), 'ebs.sock');
  const other = server();
  other.listen(path);
  await once(other, 'listening');
  await expect(listenOn(server(), path)).rejects.toThrow(
    `cannot listen on ${path}: another daemon answers there. Stop the other daemon, or choose another path with --socket.`,
  );
  expect(await greeting(path)).toBe('hello');

  const ours = join(await scratch(), 'ebs.sock');
  await listenOn(server(), ours);
  await expect(listenOn(server(), ours)).rejects.toThrow(/another daemon has it/);
  expect(await greeting(ours)).toBe('hello');
});

test('a refusal frees the lock', async () => {
  const path = join(await scratch(), 'ebs.sock');
  const other = server();
  other.listen(path);
  await once(other, 'listening');
  await expect(listenOn(server(), path)).rejects.toThrow(/answers there/);
  other.close();
  await listenOn(server(), path);
});

test.each(['file', 'directory', 'symlink'])('a %s at the path is refused and untouched', async (kind) => {
  const directory = await scratch();
  const path = join(directory, 'ebs.sock');
  if (kind === 'file') await writeFile(path, 'precious');
  if (kind === 'directory') await mkdir(path);
  if (kind === 'symlink') await symlink(join(directory, 'elsewhere'), path);
  const before = await lstat(path);
  await expect(listenOn(server(), path)).rejects.toThrow(/it is not a socket/);
  expect((await lstat(path)).ino).toBe(before.ino);
  if (kind === 'file') expect(await readFile(path, 'utf8')).toBe('precious');
});

test.each(['/etc/hostname/below/ebs.sock', `/tmp/${'x'.repeat(120)}/ebs.sock`])(
  '%s cannot be had, and it says why',
  async (path) => {
    await expect(listenOn(server(), path)).rejects.toMatchObject({ code: 'HOST_FAILED' });
    expect(existsSync(path)).toBe(false);
  },
);

test('a socket that has taken our place is not removed, neither by withdrawing nor by closing', async () => {
  const directory = await scratch();
  const path = join(directory, 'ebs.sock');
  const first = server();
  const socket = await listenOn(first, path);
  const second = server();
  second.listen(join(directory, 'second.sock'));
  await once(second, 'listening');
  await rename(join(directory, 'second.sock'), path);
  socket.withdraw();
  first.close();
  await once(first, 'close');
  socket.release();
  expect(await greeting(path)).toBe('hello');
});

test('of many daemons started at once, over a dead socket or none, exactly one serves', async () => {
  const script = join(import.meta.dirname, 'exits/listen.ts');
  for (const dead of [false, true]) {
    const path = join(await scratch(), 'ebs.sock');
    if (dead) await deadSocket(path);
    const children = Array.from({ length: 6 }, () => spawn(process.execPath, [script, path]));
    onTestFinished(() => void children.map((child) => child.kill('SIGKILL')));
    const outcomes = await Promise.all(
      children.map(async (child) => String((await once(child.stdout, 'data'))[0]).trim()),
    );
    expect(outcomes.filter((text) => text === 'serving')).toHaveLength(1);
    for (const text of outcomes) expect(text).toMatch(/^serving$|another daemon (has it|answers there)/);
    const serving = children[outcomes.indexOf('serving')]!;
    expect(await greeting(path)).toBe(String(serving.pid));
  }
});

test('a lock ends with its process, however that ends', async () => {
  const path = join(await scratch(), 'ebs.sock');
  const child = spawn(process.execPath, [join(import.meta.dirname, 'exits/listen.ts'), path]);
  await once(child.stdout, 'data');
  expect(takeLock(`${path}.lock`)).toBeUndefined();
  child.kill('SIGKILL');
  await once(child, 'exit');
  const lock = takeLock(`${path}.lock`);
  expect(lock).toBeDefined();
  expect(takeLock(`${path}.lock`)).toBeUndefined();
  lock?.release();
  takeLock(`${path}.lock`)?.release();
});
