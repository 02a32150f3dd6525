import { expect, it, test } from 'vitest';
import type { Check, Finding } from '../../src/cli/doctor/check.ts';
import { failed, runChecks } from '../../src/cli/doctor/check.ts';
import { checks } from '../../src/cli/doctor/checks.ts';
import type { SchedulerFact } from '../../src/cli/doctor/facts.ts';
import { tagKeys } from '../../src/ebs/tags.ts';
import { DriverError } from '../../src/errors.ts';
import type { Testimony } from '../../src/fencing/types.ts';
import { ec2Error } from '../support/fake-ec2.ts';
import { type FakeFactsParts, fakeCluster, fakeFacts, fakeMachine, sharedMount } from '../support/fake-facts.ts';

const forever = new AbortController().signal;

async function finding(title: string, parts: FakeFactsParts = {}): Promise<Finding> {
  const check = checks.find((each) => each.title === title);
  if (check === undefined) throw new Error(`there is no check ${title}`);
  const [result] = await runChecks([check], fakeFacts(parts), forever);
  return result!;
}

const rejecting = (error: Error) => () => Promise.reject(error);
const noImds = new DriverError('HOST_FAILED', { tried: 'ask', why: 'IMDS is silent', todo: 'Look at IMDS' });

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

test.each<[what: string, title: string, parts: FakeFactsParts, expected: object]>([
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
    { level: 'ok' },
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
  [
    'a program that every volume needs is missing',
    'tools',
    { machine: lacking('blkid') },
    { level: 'fail', found: 'these programs do not run here: blkid', todo: 'Install blkid' },
  ],
  [
    'the programs of the filesystem of new volumes are missing',
    'filesystems',
    { machine: lacking('mkfs.ext4') },
    { level: 'fail', details: ['ext4, which new volumes get (DVE_FS_TYPE), lacks mkfs.ext4'] },
  ],
  [
    'the programs of another filesystem are missing',
    'filesystems',
    { machine: lacking('mkfs.xfs') },
    { level: 'warn', details: ['xfs lacks mkfs.xfs'], todo: 'Install mkfs.xfs' },
  ],
  [
    'a disk without a node',
    'devices',
    { machine: { disks: async () => [{ volumeId: 'vol-1', path: undefined, refused: undefined }] } },
    { level: 'fail', found: expect.stringContaining('without a node in /dev: vol-1') },
  ],
  [
    'a disk that may not be opened',
    'devices',
    { machine: { disks: async () => [{ volumeId: 'vol-1', path: '/dev/nvme1n1', refused: 'EPERM' }] } },
    { level: 'fail', found: 'a disk cannot be opened (EPERM)' },
  ],
  [
    'a copy of /dev, and no disk to see',
    'devices',
    { machine: { disks: async () => [], deviceMount: async () => ({ ...sharedMount, type: 'tmpfs' }) } },
    { level: 'warn', todo: expect.stringContaining('-v /dev:/dev') },
  ],
  [
    'a full disk',
    'root',
    { machine: withRoot({ freeBytes: 1000 }) },
    { level: 'fail', found: '/ebs: 0 MiB and 100000 inodes free' },
  ],
  ['a disk that fills up', 'root', { machine: withRoot({ freeBytes: 2 ** 25 }) }, { level: 'warn' }],
  ['no inodes', 'root', { machine: withRoot({ freeInodes: 0 }) }, { level: 'fail' }],
  [
    'a read-only root',
    'root',
    { machine: withRoot({ mount: { ...sharedMount, readOnly: true } }) },
    { level: 'fail', found: '/ebs is on a read-only mount (/)' },
  ],
  [
    'a root that is not made yet',
    'root',
    { machine: withRoot({ path: '/', exists: false, freeInodes: undefined }) },
    { level: 'ok', found: '/ebs, which the daemon makes in /: 8 GiB free' },
  ],
  [
    'mounts that the host does not get',
    'propagation',
    { machine: withRoot({ mount: { ...sharedMount, shared: '7', master: '1' } }) },
    { level: 'fail', found: expect.stringContaining('gives none back') },
  ],
  [
    'a private mount in a container',
    'propagation',
    { machine: { ...withRoot({ mount: { ...sharedMount, shared: undefined } }), hostMounts: async () => undefined } },
    { level: 'fail', found: expect.stringContaining('containers see empty directories') },
  ],
  [
    'a private mount of the host itself',
    'propagation',
    { machine: withRoot({ mount: { ...sharedMount, shared: undefined } }) },
    { level: 'warn', todo: expect.stringContaining('mount --make-rshared /)') },
  ],
  [
    'a shared mount whose peers cannot be seen',
    'propagation',
    { machine: { hostMounts: async () => undefined } },
    { level: 'ok', found: expect.stringContaining('cannot be seen from here') },
  ],
  [
    'a process that may not mount',
    'capabilities',
    { machine: { capabilities: async () => 1n << 19n } },
    { level: 'fail', found: 'this process lacks CAP_SYS_ADMIN, CAP_SYS_RESOURCE' },
  ],
  [
    'a process that may mount, and not look around',
    'capabilities',
    { machine: { capabilities: async () => (1n << 21n) | (1n << 24n) } },
    { level: 'warn', found: 'this process lacks CAP_SYS_PTRACE' },
  ],
  [
    'a PID namespace',
    'processes',
    { machine: { seesAllProcesses: async () => false } },
    { level: 'warn', todo: expect.stringContaining('--pid host') },
  ],
  [
    'a volume attached here that nobody recorded',
    'attachments',
    { ec2: attachedHere() },
    { level: 'warn', details: ['attached here without a record: vol-2'] },
  ],
  [
    'a record of an attachment that EC2 does not have',
    'attachments',
    { machine: { records: async () => [{ name: 'data', volumeId: 'vol-1', phase: 'mounted' }] } },
    { level: 'warn', details: ['recorded as attached, and not so in EC2: data'] },
  ],
  [
    'a volume on its way here',
    'attachments',
    { machine: { records: async () => [{ name: 'data', volumeId: 'vol-1', phase: 'attaching' }] } },
    { level: 'ok' },
  ],
  [
    'a pause of fencing',
    'cluster',
    { ec2: paused() },
    { level: 'warn', found: '2 volumes of cluster "default", 1 of them in eu-west-1a; fencing is paused (network)' },
  ],
  ['preempt', 'fencing', { argv: ['--fence-policy', 'preempt'] }, { level: 'warn' }],
  [
    'more suspicions than sources',
    'fencing',
    { argv: ['--fence-policy', 'stonith', '--fence-suspicions', '3'], ec2: tagged() },
    { level: 'fail', details: [expect.stringContaining('no owner is ever stopped')] },
  ],
  [
    'an instance that none may stop',
    'fencing',
    { argv: ['--fence-policy', 'stonith'] },
    { level: 'warn', details: [expect.stringContaining(`no tag ${tagKeys.cluster}=default`)] },
  ],
  [
    'a scheduler that is silent',
    'fencing',
    { own: { schedulers: async () => [scheduler({ answered: false })] } },
    { level: 'warn', details: ['what it says'], todo: 'Check DVE_MESOS_MASTERS and DVE_MESOS_AGENT' },
  ],
  [
    'a scheduler that stonith needs and that does not know this node',
    'fencing',
    {
      argv: ['--fence-policy', 'stonith'],
      ec2: tagged(),
      own: { schedulers: async () => [{ ...scheduler({}), ownId: undefined }] },
    },
    { level: 'fail' },
  ],
  [
    'a member that is not registered',
    'fencing',
    { own: { schedulers: async () => [scheduler({ takerRegistered: false })] } },
    { level: 'warn', details: [expect.stringContaining('judges no other')] },
  ],
  [
    'a worker of Swarm',
    'fencing',
    {
      argv: ['--fence-policy', 'stonith'],
      ec2: tagged(),
      own: { schedulers: async () => [scheduler({ source: 'swarm', answered: false })] },
    },
    { level: 'warn' },
  ],
  [
    'no daemon',
    'daemon',
    { own: { daemon: async () => undefined } },
    { level: 'warn', found: 'no daemon listens at /run/docker/plugins/ebs.sock' },
  ],
  ['a daemon that hangs', 'daemon', { own: { daemon: rejecting(new Error('it hangs')) } }, { level: 'fail' }],
  [
    'a daemon that is not in health',
    'daemon',
    { own: { daemon: async () => ({ status: 'failing', version: '0.1.0', problems: ['the disk is full'] }) } },
    { level: 'fail', details: ['the disk is full'] },
  ],
  [
    'a daemon of another version',
    'daemon',
    { own: { daemon: async () => ({ status: 'ok', version: '0.0.1', problems: [] }) } },
    { level: 'warn', found: expect.stringContaining('version 0.0.1 answers') },
  ],
  [
    'a second daemon',
    'one daemon',
    { own: { daemon: async () => ({ status: 'failing', version: '0.1.0', problems: ['it waits'] }) } },
    { level: 'fail', found: expect.stringContaining('waits for it to end') },
  ],
  [
    'a daemon at another socket',
    'one daemon',
    { own: { daemon: async () => undefined } },
    { level: 'warn', found: expect.stringContaining('and not at /run/docker/plugins/ebs.sock') },
  ],
  ['no daemon anywhere', 'one daemon', { machine: { abstractSockets: async () => [] } }, { level: 'ok' }],
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

it('counts the room for volumes', async () => {
  const ec2 = fakeCluster();
  ec2.addAttachment(ec2.addVolume(), 'i-1');
  expect(await finding('slots', { ec2 })).toMatchObject({ level: 'ok', found: expect.stringMatching(/room for 26$/) });
  ec2.attachmentLimits.set('m5.large', { maximum: 1, kind: 'dedicated' });
  expect(await finding('slots', { ec2 })).toMatchObject({ level: 'warn', found: expect.stringMatching(/room for 0$/) });
  ec2.attachmentLimits.clear();
  expect(await finding('slots', { ec2 })).toMatchObject({ level: 'unknown' });
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

/** A machine on which this program does not run. */
function lacking(missing: string): Partial<ReturnType<typeof fakeMachine>> {
  return {
    tools: async (programs) =>
      Object.keys(programs).map((program) =>
        program === missing
          ? { program, version: undefined, todo: `Install ${program}` }
          : { program, version: '1.2', todo: undefined },
      ),
  };
}

type Root = Awaited<ReturnType<ReturnType<typeof fakeMachine>['root']>>;

function withRoot(change: Partial<Root>): Partial<ReturnType<typeof fakeMachine>> {
  return { root: async () => ({ ...(await fakeMachine().root()), ...change }) };
}

function attachedHere() {
  const ec2 = fakeCluster();
  ec2.addAttachment(ec2.addVolume({ tags: { [tagKeys.cluster]: 'default' } }), 'i-1');
  return ec2;
}

function paused() {
  const ec2 = fakeCluster();
  ec2.addVolume({ zone: 'eu-west-1b', tags: { [tagKeys.cluster]: 'default', [tagKeys.paused]: 'network' } });
  return ec2;
}

function tagged() {
  const ec2 = fakeCluster();
  ec2.setInstance('i-1', { tags: { [tagKeys.cluster]: 'default' } });
  return ec2;
}

function scheduler(change: Partial<Testimony>): SchedulerFact {
  const { source = 'mesos' } = change;
  const testimony: Testimony = {
    ...{ source, identity: 'S1', answered: true, says: 'registered', since: undefined, detail: 'what it says' },
    ...{ otherMemberThere: undefined, takerRegistered: true, suspects: 0, members: 3, ...change },
  };
  return { source, ownId: 'S1', testimony };
}
