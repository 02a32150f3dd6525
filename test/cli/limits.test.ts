import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { nodeVariables } from '../../src/cli/node-variables.ts';
import { silentDaemon } from '../../src/cli/silent-daemon.ts';
import { listenOn } from '../../src/dvdi/socket.ts';
import { fakeDriver } from '../dvdi/fake-driver.ts';
import { serving } from '../dvdi/serving.ts';

const main = join(import.meta.dirname, '../../src/cli/main.ts');

const run = (argv: readonly string[], env: Record<string, string> = {}) =>
  new Promise<{ status: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [main, ...argv], { env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      resolve({ status: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
  });

function directory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'dve-limits-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  return dir;
}

test('a daemon that takes connections and answers nothing is told of by every command, with what is known of it', async () => {
  const dir = directory();
  mkdirSync(join(dir, 'root/state'), { recursive: true });
  const socket = join(dir, 's.sock');
  const server = createServer(() => undefined).listen(socket);
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const env = { DVE_ROOT: join(dir, 'root') };
  const commands = [
    ['status'],
    ['ls'],
    ['fence', 'explain', 'a'],
    ['fence', 'history'],
    ['drain', '--status'],
    ['health'],
  ];
  const told = await Promise.all(commands.map((argv) => run([...argv, '--socket', socket], env)));
  for (const { status, stdout, stderr } of told) {
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^docker-volume-ebs: the daemon at \S+s\.sock does not answer, for 5 s now/);
    expect(stderr).toContain(`its process ${process.pid} `);
    expect(stderr).toMatch(
      /it was last seen to write its journal at 20\S+Z\. (?:Restart it with|End it with kill) [^\n]+\n$/,
    );
  }
});

test('the process of a daemon that made its socket itself is found by the lock that it keeps', async () => {
  const dir = directory();
  const socket = join(dir, 'ebs.sock');
  const app = createServer();
  const owned = await listenOn(app, socket);
  onTestFinished(() => {
    app.close();
    owned.release();
  });
  expect(silentDaemon(socket, dir, 5).message).toMatch(
    new RegExp(
      `its process ${process.pid} runs.*\\. End it with kill -9 ${process.pid}, and start it again if nothing`,
    ),
  );
});

test('what takes longer is said on standard error, once a reason; the answer comes all the same', async () => {
  const answered = Promise.withResolvers<void>();
  const reasons = ['EC2 to list the volumes', 'EC2 to list the volumes', 'EC2, which refuses calls for their rate'];
  const { operator } = fakeDriver();
  const driver = fakeDriver({
    awaited: () => {
      const what = reasons.shift();
      if (what === undefined) answered.resolve();
      return { what: what ?? 'the end', share: undefined };
    },
    operator: { ...operator, volumes: () => answered.promise.then(() => operator.volumes()) },
  });
  const { socketPath } = await serving(driver);
  const { status, stderr } = await run(['ls', '--socket', socketPath]);
  expect(status).toBe(0);
  expect(stderr).toMatch(
    /^waiting for EC2 to list the volumes\nwaiting for EC2, which refuses calls for their rate\n(?:waiting for the end\n)?$/,
  );
});

test.each([
  ['serve'],
  ['status'],
  ['ls'],
  ['doctor'],
  ['health'],
  ['adopt'],
  ['fence', 'history'],
  ['install'],
  ['sandbox'],
])('%s refuses a variable that is no setting, with the nearest', async (...argv) => {
  expect(await run(argv, { DVE_FENCE_POLCY: 'never' })).toEqual({
    status: 2,
    stdout: '',
    stderr: expect.stringMatching(
      /^docker-volume-ebs: cannot use DVE_FENCE_POLCY of the environment: there is no such setting, but DVE_FENCE_POLICY\. [^\n]+\n$/,
    ),
  });
});

test('help and version are not kept back by a variable', async () => {
  expect(await run(['version'], { DVE_FENCE_POLCY: 'never' })).toMatchObject({ status: 0, stderr: '' });
});

test('a command finds the socket of the installed service, else of the managed plugin', () => {
  const dir = directory();
  const id = 'a'.repeat(64);
  mkdirSync(join(dir, id));
  const plugin = {
    Enabled: true,
    Config: { Interface: { Socket: 'ebs.sock' } },
    Settings: { Env: ['DVE_CLUSTER=shop'] },
  };
  writeFileSync(join(dir, id, 'config.json'), JSON.stringify({ plugin }));
  writeFileSync(join(dir, 'env'), 'DVE_SOCKET=/run/own.sock\nAWS_REGION=eu-west-1\n');
  expect(nodeVariables({}, join(dir, 'env'), dir).env).toEqual({
    DVE_SOCKET: '/run/own.sock',
    AWS_REGION: 'eu-west-1',
  });
  expect(nodeVariables({ HOME: '/' }, join(dir, 'none'), dir).env).toEqual({
    HOME: '/',
    DVE_CLUSTER: 'shop',
    DVE_SOCKET: `/run/docker/plugins/${id}/ebs.sock`,
  });
  writeFileSync(join(dir, id, 'config.json'), JSON.stringify({ plugin: { ...plugin, Enabled: false } }));
  expect(nodeVariables({}, join(dir, 'none'), dir).env).toEqual({});
});
