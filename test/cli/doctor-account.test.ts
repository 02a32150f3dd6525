import { expect, it, test } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import { ec2Error } from '../support/fake-ec2.ts';
import { fakeCluster } from '../support/fake-facts.ts';
import { type Case, finding, noImds, rejecting } from './findings.ts';

test.each<Case>([
  [
    'settings of the unit are named, their values are not',
    'settings',
    { own: { variables: { from: 'file', file: '/etc/x/env', names: ['DVE_TAGS', 'AWS_SECRET_ACCESS_KEY'] } } },
    { level: 'ok', found: expect.stringMatching(/from \/etc\/x\/env \(DVE_TAGS, AWS_SECRET_ACCESS_KEY\)$/) },
  ],
  [
    'a file of settings that cannot be read',
    'settings',
    { own: { variables: { from: 'nowhere', file: '/etc/x/env', why: 'EACCES' } } },
    { level: 'warn', todo: expect.stringContaining('as root') },
  ],
  ['tags that the daemon would refuse', 'settings', { argv: ['--tags', 'nonsense'] }, { level: 'fail' }],
  ['a scheduler that is no URL', 'settings', { argv: ['--mesos-masters', 'nowhere'] }, { level: 'fail' }],
  [
    'no identity',
    'identity',
    { own: { identity: rejecting(noImds) } },
    { level: 'fail', found: 'IMDS is silent', todo: 'Look at IMDS' },
  ],
  [
    'the settings of another instance',
    'identity',
    { argv: ['--instance-id', 'i-1'], own: { metadata: async () => 'i-2' } },
    { level: 'fail', found: 'DVE_INSTANCE_ID is i-1, and the metadata service says that this is i-2' },
  ],
  [
    'a metadata service that is silent, and needed',
    'metadata',
    { own: { metadata: rejecting(noImds) } },
    { level: 'fail', found: expect.stringContaining('IMDS is silent') },
  ],
  [
    'a metadata service that is silent, while all it says comes from elsewhere',
    'metadata',
    { argv: ['--instance-id', 'i-1', '--availability-zone', 'z'], own: { metadata: rejecting(noImds) } },
    { level: 'warn', found: expect.stringContaining('notices of EC2 are not heard') },
  ],
  ['an unknown region', 'region', { own: { region: rejecting(noImds) } }, { level: 'fail', found: 'IMDS is silent' }],
  [
    'another region',
    'region',
    { own: { region: async () => 'eu-west-2' } },
    { level: 'fail', found: 'EC2 is asked in eu-west-2, and this instance is in eu-west-1a' },
  ],
  [
    'a Local Zone',
    'region',
    {
      own: {
        region: async () => 'us-west-2',
        identity: async () => ({ instanceId: 'i-1', availabilityZone: 'us-west-2-lax-1a', region: undefined }),
      },
    },
    { level: 'warn', found: expect.stringContaining('is not supported') },
  ],
  [
    'no credentials',
    'credentials',
    { own: { credentials: rejecting(ec2Error('EC2_CREDENTIALS', 'none found')) } },
    { level: 'fail', found: 'none found', todo: expect.stringContaining('role') },
  ],
  [
    'credentials that EC2 refuses',
    'credentials',
    { own: { instance: rejecting(ec2Error('EC2_CREDENTIALS', 'AWS refused them')) } },
    { level: 'fail', found: "those of the instance's role: AWS refused them" },
  ],
  [
    'credentials that EC2 has not judged',
    'credentials',
    { own: { instance: rejecting(ec2Error('EC2_UNAVAILABLE')) } },
    { level: 'unknown' },
  ],
  [
    'EC2 out of reach',
    'EC2',
    { own: { instance: rejecting(ec2Error('EC2_UNAVAILABLE', 'no route')) } },
    { level: 'fail', found: 'no route', todo: expect.stringContaining('AWS_ENDPOINT_URL_EC2') },
  ],
  [
    'EC2 that throttles',
    'EC2',
    { own: { instance: rejecting(ec2Error('EC2_THROTTLED', 'it throttles')) } },
    { level: 'warn', found: 'it throttles' },
  ],
  [
    'an instance that EC2 does not list',
    'EC2',
    { own: { instance: async () => undefined } },
    { level: 'fail', found: 'answers in eu-west-1, and has no instance i-1 for these credentials' },
  ],
  [
    'a clock that is slow',
    'clock',
    { own: { clockAheadMs: async () => 31_000 } },
    { level: 'warn', found: expect.stringMatching(/^31 s behind EC2's/) },
  ],
  [
    'a clock beyond what EC2 takes',
    'clock',
    { own: { clockAheadMs: async () => -300_000 } },
    { level: 'fail', found: expect.stringMatching(/^300 s ahead of EC2's/) },
  ],
  ['a clock that is a little off', 'clock', { own: { clockAheadMs: async () => 29_000 } }, { level: 'ok' }],
  ['no clock to compare with', 'clock', { own: { clockAheadMs: async () => undefined } }, { level: 'unknown' }],
])('%s (%s)', async (_what, title, parts, expected) => {
  expect(await finding(title, parts)).toMatchObject(expected);
});

it.each([
  [{ enabled: false, tokensRequired: undefined, hopLimit: undefined }, 'turned off', '--http-endpoint enabled'],
  [{ enabled: true, tokensRequired: true, hopLimit: 1 }, 'hop limit is 1', '--http-put-response-hop-limit 2'],
])('of a silent metadata service EC2 may tell why: %j', async (options, why, remedy) => {
  const instance = async () => ({ ...(await fakeCluster().describeInstance('i-1'))!, metadata: options });
  const silent = await finding('metadata', { own: { metadata: rejecting(noImds), instance } });
  expect(silent).toMatchObject({ level: 'fail', found: expect.stringContaining(why) });
  expect(silent.todo).toContain(remedy);
});

it('names each call that the role may not make, with what it is needed for', async () => {
  const ec2 = fakeCluster();
  ec2.denials.set('AttachVolume', 'not authorized');
  ec2.denials.set('CreateTags', 'not authorized');
  expect(await finding('permissions', { ec2 })).toMatchObject({
    level: 'fail',
    found: 'this role may not call ec2:CreateTags, ec2:AttachVolume',
    details: [
      'without CreateTags no node can say that it is finished with a volume. EC2: not authorized',
      'without AttachVolume no volume can be mounted. EC2: not authorized',
    ],
  });
});

it('names the calls that grow volumes where one is to grow by itself, and there alone', async () => {
  const ec2 = fakeCluster();
  for (const action of ['ModifyVolume', 'DescribeVolumesModifications'] as const)
    ec2.denials.set(action, 'not authorized');
  expect(await finding('permissions', { ec2 })).toMatchObject({ level: 'ok' });
  for (const volume of ec2.volumes.values()) volume.tags[tagKeys.autoGrow] = '80%';
  expect(await finding('permissions', { ec2 })).toMatchObject({
    level: 'fail',
    found: 'this role may not call ec2:DescribeVolumesModifications, ec2:ModifyVolume',
    todo: expect.stringContaining('that for volumes that grow'),
  });
});

it('names the call that takes snapshots where a volume has a schedule, and there alone', async () => {
  const ec2 = fakeCluster();
  ec2.denials.set('CreateSnapshot', 'not authorized');
  expect(await finding('permissions', { ec2 })).toMatchObject({ level: 'ok' });
  for (const volume of ec2.volumes.values()) volume.tags[tagKeys.snapshots] = 'daily:7';
  expect(await finding('permissions', { ec2 })).toMatchObject({
    level: 'fail',
    found: 'this role may not call ec2:CreateSnapshot',
    details: [
      'without CreateSnapshot no snapshot is taken by a schedule, as the option snapshots of some volume asks. EC2: not authorized',
    ],
  });
});

it('takes a refused look at the instance for a missing permission', async () => {
  const instance = rejecting(ec2Error('EC2_DENIED', 'not authorized'));
  expect(await finding('permissions', { own: { instance } })).toMatchObject({
    level: 'fail',
    found: 'this role may not call ec2:DescribeInstances',
  });
  expect(await finding('EC2', { own: { instance } })).toMatchObject({ level: 'ok' });
});

it('does not vouch for permissions while the cluster has no volume to ask about', async () => {
  const ec2 = fakeCluster();
  ec2.volumes.clear();
  expect(await finding('permissions', { ec2 })).toMatchObject({ level: 'unknown' });
  ec2.denials.set('CreateVolume', 'not authorized');
  expect(await finding('permissions', { ec2 })).toMatchObject({ level: 'fail' });
});

it('does not take a call that EC2 does not judge for allowed', async () => {
  const ec2 = fakeCluster();
  ec2.failNext('denied', 'EC2_UNAVAILABLE');
  const { level, details } = await finding('permissions', { ec2 });
  expect([level, details?.length]).toEqual(['unknown', 1]);
});
