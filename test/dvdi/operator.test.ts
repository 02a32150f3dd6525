import { expect, test } from 'vitest';
import { DriverError } from '../../src/errors.ts';
import type { Operator } from '../../src/volumes/types.ts';
import { fakeDriver } from './fake-driver.ts';
import { serving } from './serving.ts';

const idle = fakeDriver().operator;

/** A wire over an operator, some of whose methods are these. */
const operating = (own: Partial<Operator>) => serving(fakeDriver({ operator: { ...idle, ...own } }));

test('each command reaches the operator in its own words', async () => {
  const driver = fakeDriver();
  const { call } = await serving(driver);
  for (const [endpoint, body] of [
    ['Status', undefined],
    ['Volumes', undefined],
    ['Drain', { Reason: 'maintenance' }],
    ['DrainStatus', undefined],
    ['DrainCancel', {}],
    ['FenceExplain', { Name: 'a' }],
    ['FenceHistory', { Limit: 5 }],
    ['FenceConfirm', { Name: 'a', Victim: 'i-2', Reason: 'burnt' }],
    ['FenceConfirm', { Name: 'a', Victim: 'i-2', Reason: 'burnt', EvenIfRunning: true }],
    ['Set', { Name: 'a', Options: { uid: '' } }],
    ['Set', { Name: 'a', Options: { mountOptions: 'noatime' }, DryRun: true }],
    ['EndHolder', { Name: 'a', Holder: 'anonymous' }],
    ['FencePause', { Reason: 'network' }],
    ['FenceResume', {}],
  ] as const) {
    expect(await call(`Ebs.${endpoint}`, body)).toMatchObject({ status: 200, body: { Err: '' } });
  }
  expect(driver.calls).toEqual([
    ['status'],
    ['volumes'],
    ['drain', 'maintenance'],
    ['drainStatus'],
    ['cancelDrain'],
    ['explain', 'a'],
    ['history', 5],
    ['confirm', 'a', 'i-2', 'burnt', { evenIfRunning: false }],
    ['confirm', 'a', 'i-2', 'burnt', { evenIfRunning: true }],
    ['setOptions', 'a', { uid: '' }, { dryRun: false }],
    ['setOptions', 'a', { mountOptions: 'noatime' }, { dryRun: true }],
    ['endHolder', 'a', 'anonymous'],
    ['pause', 'network'],
    ['resume'],
  ]);
});

test('answers are in the case of the wire, inside its envelope', async () => {
  const { call } = await serving(fakeDriver());
  expect((await call('Ebs.Drain', { Reason: 'maintenance' })).body).toEqual({
    Draining: { Reason: 'maintenance', By: 'operator', Since: '2026-11-22T10:00:00.000Z' },
    Volumes: [{ Name: 'a', VolumeId: 'vol-1', State: 'in-use', Holders: ['id-1'], Why: 'a container has it' }],
    Err: '',
  });
  expect((await call('Ebs.DrainStatus')).body).toEqual({ Volumes: [], Err: '' });
  expect((await call('Ebs.FenceExplain', { Name: 'a' })).body).toEqual({
    Name: 'a',
    VolumeId: 'vol-1',
    Policy: 'never',
    Outcome: 'refuse',
    Reason: 'it is attached to i-2',
    Todo: 'Detach it',
    Owner: { InstanceId: 'i-2', Device: '/dev/xvdba', AttachTime: '2026-11-22T10:00:00Z' },
    For: [],
    Against: ['the policy'],
    Steps: ['refuse'],
    Paused: '',
    Denied: [],
    Err: '',
  });
  expect((await call('Ebs.FenceHistory', { Limit: 1 })).body).toEqual({
    Entries: [{ At: '2026-11-22T10:00:00.000Z', Text: 'a line', Entry: { event: 'call' } }],
    Counters: {
      Decisions: { 'stonith suspected stop': 2, 'stonith - refuse': 1 },
      Refusals: { 'veto mesos': 1 },
      Stops: { Graceful: 2, Forced: 0 },
      ForcedDetaches: 0,
      LostRaces: 1,
      Aborted: 0,
    },
    Err: '',
  });
});

test.each([
  ['Drain', {}],
  ['Drain', { Reason: '' }],
  ['FenceExplain', {}],
  ['FenceHistory', { Limit: 0 }],
  ['FenceConfirm', { Name: 'a', Victim: 'i-2' }],
  ['FenceConfirm', { Name: 'a', Victim: '', Reason: 'burnt' }],
  ['FenceConfirm', { Name: 'a', Victim: 'i-2', Reason: 'burnt', EvenIfRunning: 'no' }],
  ['FencePause', undefined],
  ['Set', { Name: 'a' }],
  ['Set', { Name: 'a', Options: {} }],
  ['Set', { Name: 'a', Options: { uid: 5 } }],
])('%s with %j is refused before anything is asked', async (endpoint, body) => {
  const driver = fakeDriver();
  const { call } = await serving(driver);
  expect(await call(`Ebs.${endpoint}`, body)).toMatchObject({ status: 400 });
  expect(driver.calls).toEqual([]);
});

test('a refusal of the operator is answered as one of the driver is', async () => {
  const refused = new DriverError('INVALID_REQUEST', {
    tried: 'confirm it',
    why: 'its owner is i-3',
    todo: 'Look again',
  });
  const { call } = await operating({ fence: { ...idle.fence, confirm: () => Promise.reject(refused) } });
  expect(await call('Ebs.FenceConfirm', { Name: 'a', Victim: 'i-2', Reason: 'burnt' })).toMatchObject({
    status: 400,
    body: { Err: 'volume "a": cannot confirm it: its owner is i-3. Look again.' },
  });
});

test('what takes too long is answered, though it is about no single volume', async () => {
  const never = () => new Promise<never>(() => {});
  const driver = fakeDriver({ operator: { ...idle, fence: { ...idle.fence, resume: never } } });
  const { call } = await serving(driver, { mountTimeoutMs: 50 });
  const answer = await call('Ebs.FenceResume', {});
  expect(answer).toMatchObject({ status: 503, body: { Err: expect.stringContaining('cannot resume fencing') } });
});
