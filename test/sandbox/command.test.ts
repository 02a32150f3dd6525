import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { DescribeVolumesCommand } from '@aws-sdk/client-ec2';
import { expect, onTestFinished, test } from 'vitest';
import { faultKinds } from '../../src/sandbox/faults.ts';
import { accepts } from '../../src/sandbox/node-daemon.ts';
import type { Sandbox, SandboxNode } from '../../src/sandbox/sandbox.ts';
import { requires } from '../support/requirements.ts';
import { client, leftBehind, temporaryDirectory } from './support.ts';

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

function sandbox(...argv: string[]) {
  return spawnSync(process.execPath, [main, 'sandbox', ...argv], { encoding: 'utf8' });
}

test.each([
  [['--nodes', '0'], '--nodes takes a number from 1 to 20, not "0"'],
  [['--nodes', 'two'], '--nodes takes a number from 1 to 20, not "two"'],
  [['--zones', '7'], '--zones takes a number from 1 to 6, not "7"'],
  [['--timing', 'slow'], '--timing takes none, bench, aws, not "slow"'],
  [['--colour'], 'no option --colour'],
  [['stray'], 'no argument "stray"'],
])('%j is refused', (argv, message) => {
  const { status, stderr, stdout } = sandbox(...argv);
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toContain(message);
});

test('--help says what there is', () => {
  const { status, stdout } = sandbox('--help');
  expect(status).toBe(0);
  for (const flag of ['--dir', '--nodes', '--zones', '--timing', '--json', '--no-docker'])
    expect(stdout).toContain(flag);
  for (const kind of faultKinds) expect(stdout).toContain(kind);
});

test.skipIf(requires('root', 'loop').skip)(
  '--json says in one line what runs, until a signal ends it all',
  async () => {
    const dir = await temporaryDirectory();
    const argv = [main, 'sandbox', '--json', '--no-docker', '--nodes', '2', '--zones', '2', '--dir', dir];
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    let output = '';
    child.stdout.on('data', (data) => {
      output += data;
    });
    await once(child.stdout, 'data');
    const told = JSON.parse(output) as Omit<Sandbox, 'nodes'> & { nodes: SandboxNode[] };
    expect(Object.keys(told)).toEqual(['endpoint', 'region', 'faults', 'nodes']);
    expect(told.nodes.map(({ availabilityZone }) => availabilityZone)).toEqual(['us-east-1a', 'us-east-1b']);
    for (const { socket, pid } of told.nodes) {
      expect(await accepts(socket)).toBe(true);
      process.kill(pid, 0);
    }
    expect((await client(told).send(new DescribeVolumesCommand({}))).Volumes).toEqual([]);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect([output.split('\n').length, leftBehind(dir)]).toEqual([2, '']);
  },
);
