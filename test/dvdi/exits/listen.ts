/** Tries to own the socket its argument names; says "serving" and serves its pid, or says why not. */
import { createServer } from 'node:net';
import { listenOn } from '../../../src/dvdi/socket.ts';

const server = createServer((socket) => socket.on('error', () => {}).end(String(process.pid)));
try {
  await listenOn(server, process.argv[2] ?? '');
  process.stdout.write('serving\n');
} catch (error) {
  process.stdout.write(`${(error as Error).message}\n`);
}
