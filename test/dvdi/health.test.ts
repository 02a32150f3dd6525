import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { askHealth } from '../../src/cli/health/health.ts';
import type { Health } from '../../src/volumes/types.ts';
import { fakeDriver } from './fake-driver.ts';
import { scratch, serving } from './serving.ts';

const well: Health = {
  problems: [],
  instanceId: 'i-1',
  draining: undefined,
  ec2: { answeredAt: undefined, answeredSecondsAgo: undefined, failing: undefined },
};

async function get(socketPath: string, method = 'GET') {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number | undefined; body: unknown }>();
  request({ socketPath, path: '/health', method }, async (response) => {
    resolve({ status: response.statusCode, body: JSON.parse(await text(response)) });
  })
    .on('error', reject)
    .end();
  return promise;
}

test('a node in health answers 200, and only its health is asked for', async () => {
  const ec2 = { answeredAt: '2026-01-02T03:04:05.678Z', answeredSecondsAgo: 60, failing: undefined };
  const driver = fakeDriver({ health: async () => ({ ...well, ec2 }) });
  const { socketPath } = await serving(driver);
  expect(await get(socketPath)).toEqual({
    status: 200,
    body: {
      ...{ status: 'ok', version: expect.stringMatching(/^\d+\.\d+\.\d+/), problems: [], instanceId: 'i-1' },
      ec2: { answeredAt: ec2.answeredAt, answeredSecondsAgo: 60 },
    },
  });
  expect(driver.calls).toEqual([['health']]);
});

test('a node with problems answers 503 and names them', async () => {
  const { socketPath } = await serving(
    fakeDriver({ health: async () => ({ ...well, problems: ['the disk is full'] }) }),
  );
  expect(await get(socketPath)).toMatchObject({
    status: 503,
    body: { status: 'failing', problems: ['the disk is full'] },
  });
});

test('a drained node is in health', async () => {
  const draining = { reason: 'update', by: 'operator', since: '2026-11-22T10:00:00.000Z' } as const;
  const { socketPath } = await serving(fakeDriver({ health: async () => ({ ...well, draining }) }));
  expect(await get(socketPath)).toMatchObject({ status: 200, body: { status: 'ok', draining } });
});

test('a driver that does not open is a problem, and nobody waits for it', async () => {
  const { socketPath } = await serving(new Promise(() => undefined));
  expect(await get(socketPath)).toMatchObject({ status: 503, body: { problems: ['the driver is starting'] } });
});

test('it is there for GET alone', async () => {
  const { socketPath } = await serving(fakeDriver());
  expect(await get(socketPath, 'POST')).toMatchObject({ status: 404 });
});

test('the command asks it, and tells a daemon that is not there from one that knows no health', async () => {
  const { socketPath } = await serving(fakeDriver());
  expect(await askHealth(socketPath, '/nowhere')).toMatchObject({ status: 'ok', instanceId: 'i-1' });
  const nowhere = `${await scratch()}/ebs.sock`;
  await expect(askHealth(nowhere, '/nowhere')).rejects.toThrow(`the daemon at ${nowhere} does not answer`);
});
