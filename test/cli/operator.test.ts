import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { DriverError } from '../../src/errors.ts';
import type { DrainedVolume, DrainReport, Operator } from '../../src/volumes/types.ts';
import { fakeDriver } from '../dvdi/fake-driver.ts';
import { serving } from '../dvdi/serving.ts';

const main = join(import.meta.dirname, '../../src/cli/main.ts');

function run(argv: readonly string[], env: Record<string, string> = {}) {
  return new Promise<{ status: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [main, ...argv], { env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      resolve({ status: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
  });
}

const idle = fakeDriver().operator;

/** A daemon whose operator has these methods, and the commands that talk to it. */
async function daemon(own: Partial<Operator> = {}) {
  const driver = fakeDriver({ operator: { ...idle, ...own } });
  const { socketPath } = await serving(driver);
  return { driver, socketPath, command: (...argv: string[]) => run([...argv, '--socket', socketPath]) };
}

const draining = { reason: 'kernel update', by: 'operator', since: '2026-11-22T10:00:00.000Z' } as const;
const volume = (name: string, change: Partial<DrainedVolume> = {}): DrainedVolume => ({
  name,
  volumeId: `vol-${name}`,
  state: 'released',
  holders: [],
  why: undefined,
  ...change,
});

test.each([['status'], ['ls'], ['drain'], ['set'], ['fence']])(
  '%s --help says how it is used, without a daemon',
  async (command) => {
    expect(await run([command, '--help'])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(new RegExp(`^Usage: docker-volume-ebs ${command} .*Exit status:`, 's')),
      stderr: '',
    });
  },
);

test('without a daemon every command says where it looked, and how to start one', async () => {
  for (const argv of [['status'], ['ls'], ['drain'], ['fence', 'explain', 'a']]) {
    const { status, stderr } = await run(argv, { DVE_SOCKET: '/nowhere/ebs.sock', DVE_SIZE: 'a mistake elsewhere' });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^docker-volume-ebs: no daemon answers at \/nowhere\/ebs\.sock .*serve.*--socket[^\n]*\n$/);
  }
});

test.each([
  [['status', '--watch', '4000']],
  [['drain', 'data']],
  [['drain', '--timeout', 'soon']],
  [['drain', '--socket', 'relative']],
  [['drain', '--nonsense']],
  [['fence']],
  [['fence', 'constructor']],
  [['fence', 'explain']],
  [['fence', 'explain', 'a', 'b']],
  [['fence', 'confirm', 'a', '--victim', 'i-1']],
  [['fence', 'confirm', 'a', '--reason', 'x']],
  [['fence', 'pause', '--reason', ' ']],
  [['fence', 'history', '--limit', '0']],
  [['set']],
  [['set', 'a']],
  [['set', 'a', 'b', '--uid', '1']],
  [['set', 'a', '--size', '1']],
])('%j is a wrong command line: one line and status 2', async (argv) => {
  expect(await run(argv, { DVE_SOCKET: '/nowhere/ebs.sock' })).toMatchObject({
    status: 2,
    stdout: '',
    stderr: expect.stringMatching(/^docker-volume-ebs: [^\n]+\n$/),
  });
});

test('drain waits until all is released, and says on the way what it waits for', async () => {
  const busy = volume('db', { state: 'in-use', holders: ['id-1'], why: 'process 42 (postgres) still has it mounted' });
  const reports: DrainReport[] = [
    { draining, volumes: [volume('a'), busy] },
    { draining, volumes: [volume('a'), volume('db', { state: 'releasing', why: 'EC2 to detach it' })] },
    { draining, volumes: [volume('a'), volume('db')] },
  ];
  const { command } = await daemon({ drainStatus: async () => reports.shift() ?? { draining, volumes: [] } });
  expect(await command('drain')).toEqual({
    status: 0,
    stdout:
      'a   vol-a  released\ndb  vol-db  released\n' +
      'All 2 released. It takes no new mounts since 2026-11-22T10:00:00.000Z (kernel update); docker-volume-ebs drain --cancel ends that.\n',
    stderr: 'waiting for db: process 42 (postgres) still has it mounted (mounted for id-1)\n',
  });
});

test('drain ends with status 1 when something is left after its time, naming what uses it', async () => {
  const busy = volume('db', { state: 'in-use', holders: ['id-1', 'anonymous'], why: 'process 42 (postgres) has it' });
  const { command } = await daemon({ drainStatus: async () => ({ draining, volumes: [volume('a'), busy] }) });
  const { status, stdout } = await command('drain', '--timeout', '0', '--reason', 'kernel update');
  expect(status).toBe(1);
  expect(stdout).toMatch(
    /^a {3}vol-a {2}released\ndb {2}vol-db {2}in use: process 42 \(postgres\) has it \(mounted for id-1, anonymous\)\n/,
  );
  expect(stdout).toContain('1 of 2 not released yet');
  const { stdout: json } = await command('drain', '--status', '--json');
  expect(JSON.parse(json)).toMatchObject({ draining: { reason: 'kernel update' }, volumes: [{}, { state: 'in-use' }] });
});

