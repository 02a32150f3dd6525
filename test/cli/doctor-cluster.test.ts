import { expect, test } from 'vitest';
import type { SchedulerFact } from '../../src/cli/doctor/facts.ts';
import { tagKeys } from '../../src/ebs/tags.ts';
import type { Testimony } from '../../src/fencing/types.ts';
import { fakeCluster } from '../support/fake-facts.ts';

import { type Case, finding, rejecting } from './findings.ts';

test.each<Case>([
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
  ['no volume mounted', 'growth', {}, { level: 'ok' }],
  [
    'volumes that cannot grow',
    'growth',
    {
      own: {
        mounted: async () => [
          {
            name: 'a',
            size: { diskBytes: 2 ** 31, filesystemBytes: 2 ** 30, refused: 'no right' },
            autoGrow: undefined,
          },
          { name: 'b', size: undefined, autoGrow: { left: 0, fullAt: undefined, warning: 'it has 9 GiB' } },
        ],
      },
    },
    {
      level: 'warn',
      details: [
        'the disk of a has 2 GiB, and its filesystem does not grow: no right',
        'b grows by itself, but it has 9 GiB',
      ],
      todo: expect.stringContaining('CAP_SYS_RESOURCE'),
    },
  ],
  ['no daemon anywhere', 'one daemon', { machine: { isServed: async () => false } }, { level: 'ok' }],
])('%s (%s)', async (_what, title, parts, expected) => {
  expect(await finding(title, parts)).toMatchObject(expected);
});

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
