import { type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { DriverError, toDriverError } from '../../src/errors.ts';
import { run } from '../../src/host/run.ts';
import { createLogger, operation, over } from '../../src/log.ts';
import { requires } from '../support/requirements.ts';
import { fillDisk } from '../support/small-disk.ts';

function logged(settings: { instanceId?: string; logLevel?: 'debug' | 'info' } = {}) {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger(
    { instanceId: 'i-1', logLevel: 'info', ...settings },
    { write: (line) => void lines.push(JSON.parse(line)) },
  );
  return { log, lines };
}

test('a line says when, how grave, on which node, for which volume and operation', async () => {
  const { log, lines } = logged();
  log.debug('not this');
  log.info('listening');
  await operation.run({ op: 'mount', volume: 'a' }, async () => {
    await Promise.resolve();
    log.info('mounted');
  });
  const time = expect.stringMatching(/^\d{4}-.*Z$/);
  expect(lines).toEqual([
    { level: 'info', time, node: 'i-1', op: 'daemon', msg: 'listening' },
    { level: 'info', time, node: 'i-1', op: 'mount', volume: 'a', msg: 'mounted' },
  ]);
});

test('a node that is learnt later is in lines from then on, those of children too', () => {
  const { log, lines } = logged({ instanceId: '' });
  log.info('early');
  log.setBindings({ node: 'i-2' });
  log.child({ volume: 'a' }).info('later');
  expect(lines.map(({ node }) => node)).toEqual([undefined, 'i-2']);
});

test('an error of the catalogue has its code and its causes, no stack, and nothing else that hangs on it', () => {
  const { log, lines } = logged();
  const aws = Object.assign(new Error('Rate exceeded'), {
    name: 'RequestLimitExceeded',
    $response: { headers: 'secret' },
  });
  log.error({ err: new DriverError('EC2_THROTTLED', { tried: 'attach', why: 'so', todo: 'Wait', cause: aws }) }, 'x');
  expect(lines[0]?.['err']).toEqual({
    type: 'DriverError',
    code: 'EC2_THROTTLED',
    message: 'cannot attach: so. Wait.',
    cause: { type: 'RequestLimitExceeded', message: 'Rate exceeded' },
  });
});

test('a defect has the stacks of all its causes', () => {
  const { log, lines } = logged();
  log.error({ err: toDriverError(new TypeError('x is not a function'), 'mount it') }, 'x');
  const stack = expect.stringContaining('log.test.ts');
  expect(lines[0]?.['err']).toMatchObject({ code: 'INTERNAL', stack, cause: { type: 'TypeError', stack } });
});

const unavailable = (request: string, volume?: string) => ({
  err: new DriverError('EC2_UNAVAILABLE', {
    volume,
    tried: 'detach',
    why: `no (request ${request}, 4 attempts)`,
    todo: 'Wait',
  }),
});

test('a failure that recurs is said when it begins, when it is another, now and then with a count, and when it ends', () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const { log, lines } = logged();
  const release = (work: () => void) => operation.run({ op: 'release', volume: 'a' }, work);
  for (let second = 0; second < 3700; second += 10) {
    release(() => log.warn(unavailable(`4f-${second}`), 'release failed'));
    if (second === 1000) release(() => log.warn({ err: new Error('denied') }, 'release failed'));
    vi.advanceTimersByTime(10_000);
  }
  release(() => over(log, { op: 'release', volume: 'a' }));
  release(() => over(log, { op: 'release', volume: 'a' }));
  release(() => log.warn(unavailable('1'), 'release failed'));
  expect(
    lines.map(({ msg, repeated, err, ...rest }) => [msg, repeated, (err as { code?: string })?.code, rest['times']]),
  ).toEqual([
    ['release failed', undefined, 'EC2_UNAVAILABLE', undefined],
    ['release failed', undefined, undefined, undefined],
    ['release failed', 360, 'EC2_UNAVAILABLE', undefined],
    ['works again', undefined, undefined, 1],
    ['works again', undefined, undefined, 370],
    ['release failed', undefined, 'EC2_UNAVAILABLE', undefined],
  ]);
  expect(lines.at(-2)).toMatchObject({
    op: 'release',
    volume: 'a',
    failed: 'release failed',
    seconds: 3700,
    level: 'info',
  });
});

