import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { EbsVolume, Instance } from '../../src/ebs/types.ts';
import { answerOnce, openTestEc2, useFakeAws } from './aws.ts';

// Answers as EC2 gives them: the shapes are those of the API model, the values were seen in public recordings and issues,
// and the account is invented. What they say must come through the SDK's own parser into our words.
useFakeAws();

const recorded = (name: string): string => readFileSync(join(import.meta.dirname, 'recorded', `${name}.xml`), 'utf8');
const play = (name: string, headers: Record<string, string> = {}) => answerOnce(200, recorded(name), headers);

const volumesOf = async (name: string): Promise<Map<string, EbsVolume>> => {
  play(name);
  const volumes = await openTestEc2().listVolumes();
  return new Map(volumes.map((volume) => [volume.id.slice(-3), volume]));
};

describe('DescribeVolumes', () => {
  it('has every state of a volume', async () => {
    const volumes = await volumesOf('DescribeVolumes.states');
    expect([...volumes].map(([id, { state }]) => `${id} ${state}`)).toEqual([
      ...['101 creating', '102 available', '103 in-use', '104 in-use', '105 in-use', '106 in-use'],
      ...['107 deleting', '108 deleted', '109 error'],
    ]);
  });

  it('has every state of an attachment, busy too, at whole seconds', async () => {
    const volumes = await volumesOf('DescribeVolumes.states');
    const shown = [...volumes.values()].flatMap(({ attachments }) =>
      attachments.map(({ device, state, attachTime }) => `${device} ${state} ${attachTime}`),
    );
    expect(shown).toEqual([
      '/dev/xvdba attached 2026-03-02T09:16:03Z',
      '/dev/xvdbb attaching 2026-03-02T09:16:04Z',
      '/dev/sdf detaching 2026-02-27T23:59:59Z',
      '/dev/sdg busy 2026-02-27T00:00:00Z',
    ]);
  });

  it('has no tags where the set is absent, and an empty value where the element is', async () => {
    const volumes = await volumesOf('DescribeVolumes.states');
    expect(volumes.get('101')?.tags).toEqual({});
    expect(volumes.get('102')?.tags).toEqual({ Name: 'data', empty: '' });
  });

  it.each([
    ['201', { type: 'gp2', iops: 300, throughput: undefined, snapshotId: 'snap-0f3b6d9e2a5c8b7d1' }],
    ['202', { type: 'io1', iops: 5000, throughput: undefined, snapshotId: undefined }],
    ['203', { type: 'io2', iops: 16_000, multiAttach: true }],
    ['204', { type: 'st1', iops: undefined, throughput: undefined, sizeGib: 500 }],
    ['205', { type: 'standard', iops: undefined, sizeGib: 8 }],
    ['207', { type: 'gp3', iops: 80_000, throughput: 2000, sizeGib: 65_536 }],
  ])('has what each type of volume has: %s', async (id, wanted) => {
    expect((await volumesOf('DescribeVolumes.kinds')).get(id)).toMatchObject(wanted);
  });

  it('has both attachments of a Multi-Attach volume', async () => {
    const attachments = (await volumesOf('DescribeVolumes.kinds')).get('203')?.attachments;
    expect(attachments?.map(({ instanceId, device }) => `${instanceId} ${device}`)).toEqual([
      'i-0a4b7e91c25d3f801 /dev/sdf',
      'i-0a4b7e91c25d3f802 /dev/sdh',
    ]);
  });

  it('has an attachment without an instance where AWS manages it', async () => {
    expect((await volumesOf('DescribeVolumes.kinds')).get('206')?.attachments).toEqual([
      {
        volumeId: 'vol-0c1f7d3a5e9b2c206',
        instanceId: undefined,
        device: '',
        state: 'attached',
        attachTime: '2026-03-02T09:30:00Z',
        deleteOnTermination: true,
      },
    ]);
  });

  it('is an empty list, or an empty page before another', async () => {
    expect((await volumesOf('DescribeVolumes.none')).size).toBe(0);
    play('DescribeVolumes.page');
    play('DescribeVolumes.kinds');
    expect(await openTestEc2().listVolumes()).toHaveLength(7);
  });
});

const instance = async (last: string): Promise<Instance | undefined> => {
  play('DescribeInstances.states');
  return openTestEc2().describeInstance(`i-0a4b7e91c25d3f${last}`);
};

