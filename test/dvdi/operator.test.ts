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
    ['Acknowledge', {}],
    ['Volumes', undefined],
    ['Drain', { reason: 'maintenance' }],
    ['DrainStatus', undefined],
    ['DrainCancel', {}],
    ['FenceExplain', { name: 'a' }],
    ['FenceHistory', { limit: 5 }],
    ['FenceConfirm', { name: 'a', victim: 'i-2', reason: 'burnt' }],
    ['FenceConfirm', { name: 'a', victim: 'i-2', reason: 'burnt', evenIfRunning: true }],
    ['Set', { name: 'a', options: { uid: '' } }],
    ['Set', { name: 'a', options: { mountOptions: 'noatime' }, dryRun: true }],
    ['Modify', { name: 'a', options: { size: '20' } }],
    ['Modify', { name: 'a', options: { size: '20' }, dryRun: true }],
    ['Modification', { name: 'a' }],
    ['EndHolder', { name: 'a', holder: 'anonymous' }],
    ['FencePause', { reason: 'network' }],
    ['FenceResume', {}],
  ] as const) {
    expect(await call(`Ebs.${endpoint}`, body)).toMatchObject({ status: 200, body: { Err: '' } });
  }
  expect(driver.calls).toEqual([
    ['status', { checks: false }],
    ['acknowledge'],
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
    ['modify', 'a', { size: '20' }, { dryRun: false }],
    ['modify', 'a', { size: '20' }, { dryRun: true }],
    ['modification', 'a'],
    ['endHolder', 'a', 'anonymous'],
    ['pause', 'network'],
    ['resume'],
  ]);
});

test("answers are in the one case of our own JSON, inside the wire's envelope; what is not known is left out", async () => {
  const { call } = await serving(fakeDriver());
  expect((await call('Ebs.Drain', { reason: 'maintenance' })).body).toEqual({
    draining: { reason: 'maintenance', by: 'operator', since: '2026-11-22T10:00:00.000Z' },
    volumes: [{ name: 'a', volumeId: 'vol-1', state: 'in-use', holders: ['id-1'], why: 'a container has it' }],
    Err: '',
  });
  expect((await call('Ebs.DrainStatus')).body).toEqual({ volumes: [], Err: '' });
  expect((await call('Ebs.FenceExplain', { name: 'a' })).body).toEqual({
    name: 'a',
    volumeId: 'vol-1',
    policy: 'never',
    outcome: 'refuse',
    reason: 'it is attached to i-2',
    todo: 'Detach it',
    owner: { instanceId: 'i-2', device: '/dev/xvdba', attachTime: '2026-11-22T10:00:00Z' },
    evidenceFor: [],
    evidenceAgainst: ['the policy'],
    steps: ['refuse'],
    denied: [],
    Err: '',
  });
  expect((await call('Ebs.FenceHistory', { limit: 1 })).body).toEqual({
    entries: [{ at: '2026-11-22T10:00:00.000Z', text: 'a line', entry: { event: 'call' } }],
    counters: {
      decisions: { 'stonith suspected stop': 2, 'stonith - refuse': 1 },
      refusals: { 'veto mesos': 1 },
      stops: { graceful: 2, forced: 0 },
      forcedDetaches: 0,
      lostRaces: 1,
      aborted: 0,
    },
    Err: '',
  });
});

test.each([
  ['Drain', {}],
  ['Drain', { reason: '' }],
  ['FenceExplain', {}],
  ['FenceHistory', { limit: 0 }],
  ['FenceConfirm', { name: 'a', victim: 'i-2' }],
  ['FenceConfirm', { name: 'a', victim: '', reason: 'burnt' }],
  ['FenceConfirm', { name: 'a', victim: 'i-2', reason: 'burnt', evenIfRunning: 'no' }],
  ['FencePause', undefined],
  ['Set', { name: 'a' }],
  ['Set', { name: 'a', options: {} }],
  ['Set', { name: 'a', options: { uid: 5 } }],
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
  expect(await call('Ebs.FenceConfirm', { name: 'a', victim: 'i-2', reason: 'burnt' })).toMatchObject({
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
