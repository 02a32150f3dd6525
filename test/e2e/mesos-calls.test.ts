import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TerminateInstancesCommand } from '@aws-sdk/client-ec2';
import { expect, it, onTestFinished } from 'vitest';
import { requires } from '../support/requirements.ts';
import { testSandbox } from '../support/sandbox.ts';

/**
 * Every call that real Mesos agents (1.11, both containerizers) and mesos-module-dvdi made of dvdcli on two nodes, in the
 * order in which they began and ended: a container that is orphaned, a volume that two agents want, one whose agent loses
 * its power, options and names that frameworks got wrong.
 */
const events = readFileSync(join(import.meta.dirname, 'mesos-calls.txt'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => {
    const [, node = '', call = '', what = '', rest = ''] = /^\S+ (\w) (\d+) (\w+) ?(.*)$/.exec(line) ?? [];
    return { node, call, what, rest };
  });
const main = join(import.meta.dirname, '../../src/cli/main.ts');

it.skipIf(requires('root', 'loop').skip)('what Mesos and its module were seen to call ends as it did', async () => {
  const box = await testSandbox({ nodes: 2, nodeEnv: { DVE_LINGER: '0' } });
  onTestFinished(() => box.close());
  const [a, b] = box.sandbox.nodes();
  const nodes = new Map([
    ['a', a!],
    ['b', b!],
  ]);
  const calls = new Map<
    string,
    { child: ChildProcess; exit: Promise<unknown[]>; words: string; stderr: () => string }
  >();
  onTestFinished(() => {
    for (const { child } of calls.values()) child.kill('SIGKILL');
  });
  let checked = 0;
  for (const { node, call, what, rest } of events) {
    const { root, socket, instanceId } = nodes.get(node)!;
    if (what === 'POWER') {
      await box.ec2.send(new TerminateInstancesCommand({ InstanceIds: [instanceId] }));
    } else if (what === 'CALL') {
      // The words were recorded as a shell quotes them; the module calls it through one, too.
      const child = spawn('bash', ['-c', `exec "$0" "$1" dvdcli ${rest}`, process.execPath, main], {
        env: { ...process.env, DVE_ROOT: root, DVE_SOCKET: socket },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let stderr = '';
      child.stderr.on('data', (chunk) => {
        stderr += chunk;
      });
      calls.set(call, { child, exit: once(child, 'exit'), words: rest, stderr: () => stderr });
    } else {
      const { exit, words, stderr } = calls.get(call)!;
      const [code] = await exit;
      expect(`${words}: ${code} ${code === Number(rest) ? '' : stderr()}`).toBe(`${words}: ${rest} `);
      checked += 1;
    }
  }
  expect(checked).toBe(events.filter(({ what }) => what === 'EXIT').length);
  expect((await box.volumes('r-p1'))[0]?.Attachments).toMatchObject([{ InstanceId: b!.instanceId }]);
  for (const name of ['r-orph', 'r-used']) await box.detached(name);
});
