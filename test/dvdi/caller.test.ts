import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DriverError, isCode } from '../../src/errors.ts';
import { exchange, parseAnswer } from '../support/dvdi-client.ts';
import { fakeDriver } from './fake-driver.ts';
import { serving } from './serving.ts';

let unhandled: unknown[] = [];
const note = (error: unknown) => void unhandled.push(error);
beforeEach(() => {
  unhandled = [];
  process.on('unhandledRejection', note);
});
afterEach(() => {
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
});

test.each(['Create', 'Mount'])('a caller of %s that leaves aborts the signal, and the work goes on', async (verb) => {
  const work = Promise.withResolvers<string>();
  const signals: AbortSignal[] = [];
  const driver = fakeDriver({
    create: async (_name, _options, caller) => {
      signals.push(caller!.signal!);
      await work.promise;
    },
    mount: (_name, _id, caller) => {
      signals.push(caller!.signal!);
      return work.promise;
    },
  });
  const { call, lines } = await serving(driver);
  const leaving = new AbortController();
  const gone = call(`VolumeDriver.${verb}`, { Name: 'a', ID: 'i' }, leaving.signal).catch(() => 'gone');
  await expect.poll(() => signals).toHaveLength(1);
  expect(signals[0]!.aborted).toBe(false);
  leaving.abort();
  expect(await gone).toBe('gone');
  await expect.poll(() => signals[0]!.aborted).toBe(true);
  expect(isCode(signals[0]!.reason, 'STILL_WORKING')).toBe(true);
  work.resolve('/mnt/a');
  await expect.poll(() => lines.map(({ msg }) => msg)).toContain('done after its caller had gone');
});

test('at the deadline the wire says what the volume waits for, and a late failure is logged', async () => {
  const work = Promise.withResolvers<string>();
  const signals: AbortSignal[] = [];
  const driver = fakeDriver({
    mount: (_name, _id, caller) => {
      signals.push(caller!.signal!);
      return work.promise;
    },
    waitingFor: (name) => `vol-1 of ${name} to leave i-2`,
  });
  const { call, lines } = await serving(driver, { mountTimeoutMs: 100 });
  const answer = await call('VolumeDriver.Mount', { Name: 'a', ID: 'i' });
  expect(answer.status).toBe(503);
  expect(answer.body.Err).toBe(
    'volume "a": cannot mount it: it is not done after 0.1 s: waiting for vol-1 of a to leave i-2. ' +
      'The work goes on: try again, and the next call takes it up.',
  );
  expect(signals[0]!.aborted).toBe(true);
  work.reject(new Error('too late'));
  await expect.poll(() => lines.map(({ msg }) => msg)).toContain('failed after its caller had gone');
});

test.each([
  ['Unmount', 'unmount it'],
  ['Remove', 'remove it'],
  ['Path', 'tell its path'],
])('%s is answered in its own time though its work is stuck, and goes on', async (verb, tried) => {
  const work = Promise.withResolvers<string>();
  const driver = fakeDriver({
    unmount: () => work.promise.then(() => undefined),
    remove: () => work.promise.then(() => undefined),
    path: () => work.promise,
    waitingFor: () => 'its disk, which does not answer',
  });
  const { call, lines } = await serving(driver, { quickTimeoutMs: 50 });
  const answer = await call(`VolumeDriver.${verb}`, { Name: 'a', ID: 'i' });
  expect(answer.status).toBe(503);
  expect(answer.body.Err).toBe(
    `volume "a": cannot ${tried}: it is not done after 0.05 s: waiting for its disk, which does not answer. ` +
      'The work goes on: try again, and the next call takes it up.',
  );
  work.resolve('');
  await expect.poll(() => lines.map(({ msg }) => msg)).toContain('done after its caller had gone');
});

test('a driver that gives up with the signal is answered once and logged once', async () => {
  const driver = fakeDriver({
    create: (_name, _options, caller) => {
      const { signal } = caller as { signal: AbortSignal };
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    },
  });
  const { call, lines } = await serving(driver, { mountTimeoutMs: 50 });
  const answer = await call('VolumeDriver.Create', { Name: 'a' });
  expect(answer).toMatchObject({
    status: 503,
    body: { Err: expect.stringMatching(/cannot create it: it is not done after 0\.05 s\. The/) },
  });
  await sleep(50);
  expect(lines).toHaveLength(1);
});

test('a driver that is not open yet is what a mount waits for', async () => {
  const { call } = await serving(new Promise<never>(() => {}), { mountTimeoutMs: 50 });
  const answer = await call('VolumeDriver.Mount', { Name: 'a' });
  expect(answer).toMatchObject({
    status: 503,
    body: { Err: expect.stringMatching(/waiting for the driver to start/) },
  });
});

test('a driver that fails to open fails its callers', async () => {
  const failed = Promise.reject(
    new DriverError('JOURNAL_FAILED', { tried: 'start', why: 'the disk is full', todo: 'Make room' }),
  );
  failed.catch(() => {});
  const { call } = await serving(failed);
  expect(await call('VolumeDriver.Get', { Name: 'a' })).toMatchObject({
    status: 500,
    body: { Err: expect.stringMatching(/disk is full/) },
  });
});

test('the time a request may take to arrive does not cut a mount that takes longer', async () => {
  const driver = fakeDriver({ mount: () => sleep(1500, '/mnt/a') });
  const { call } = await serving(driver, { receiveTimeoutMs: 200 });
  expect((await call('VolumeDriver.Mount', { Name: 'a' })).body).toEqual({ Mountpoint: '/mnt/a', Err: '' });
});

test.each([
  '',
  'POST /VolumeDriver.Mount HT',
  'POST /VolumeDriver.Mount HTTP/1.1\r\nHost:\r\nContent-Length: 20\r\n\r\n{',
])('a request that stops after %j is refused in time', async (bytes) => {
  const driver = fakeDriver();
  const { socketPath, call } = await serving(driver, { receiveTimeoutMs: 200 });
  const text = await exchange(socketPath, bytes);
  if (text !== '')
    expect(parseAnswer(text)).toMatchObject({
      status: 408,
      body: { Err: expect.stringMatching(/did not arrive in time/) },
    });
  expect(driver.calls).toEqual([]);
  expect((await call('Plugin.Activate')).status).toBe(200);
});
