import { expect, it, test } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import { fakeCluster, fakeMachine, sharedMount } from '../support/fake-facts.ts';

import { type Case, finding } from './findings.ts';

test.each<Case>([
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
    "the kernel's own NVMe timeout",
    'NVMe timeout',
    { machine: { nvmeTimeout: async () => 30 } },
    {
      level: 'warn',
      found: expect.stringContaining('only 30 s'),
      todo: expect.stringContaining('nvme_core.io_timeout=4294967295 on the kernel command line'),
    },
  ],
  ['the timeout of an old kernel', 'NVMe timeout', { machine: { nvmeTimeout: async () => 255 } }, { level: 'ok' }],
  ['no NVMe driver', 'NVMe timeout', { machine: { nvmeTimeout: async () => undefined } }, { level: 'ok' }],
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
    'a volume that somebody else has mounted on this host',
    'other mounts',
    { machine: { foreignMounts: async () => [{ name: 'data', mountpoint: "/var/lib/mesos/a task's" }] } },
    { level: 'warn', details: ["data: umount '/var/lib/mesos/a task'\\''s'"] },
  ],
  [
    'a volume on its way here',
    'attachments',
    { machine: { records: async () => [{ name: 'data', volumeId: 'vol-1', phase: 'attaching' }] } },
    { level: 'ok' },
  ],
])('%s (%s)', async (_what, title, parts, expected) => {
  expect(await finding(title, parts)).toMatchObject(expected);
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
