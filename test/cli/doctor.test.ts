import { expect, it, test } from 'vitest';
import type { Check } from '../../src/cli/doctor/check.ts';
import { failed, runChecks } from '../../src/cli/doctor/check.ts';
import { checks } from '../../src/cli/doctor/checks.ts';
import { fakeCluster, fakeFacts } from '../support/fake-facts.ts';

import { forever, noImds, rejecting } from './findings.ts';

test('on a node in good order every check is ok', async () => {
  const results = await runChecks(checks, fakeFacts(), forever);
  expect(results.filter(({ level }) => level !== 'ok')).toEqual([]);
  expect(new Set(results.map(({ title }) => title)).size).toBe(checks.length);
});

test('nothing is changed in EC2', async () => {
  const ec2 = fakeCluster();
  await runChecks(checks, fakeFacts({ ec2, argv: ['--fence-policy', 'stonith'] }), forever);
  const made = new Set(ec2.calls.map(({ method }) => method));
  expect(made).toEqual(new Set(['describeInstance', 'listVolumes', 'attachmentLimit', 'denied']));
});

it('a check whose facts cannot be had is unknown, and points at the one that tells why', async () => {
  const results = await runChecks(checks, fakeFacts({ own: { identity: rejecting(noImds) } }), forever);
  const unknown = results.filter(({ level }) => level === 'unknown').map(({ title, found }) => `${title}: ${found}`);
  expect(unknown).toEqual([
    'region: cannot be judged: see identity',
    'permissions: cannot be judged: see identity',
    'attachments: cannot be judged: see identity',
    'cluster: cannot be judged: see identity',
    'one daemon: cannot be judged: see identity',
  ]);
});

it('a check that does not end is unknown once the time is over, and holds up no other', async () => {
  const stuck: Check = { title: 'stuck', run: () => new Promise(() => undefined) };
  const quick: Check = { title: 'quick', run: async () => ({ level: 'ok', found: 'well' }) };
  const deadline = AbortSignal.abort(new Error('no answer within 10 s'));
  expect(await runChecks([stuck, quick], fakeFacts(), deadline)).toEqual([
    { title: 'stuck', level: 'unknown', found: 'cannot be judged: no answer within 10 s' },
    { title: 'quick', level: 'ok', found: 'well' },
  ]);
});

it('a failure says what to do, in the words of its error', () => {
  expect(failed(noImds)).toEqual({ level: 'fail', found: 'IMDS is silent', todo: 'Look at IMDS' });
  expect(failed('text', 'warn')).toEqual({ level: 'warn', found: 'text', todo: undefined });
});
