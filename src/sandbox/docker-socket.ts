import { once } from 'node:events';
import { chmod, mkdir, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { accepts } from './node-daemon.ts';

/**
 * Serves a node's socket at a second path, byte for byte: Docker looks for plugins in one directory and wants a real
 * socket there. `target` is asked at every connection. Gives what ends it.
 * @throws Error when something already listens there
 */
export async function serveDockerSocket(path: string, target: () => string | undefined): Promise<() => Promise<void>> {
  if (await accepts(path)) {
    throw new Error(`${path} is taken by a running plugin: stop it, or start the sandbox with --no-docker`);
  }
  await mkdir(dirname(path), { recursive: true });
  await rm(path, { force: true });
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const socket = target();
    if (socket === undefined) {
      client.destroy();
      return;
    }
    const upstream = connect({ path: socket, allowHalfOpen: true });
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        open.delete(from);
        to.destroySoon();
      });
    }
  }).listen(path);
  await once(server, 'listening');
  await chmod(path, 0o600);
  return async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of open) socket.destroy();
    await closed;
  };
}
