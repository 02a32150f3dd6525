import { expect, test } from 'vitest';
import { DriverError, type ErrorCode } from '../../src/errors.ts';
import { fakeDriver } from './fake-driver.ts';
import { serving } from './serving.ts';

const failures: [ErrorCode, number][] = [
  ['INVALID_OPTION', 400],
  ['NO_SUCH_VOLUME', 404],
  ['EXISTS_DIFFERENT', 409],
  ['ATTACHED_ELSEWHERE', 409],
  ['NODE_FULL', 500],
  ['EC2_THROTTLED', 503],
];
test.each(failures)('%s of the driver answers %i and names the volume', async (code, status) => {
  const problem = new DriverError(code, { tried: 'do it', why: 'it is so', todo: 'Do that' });
  const driver = fakeDriver({ get: () => Promise.reject(problem), mount: () => Promise.reject(problem) });
  const { call, lines } = await serving(driver);
  for (const endpoint of ['VolumeDriver.Get', 'VolumeDriver.Mount']) {
    const answer = await call(endpoint, { Name: 'data' });
    expect(answer).toMatchObject({ status, body: { Err: 'volume "data": cannot do it: it is so. Do that.' } });
  }
  expect(lines.map(({ level, op, volume, code: logged }) => [level, op, volume, logged])).toEqual([
    [40, 'get', 'data', code],
    [40, 'mount', 'data', code],
  ]);
});

test('any other error answers 500 without its stack, which is logged', async () => {
  const { call, lines } = await serving(fakeDriver({ remove: () => Promise.reject(new TypeError('boom')) }));
  const answer = await call('VolumeDriver.Remove', { Name: 'a' });
  expect(answer.status).toBe(500);
  expect(answer.body.Err).toMatch(/^volume "a": cannot remove it: boom\. This is a defect/);
  expect(answer.body.Err).not.toMatch(/\bat /);
  expect(lines[0]).toMatchObject({ level: 50, op: 'remove', volume: 'a', status: 500, code: 'INTERNAL' });
  expect(JSON.stringify(lines[0])).toMatch(/wire-failures\.test\.ts/);
});

test('an empty mountpoint is never sent', async () => {
  const { call } = await serving(fakeDriver({ mount: async () => '' }));
  const answer = await call('VolumeDriver.Mount', { Name: 'a', ID: 'i' });
  expect(answer).toMatchObject({ status: 500, body: { Err: expect.stringMatching(/the driver gave no mountpoint/) } });
});
