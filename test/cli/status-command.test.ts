import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { NodeStatus, NodeVolume } from '../../src/volumes/types.ts';
import { fakeDriver } from '../dvdi/fake-driver.ts';
import { serving } from '../dvdi/serving.ts';

const main = join(import.meta.dirname, '../../src/cli/main.ts');
const now = Date.parse('2026-01-21T09:00:00Z');
const ago = (seconds: number) => new Date(now - seconds * 1000).toISOString();
const esc = '\x1b';

const volume: NodeVolume = {
  name: 'pgdata',
  volumeId: 'vol-1',
  phase: 'mounted',
  device: '/dev/xvdba',
  mountpoint: '/ebs/volumes/pgdata/data',
  holders: [{ id: 'id-1', since: ago(1) }],
  since: ago(60),
  waitingFor: undefined,
  rescue: undefined,
  users: [],
  proof: undefined,
  autoGrow: undefined,
  snapshots: undefined,
  ghost: false,
  fault: undefined,
  size: { diskBytes: 1200, filesystemBytes: 1000, refused: undefined },
  usage: { bytes: { total: 100, used: 40, available: 55 }, inodes: { total: 10, used: 3 } },
};

/** A daemon that holds these volumes, and commands that ask it. */
async function daemon(volumes: () => readonly NodeVolume[]) {
  const driver = fakeDriver();
  const { operator } = driver;
  const status = async (): Promise<NodeStatus> => ({ ...(await operator.status()), volumes: volumes() });
  const { socketPath } = await serving(fakeDriver({ operator: { ...operator, status } }));
  const args = (argv: readonly string[]) => [main, 'status', ...argv, '--socket', socketPath];
  return {
    command: (...argv: string[]) =>
      new Promise<{ status: number; stdout: string; stderr: string }>((resolve) => {
        execFile(process.execPath, args(argv), (error, stdout, stderr) => {
          resolve({ status: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
        });
      }),
    /** The command as it goes on; what it has printed so far, and a way to wait for more. */
    begin(program: string, argv: readonly string[]) {
      const child = spawn(program, argv, { stdio: ['pipe', 'pipe', 'inherit'] });
      onTestFinished(() => void child.kill('SIGKILL'));
      let text = '';
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      return {
        child,
        text: () => text,
        async until(enough: (shown: string) => boolean) {
          while (!enough(text)) await once(child.stdout, 'data');
        },
      };
    },
    args,
  };
}

test('status prints the table, or the answer as JSON, of the names that are asked for', async () => {
  const { command } = await daemon(() => [volume, { ...volume, name: 'web' }]);
  const { status, stdout, stderr } = await command('web');
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(/^node i-1 in eu-west-1a.*\n\nNAME .*\nweb +vol-1 +mounted .*\n$/);
  expect(JSON.parse((await command('--json', 'web')).stdout)).toMatchObject({
    node: { instanceId: 'i-1' },
    slots: { used: 2, limit: 27 },
    volumes: [{ name: 'web', phase: 'mounted', usage: { bytes: { used: 40 } } }],
  });
});

test('status --watch on a pipe prints a block when something has changed, and ends well when interrupted', async () => {
  let asked = 0;
  let seen = [volume];
  const thrice = Promise.withResolvers<void>();
  const { begin, args } = await daemon(() => {
    asked += 1;
    if (asked === 3) thrice.resolve();
    const usage = { bytes: { total: 100, used: asked, available: 1 }, inodes: { total: 10, used: asked } };
    return seen.map((each) => ({ ...each, usage }));
  });
  const { child, until, text } = begin(process.execPath, args(['--watch', '0.5']));
  await until((shown) => shown.includes(' mounted '));
  await thrice.promise;
  seen = [{ ...volume, phase: 'detaching' }];
  await until((shown) => shown.includes(' detaching '));
  expect(text().match(/^NAME/gm)).toHaveLength(2);
  expect(text().match(/^2\d{3}-\S+Z$/gm)).toHaveLength(2);
  child.kill('SIGINT');
  expect(await once(child, 'exit')).toEqual([0, null]);
});

test('status --watch --json gives a line for each change, also where no daemon answers', async () => {
  const { begin } = await daemon(() => []);
  const { child, until, text } = begin(process.execPath, [
    main,
    'status',
    '--watch',
    '--json',
    '--socket',
    '/nowhere/s',
  ]);
  await until((shown) => shown.endsWith('\n'));
  expect(JSON.parse(text())).toEqual({ error: expect.stringContaining('/nowhere/s') });
  child.stdout.destroy();
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([0, null]);
});

test('status --watch on a terminal draws in place and gives the terminal back', async () => {
  const { begin, args } = await daemon(() => [volume]);
  const command = [process.execPath, ...args(['--watch', '0.5'])].map((word) => `'${word}'`).join(' ');
  const { child, until, text } = begin('script', ['-qefc', `stty rows 5 cols 80; exec ${command}`, '/dev/null']);
  const home = `${esc}[H`;
  await until((shown) => shown.split(home).length > 2);
  // As a person types it: Ctrl-C.
  child.stdin.write('\x03');
  expect(await once(child, 'exit')).toEqual([0, null]);
  expect(text().startsWith(`${esc}[?1049h${esc}[?25l${home}`)).toBe(true);
  expect(text().trimEnd().endsWith(`${esc}[?25h${esc}[?1049l`)).toBe(true);
  // Of five rows the last stays free.
  expect(text().split(home)[1]).toMatch(/^20.*\r\n.*\r\n.*\r\n… 3 more lines/);
});

test('a terminal that does not know its size is taken for one of 80 columns when it is redrawn, and for a wide one else', async () => {
  const { begin, args } = await daemon(() => [volume]);
  const shell = (argv: readonly string[]) => [process.execPath, ...argv].map((word) => `'${word}'`).join(' ');
  const commands = `stty rows 0 cols 0; ${shell(args([]))}; exec ${shell(args(['--watch', '0.5']))}`;
  const { child, until, text } = begin('script', ['-qefc', commands, '/dev/null']);
  const home = `${esc}[H`;
  await until((shown) => shown.split(home).length > 2);
  child.stdin.write('\x03');
  expect(await once(child, 'exit')).toEqual([0, null]);
  const [plain = '', redrawn = ''] = text().split(home);
  for (const shown of [plain, redrawn]) expect(shown).toMatch(/NAME +VOLUME .*FOR/);
  expect(plain).toMatch(/^node i-1 .* up /m);
});
