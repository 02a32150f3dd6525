import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, it, onTestFinished } from 'vitest';
import { requires } from '../support/requirements.ts';
import { openPage, projectRoot } from './page.ts';

const page = openPage('docs/tutorial-failover.md');
/** The page's blocks, in its order: they are typed into one shell. */
const blocks = [
  'directory=',
  '# on N',
  '# member N M',
  'write_keys()',
  'lost=',
  'on 0 driver fence explain',
  '# missing FILE',
  'local_member()',
  'for p in',
];
const { skip } = requires('root', 'loop', 'redis-server', 'redis-cli', 'aws');

it.skipIf(skip)('a member comes back on another instance with every write that it acknowledged', async () => {
  const place = await mkdtemp('/var/tmp/dve-tutorial-');
  onTestFinished(() => rm(place, { recursive: true, force: true }));
  for (const file of ['src', 'package.json', 'node_modules']) await symlink(join(projectRoot, file), join(place, file));
  // Ports of this run's own: another run of these tests may have those of the page.
  const first = 10_000 + Math.floor(Math.random() * 500) * 10;
  const script = blocks
    .map((start) => page.take(start))
    .join('\n')
    .replaceAll('7000', String(first))
    .replaceAll('7001', String(first + 1))
    .replaceAll('7002', String(first + 2))
    .replaceAll('7100', String(first + 5))
    .replaceAll('7101', String(first + 6))
    .replaceAll('7102', String(first + 7));
  const shell = spawn('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: place,
    // A person's shell has no Node but the one that npm runs on, which may be older than the project's.
    env: {
      ...process.env,
      PATH: process.env['PATH']
        ?.split(':')
        .filter((each) => !each.includes('node_modules'))
        .join(':'),
    },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(async () => {
    // Where it did not come to its own end: the sandbox takes its disks along, and its members end with it.
    if (shell.exitCode === 0) return;
    process.kill(-(shell.pid ?? 0), 'SIGTERM');
    await once(shell, 'close');
  });
  const [output, complaints] = await Promise.all([text(shell.stdout), text(shell.stderr)]);
  expect(output, complaints).toMatch(/^acknowledged: [3-9]\d\d+, missing: 0$/m);
  expect(output).toMatch(/^acknowledged: 300, missing: [1-9]\d*$/m);
  expect(output).toMatch(/^redis-1 .* attached /m);
  expect(output).toContain('cluster_state:fail');
});