test('failures of other volumes, other operations and other loggers are news of their own, as is what is no failure', () => {
  const { log, lines } = logged();
  for (const volume of ['a', 'b']) log.warn({ op: 'mount', volume, code: 'HOST_FAILED' }, 'cannot mount it');
  log.warn({ op: 'unmount', volume: 'a', code: 'HOST_FAILED' }, 'cannot mount it');
  log.child({}).warn({ op: 'mount', volume: 'a', code: 'HOST_FAILED' }, 'cannot mount it');
  logged().log.warn({ op: 'mount', volume: 'a', code: 'HOST_FAILED' }, 'cannot mount it');
  for (const _ of [1, 2]) log.warn({ volume: 'a' }, 'its mount is gone');
  over(log.child({}), { op: 'mount', volume: 'b' });
  expect(lines.map(({ op, volume, msg }) => `${op} ${volume}: ${msg}`)).toEqual([
    'mount a: cannot mount it',
    'mount b: cannot mount it',
    'unmount a: cannot mount it',
    'daemon a: its mount is gone',
    'daemon a: its mount is gone',
    'mount b: works again',
  ]);
});

test('an error that is its own cause, and a thrown text, are logged', () => {
  const { log, lines } = logged();
  const loop = new Error('loop');
  loop.cause = loop;
  log.error({ err: loop }, 'x');
  log.error({ err: new Error('outer', { cause: 'text' }) }, 'y');
  expect(lines).toHaveLength(2);
  expect(lines[1]?.['err']).toMatchObject({ cause: { message: 'text' } });
});

test('credentials are not logged', () => {
  const { log, lines } = logged();
  log.info({
    secretAccessKey: 's3',
    credentials: { accessKeyId: 's3' },
    headers: { authorization: 's3', 'x-amz-security-token': 's3' },
  });
  expect(JSON.stringify(lines)).not.toContain('s3');
});

/** A program that logs a line for each that it is told, whatever its output is. */
async function logging(output: StdioOptions) {
  const code = `
    const { createLogger } = await import(${JSON.stringify(join(import.meta.dirname, '../../src/log.ts'))});
    const log = createLogger({ logLevel: 'info', instanceId: 'i-1' });
    process.on('message', (text) => { log.info(text); process.send('said'); });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: output });
  const ended = once(child, 'exit').then(() => ['ended']);
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return {
    child,
    async say(text: string) {
      const said = Promise.race([once(child, 'message'), ended]);
      child.send(text);
      expect((await said)[0]).toBe('said');
    },
  };
}

test.skipIf(requires('root').skip)(
  'a full disk ends nothing, and what was to be said is written once there is room',
  async () => {
    const dir = await mkdtemp('/var/tmp/dve-log-');
    await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', dir]);
    onTestFinished(async () => {
      await run('umount', [dir]);
      await rm(dir, { recursive: true });
    });
    const file = await open(join(dir, 'log'), 'a');
    onTestFinished(() => file.close());
    const { say } = await logging(['ignore', file.fd, 'inherit', 'ipc']);
    await fillDisk(dir);
    const long = 'x'.repeat(5000);
    await say(`one ${long}`);
    await say(`two ${long}`);
    for (const name of await readdir(dir)) if (name !== 'log') await rm(join(dir, name));
    await say('three');
    const lines = (await readFile(join(dir, 'log'), 'utf8')).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).msg.slice(0, 5))).toEqual(['one x', 'two x', 'three']);
  },
);

test('a reader that has gone ends nothing', async () => {
  const { child, say } = await logging(['ignore', 'pipe', 'inherit', 'ipc']);
  child.stdout?.destroy();
  for (const text of ['one', 'two', 'three']) await say(text);
});
