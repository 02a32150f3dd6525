import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { peerPid } from '../../src/dvdi/peer.ts';

it('tells which process connected, without a word on standard error', async () => {
  const warned = vi.spyOn(process, 'emitWarning');
  const directory = await mkdtemp(join(tmpdir(), 'dve-peer-'));
  const path = join(directory, 's');
  const server = createServer().listen(path);
  await once(server, 'listening');
  onTestFinished(async () => {
    server.close();
    await rm(directory, { recursive: true });
  });
  const script = `require('node:net').connect(${JSON.stringify(path)}).resume()`;
  const child = spawn(process.execPath, ['-e', script], { stdio: 'ignore' });
  const [socket] = (await once(server, 'connection')) as [Socket];
  expect(peerPid(socket)).toBe(child.pid);
  socket.destroy();
  await once(child, 'exit');
  expect(peerPid(socket)).toBeUndefined();
  expect(warned).not.toHaveBeenCalled();
});

it('a socket that is none of the system has no peer', () => {
  expect(peerPid(new Socket())).toBeUndefined();
});
