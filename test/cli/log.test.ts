import { expect, test } from 'vitest';
import { DriverError } from '../../src/errors.ts';
import { createLogger, operation } from '../../src/log.ts';

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

test('an error has its code and its causes, and nothing else that hangs on it', () => {
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
    stack: expect.any(String),
    cause: { type: 'RequestLimitExceeded', message: 'Rate exceeded', stack: expect.any(String) },
  });
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
