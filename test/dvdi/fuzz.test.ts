import fc from 'fast-check';
import { expect, test } from 'vitest';
import { endpoints } from '../../src/dvdi/endpoints.ts';
import { exchange, parseAnswer, requestBytes } from '../support/dvdi-client.ts';
import { fakeDriver } from './fake-driver.ts';
import { serving } from './serving.ts';

const alive = async (socketPath: string) =>
  expect(parseAnswer(await exchange(socketPath, requestBytes('Plugin.Activate', ''))).status).toBe(200);

const aboutNoName = new Set<unknown>([
  'acknowledge',
  'snapshots',
  'trash',
  'purge',
  'list',
  'drainStatus',
  'cancelDrain',
  'history',
  'resume',
  'status',
  'volumes',
  'health',
]);

test('any JSON to any endpoint is answered by the contract', async () => {
  const driver = fakeDriver();
  const { socketPath } = await serving(driver);
  const field = fc.oneof(fc.jsonValue(), fc.string({ unit: 'binary' }), fc.constantFrom('', null, {}, [], 0));
  const likely = fc.record({ Name: field, ID: field, Opts: field }, { requiredKeys: [] });
  const text = fc.oneof(
    fc.json(),
    fc.string(),
    likely.map((value) => JSON.stringify(value)),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...endpoints), text, async ({ path }, body) => {
      const before = driver.calls.length;
      const answer = parseAnswer(await exchange(socketPath, requestBytes(path.slice(1), body)));
      expect([200, 400]).toContain(answer.status);
      expect(typeof answer.body.Err).toBe('string');
      expect(answer.body.Err === '').toBe(answer.status === 200);
      if (answer.status === 400) expect(driver.calls.length).toBe(before);
    }),
    { numRuns: 500 },
  );
  for (const [method, name, given] of driver.calls) {
    if (aboutNoName.has(method)) continue;
    expect(typeof name === 'string' && name !== '').toBe(true);
    if (method === 'create')
      expect(Object.values(given as object).every((value) => typeof value === 'string')).toBe(true);
  }
  await alive(socketPath);
});

test('any bytes leave the server alive, and what is answered is a refusal', async () => {
  const { socketPath } = await serving(fakeDriver(), { receiveTimeoutMs: 100 });
  const good = Buffer.from(requestBytes('VolumeDriver.Mount', '{"Name":"a"}\n'));
  const broken = fc
    .tuple(fc.nat(good.length - 1), fc.uint8Array({ minLength: 1, maxLength: 20 }))
    .map(([at, bytes]) => Buffer.concat([good.subarray(0, at), bytes, good.subarray(at)]));
  const bytes = fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 400 }), broken);
  await fc.assert(
    fc.asyncProperty(bytes, async (sent) => {
      const text = await exchange(socketPath, `${Buffer.from(sent).toString('latin1')}\r\n\r\n`).catch(() => '');
      if (text === '') return;
      const answer = parseAnswer(text);
      expect(answer.status === 200 || (answer.status >= 400 && answer.status < 500)).toBe(true);
      if (typeof answer.body === 'object') expect(typeof answer.body.Err).toBe('string');
    }),
    { numRuns: 300 },
  );
  await alive(socketPath);
});