test('drain --cancel says what it ended', async () => {
  const { command } = await daemon({ cancelDrain: async () => draining });
  expect(await command('drain', '--cancel')).toMatchObject({
    status: 0,
    stdout: 'This node takes mounts again. It was drained since 2026-11-22T10:00:00.000Z: kernel update.\n',
  });
});

test('fence explain reads as a page, or as JSON', async () => {
  const { command } = await daemon();
  expect((await command('fence', 'explain', 'a')).stdout).toBe(`volume         a (vol-1)
owner          i-2, as /dev/xvdba, since 2026-11-22T10:00:00Z
policy         never
outcome        it would be refused
because        it is attached to i-2
against        the policy
a mount would  1. refuse
to do          Detach it
`);
  expect(JSON.parse((await command('fence', 'explain', 'a', '--json')).stdout)).toMatchObject({ outcome: 'refuse' });
});

test('fence history, confirm, pause and resume tell what the daemon did', async () => {
  const { calls, operator } = fakeDriver();
  const { command } = await daemon(operator);
  expect((await command('fence', 'history')).stdout).toBe(
    '2026-11-22T10:00:00.000Z  a line\n' +
      "Since the daemon's start: decided 2 times to stop the owner first (policy stonith, evidence: suspected); " +
      'decided once to refuse (policy stonith); refused once because of: veto mesos; 2 owners stopped; ' +
      '1 takeover lost to another node\n',
  );
  expect(JSON.parse((await command('fence', 'history', '--json')).stdout)).toEqual({
    counters: expect.objectContaining({ refusals: { 'veto mesos': 1 }, lostRaces: 1 }),
    entries: [{ event: 'call' }],
  });
  const confirmed = await command('fence', 'confirm', 'a', '--victim', 'i-2', '--reason', 'it burnt');
  expect(confirmed).toEqual({ status: 0, stdout: 'i-2 is finished.\n', stderr: '' });
  await command('fence', 'confirm', 'a', '--victim', 'i-2', '--reason', 'it burnt', '--even-if-running');
  expect(calls.filter(([method]) => method === 'confirm')).toEqual([
    ['confirm', 'a', 'i-2', 'it burnt', { evenIfRunning: false }],
    ['confirm', 'a', 'i-2', 'it burnt', { evenIfRunning: true }],
  ]);
  expect((await command('fence', 'pause', '--reason', 'network')).stdout).toMatch(
    /^Fencing is paused .* 3 volumes say it/,
  );
  expect((await command('fence', 'resume')).stdout).toBe('Fencing goes on: it was taken off 2 volumes.\n');
});

test('set sends what is asked in the words of create, and tells what changed', async () => {
  const { calls, operator } = fakeDriver();
  const { command } = await daemon(operator);
  expect(await command('set', 'a', '--mount-options', 'noatime', '--subdirectory', '/', '--uid', '')).toEqual({
    status: 0,
    stdout:
      'a (vol-1):\n  mountOptions: not set -> noatime\n  subdirectory: not set -> /\n  uid: not set -> not set\n' +
      'They take effect at the next mount.\n',
    stderr: '',
  });
  expect((await command('set', 'a', '--mode', '0750', '--dry-run')).stdout).toMatch(
    /^a \(vol-1\), were it not a dry run:/,
  );
  expect(JSON.parse((await command('set', 'a', '--mkfs-options=-b 1024', '--json')).stdout)).toMatchObject({
    changes: [{ option: 'mkfsOptions', is: '-b 1024' }],
  });
  expect(calls).toEqual([
    ['setOptions', 'a', { mountOptions: 'noatime', subdirectory: '/', uid: '' }, { dryRun: false }],
    ['setOptions', 'a', { mode: '0750' }, { dryRun: true }],
    ['setOptions', 'a', { mkfsOptions: '-b 1024' }, { dryRun: false }],
  ]);
});

test('a refusal is one line and status 1', async () => {
  const refused = new DriverError('INVALID_REQUEST', {
    tried: 'confirm it',
    why: 'its owner is i-3',
    todo: 'Look again',
  });
  const { command } = await daemon({ fence: { ...idle.fence, confirm: () => Promise.reject(refused) } });
  expect(await command('fence', 'confirm', 'a', '--victim', 'i-2', '--reason', 'x')).toEqual({
    status: 1,
    stdout: '',
    stderr: 'docker-volume-ebs: volume "a": cannot confirm it: its owner is i-3. Look again.\n',
  });
});

test('the commands do without the EC2 client, which takes longer to load than they take', () => {
  const source = join(import.meta.dirname, '../../src');
  const seen = new Set<string>();
  const packages: string[] = [];
  const follow = (file: string) => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const [, specifier = ''] of readFileSync(file, 'utf8').matchAll(
      /^(?:import|export) (?!type ).*from '([^']+)'/gm,
    )) {
      if (specifier.startsWith('.')) follow(join(dirname(file), specifier));
      else packages.push(specifier);
    }
  };
  for (const command of ['status', 'ls', 'drain', 'set', 'fence', 'dvdcli'].map((name) => `cli/${name}/${name}.ts`))
    follow(join(source, command));
  expect(packages.filter((name) => !name.startsWith('node:'))).toEqual([]);
  expect(seen.size).toBeGreaterThan(4);
});
