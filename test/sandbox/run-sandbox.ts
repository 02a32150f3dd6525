import { fileURLToPath } from 'node:url';
import { startSandbox } from '../../src/sandbox/sandbox.ts';

// A sandbox with stand-in daemons in the directory of the first argument; prints its endpoint.
const standIn = [process.execPath, fileURLToPath(new URL('stand-in-daemon.mjs', import.meta.url))];
const { endpoint } = await startSandbox({
  dir: process.argv[2] ?? '',
  nodes: 1,
  zones: 1,
  timing: 'none',
  daemonCommand: standIn,
});
process.stdout.write(`${endpoint}\n`);
