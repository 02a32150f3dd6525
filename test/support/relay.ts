import { spawn } from 'node:child_process';
import { on } from 'node:events';
import { connect, type Server, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';

/** Listens where it is started, and hands its listening sockets over: they stay in its network namespace. */
const listener = `
const { createServer } = require('node:net');
for (const port of process.argv.slice(1)) {
  const server = createServer();
  server.listen(Number(port), '127.0.0.1', () => process.send(Number(port), server));
}`;

/**
 * Makes ports of this machine's loopback answer at the same ports of the loopback of a process's network namespace.
 * @returns what ends that
 */
export async function relayInto(pid: number, ports: readonly number[]): Promise<() => void> {
  const args = [`--net=/proc/${pid}/ns/net`, process.execPath, '-e', listener, ...ports.map(String)];
  const child = spawn('nsenter', args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const ended = new AbortController();
  child.once('exit', () => ended.abort(new Error(`nobody can listen at ${ports.join(', ')} beside process ${pid}`)));
  const servers: Server[] = [];
  for await (const [port, server] of on(child, 'message', ended) as AsyncIterable<[number, Server]>) {
    server.on('connection', (socket: Socket) => {
      const onward = connect(port, '127.0.0.1');
      pipeline(socket, onward, socket).catch(() => {});
    });
    if (servers.push(server) === ports.length) break;
  }
  child.kill('SIGKILL');
  return () => {
    for (const server of servers) server.close();
  };
}