describe('DescribeInstances', () => {
  it.each([
    ['801', 'running', undefined],
    ['802', 'pending', undefined],
    ['803', 'stopping', 'Client.UserInitiatedShutdown'],
    ['804', 'stopped', 'Client.UserInitiatedShutdown'],
    ['805', 'stopped', 'Server.ScheduledStop'],
    ['806', 'stopped', 'Client.InstanceInitiatedShutdown'],
    ['807', 'stopped', 'Client.UserInitiatedHibernate'],
    ['808', 'stopped', 'Server.SpotInstanceShutdown'],
    ['809', 'stopped', 'Server.InsufficientInstanceCapacity'],
    ['810', 'shutting-down', 'Client.UserInitiatedShutdown'],
    ['811', 'terminated', 'Client.UserInitiatedShutdown'],
    ['812', 'terminated', 'Server.SpotInstanceTermination'],
    ['813', 'terminated', 'Client.VolumeLimitExceeded'],
  ])('%s is %s, for %s', async (last, state, stateReason) => {
    expect(await instance(last)).toMatchObject({ state, stateReason, launchTime: '2026-03-02T08:59:12.000Z' });
  });

  it('tells an instance that may hibernate', async () => {
    expect(await instance('807')).toMatchObject({ hibernationConfigured: true });
    expect(await instance('808')).toMatchObject({ hibernationConfigured: false });
  });

  it('has the disks of one that runs, its root among them, and the time that the volume has', async () => {
    const disks = (await instance('801'))?.disks ?? [];
    expect(disks.map(({ device }) => device)).toEqual(['/dev/xvda', '/dev/xvdba']);
    const attached = (await volumesOf('DescribeVolumes.states')).get('103')?.attachments[0];
    expect(disks[1]).toEqual({
      device: attached?.device,
      volumeId: attached?.volumeId,
      state: attached?.state,
      attachTime: attached?.attachTime,
    });
  });

  it('has neither disks nor addresses of one that was terminated, and no tags where there are none', async () => {
    expect(await instance('811')).toMatchObject({ disks: [], privateIp: undefined, privateDns: undefined, tags: {} });
    expect(await instance('801')).toMatchObject({
      privateIp: '10.3.1.1',
      privateDns: 'ip-10-3-1-1.eu-west-1.compute.internal',
      tags: { 'docker-volume-ebs:cluster': 'production' },
    });
  });

  it('lists nobody: that is no instance, and no error', async () => {
    play('DescribeInstances.none');
    expect(await openTestEc2().describeInstance('i-0a4b7e91c25d3f801')).toBeUndefined();
  });
});

describe('DescribeInstanceStatus', () => {
  it.each([
    ['801', ['ok', 'ok', 'ok'], undefined],
    ['802', ['initializing', 'initializing', 'initializing'], undefined],
    ['804', ['not-applicable', 'not-applicable', 'not-applicable'], undefined],
    ['805', ['impaired', 'impaired', 'ok'], '2026-03-02T10:01:00.000Z'],
    ['806', ['ok', 'ok', 'impaired'], undefined],
    ['807', ['impaired', 'insufficient-data', 'insufficient-data'], undefined],
  ])('%s is %s, impaired since %s', async (last, checks, since) => {
    play('DescribeInstanceStatus', { date: 'Mon, 02 Mar 2026 10:05:00 GMT' });
    const health = await openTestEc2().describeHealth(`i-0a4b7e91c25d3f${last}`);
    expect([health?.system.status, health?.instance.status, health?.attachedEbs.status]).toEqual(checks);
    expect(health?.system.impairedSince).toBe(since);
    expect(health?.answeredAt).toBe('2026-03-02T10:05:00.000Z');
  });
});

describe('answers to changes', () => {
  const key = { volumeId: 'vol-0c1f7d3a5e9b2c103', instanceId: 'i-0a4b7e91c25d3f801', device: '/dev/xvdba' };

  it('CreateVolume: a volume that is being created, without attachments', async () => {
    play('CreateVolume');
    const spec = { zone: 'eu-west-1b', sizeGib: 1, type: 'gp3', tags: {}, clientToken: 'token' };
    const unsaid = { iops: undefined, throughput: undefined, kmsKeyId: undefined, snapshotId: undefined };
    expect(await openTestEc2().createVolume({ ...spec, ...unsaid, encrypted: undefined })).toMatchObject({
      id: 'vol-0c1f7d3a5e9b2c301',
      state: 'creating',
      encrypted: true,
      attachments: [],
      tags: { 'docker-volume-ebs:cluster': 'production' },
    });
  });

  it('AttachVolume has milliseconds that no later read has: the attachment is the same to the second', async () => {
    play('AttachVolume');
    const attached = await openTestEc2().attachVolume(key);
    expect(attached).toMatchObject({ ...key, state: 'attaching', attachTime: '2026-03-02T09:16:03Z' });
    const later = (await volumesOf('DescribeVolumes.states')).get('103')?.attachments[0];
    expect(later?.attachTime).toBe(attached.attachTime);
  });

  it('DetachVolume: the attachment, detaching', async () => {
    play('DetachVolume');
    expect(await openTestEc2().detachVolume(key)).toMatchObject({
      ...key,
      state: 'detaching',
      attachTime: '2026-03-02T09:16:03Z',
    });
  });
});

describe('snapshots', () => {
  it('DescribeSnapshots: every state, and why one has failed', async () => {
    play('DescribeSnapshots');
    const snapshots = await openTestEc2().findSnapshots('docker-volume-ebs:name', 'data');
    expect(snapshots.map(({ state, message }) => [state, message])).toEqual([
      ['completed', undefined],
      ['pending', undefined],
      ['error', 'Given key ID is not accessible'],
      ['recoverable', undefined],
      ['recovering', undefined],
    ]);
    expect(snapshots[0]).toMatchObject({
      volumeId: 'vol-0c1f7d3a5e9b2c103',
      sizeGib: 100,
      startedAt: '2026-03-02T09:40:00.120Z',
      description: '',
      encrypted: false,
    });
  });

  it('CreateSnapshot: its id, while it is pending', async () => {
    play('CreateSnapshot');
    expect(await openTestEc2().createSnapshot('vol-0c1f7d3a5e9b2c103', '', {})).toBe('snap-0f3b6d9e2a5c8b7d3');
  });
});

describe('DescribeInstanceTypes', () => {
  it.each([
    ['m6i.large', { maximum: 27, kind: 'shared' }],
    ['m7i.large', { maximum: 32, kind: 'dedicated' }],
    ['t2.micro', undefined],
  ])('%s takes %o', async (type, limit) => {
    play('DescribeInstanceTypes');
    expect(await openTestEc2().attachmentLimit(type)).toEqual(limit);
  });
});
