// Stands in for a node's daemon: accepts on DVE_SOCKET, and runs each request's first line with sh in its mount namespace.
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createServer } from 'node:net';

rmSync(process.env.DVE_SOCKET, { force: true });
createServer({ allowHalfOpen: true }, (socket) => {
  let command = '';
  socket.on('data', (data) => {
    command += data;
  });
  socket.on('end', () => {
    execFile('sh', ['-c', command], (error, stdout, stderr) => {
      socket.end(JSON.stringify({ code: error === null ? 0 : (error.code ?? 1), stdout, stderr }));
    });
  });
  socket.on('error', () => {});
}).listen(process.env.DVE_SOCKET);
process.on('SIGTERM', () => process.exit(0));
