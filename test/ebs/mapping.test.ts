import { describe, expect, it } from 'vitest';
import { toAttachment, toInstance, toVolume } from '../../src/ebs/mapping.ts';

const attachment = {
  VolumeId: 'vol-1',
  InstanceId: 'i-1',
  Device: '/dev/xvdba',
  State: 'attached',
  AttachTime: new Date('2026-01-02T03:04:05.006Z'),
  DeleteOnTermination: false,
} as const;

const volume = {
  VolumeId: 'vol-1',
  AvailabilityZone: 'eu-west-1a',
  State: 'in-use',
  CreateTime: new Date('2026-01-02T03:04:05Z'),
  VolumeType: 'gp3',
  Size: 16,
} as const;

const instance = {
  InstanceId: 'i-1',
  State: { Code: 80, Name: 'stopped' },
  Placement: { AvailabilityZone: 'eu-west-1a' },
  InstanceType: 'm7g.large',
  LaunchTime: new Date('2026-01-02T03:04:05Z'),
} as const;

const without = (value: object, field: string) => ({ ...value, [field]: undefined });

describe('volumes', () => {
  it('carry everything EC2 says', () => {
    const full = {
      ...volume,
      Iops: 3000,
      Throughput: 125,
      Encrypted: true,
      KmsKeyId: 'arn:key',
      SnapshotId: 'snap-1',
      MultiAttachEnabled: true,
      Attachments: [attachment],
      Tags: [{ Key: 'Name', Value: 'data' }, { Key: '__proto__', Value: 'x' }, { Key: 'empty' }],
    };
    expect(toVolume(full)).toEqual({
      id: 'vol-1',
      zone: 'eu-west-1a',
      state: 'in-use',
      createdAt: '2026-01-02T03:04:05.000Z',
      type: 'gp3',
      sizeGib: 16,
      iops: 3000,
      throughput: 125,
      encrypted: true,
      kmsKeyId: 'arn:key',
      snapshotId: 'snap-1',
      multiAttach: true,
      attachments: [
        {
          volumeId: 'vol-1',
          instanceId: 'i-1',
          device: '/dev/xvdba',
          state: 'attached',
          attachTime: '2026-01-02T03:04:05Z',
          deleteOnTermination: false,
        },
      ],
      tags: Object.fromEntries([
        ['Name', 'data'],
        ['__proto__', 'x'],
        ['empty', ''],
      ]),
    });
  });

  it('have undefined for what EC2 leaves empty', () => {
    expect(toVolume({ ...volume, SnapshotId: '', KmsKeyId: '' })).toMatchObject({
      snapshotId: undefined,
      kmsKeyId: undefined,
      iops: undefined,
      encrypted: false,
      multiAttach: false,
      attachments: [],
      tags: {},
    });
  });

  it.each(['VolumeId', 'AvailabilityZone', 'State', 'CreateTime', 'VolumeType', 'Size'])('need %s', (field) => {
    expect(() => toVolume(without(volume, field))).toThrow(/its answer lacks a usable/);
  });

  it('need a state we know, a size that is a number and a time that is one', () => {
    expect(() => toVolume({ ...volume, State: 'melted' as 'error' })).toThrow(/lacks a usable state/);
    expect(() => toVolume({ ...volume, Size: Number.NaN })).toThrow(/lacks a usable size/);
    expect(() => toVolume({ ...volume, CreateTime: new Date('x') })).toThrow(/lacks a usable creation time/);
  });
});

describe('attachments', () => {
  it.each(['VolumeId', 'Device', 'State', 'AttachTime'])('need %s', (field) => {
    expect(() => toAttachment(without(attachment, field))).toThrow(/its answer lacks a usable/);
  });

  it('to what AWS manages have no instance and no device name', () => {
    const managed = { ...attachment, InstanceId: undefined, Device: undefined, InstanceOwningService: 'ecs' };
    expect(toAttachment(managed)).toMatchObject({ instanceId: undefined, device: '', state: 'attached' });
  });
});

describe('instances', () => {
  it('carry everything EC2 says, with their EBS disks only', () => {
    const full = {
      ...instance,
      StateReason: { Code: 'Client.UserInitiatedHibernate', Message: 'x' },
      StateTransitionReason: 'User initiated (2026-03-02 09:12:44 GMT)',
      HibernationOptions: { Configured: true },
      PrivateIpAddress: '10.0.0.5',
      PrivateDnsName: '',
      Tags: [{ Key: 'Name', Value: 'node' }],
      BlockDeviceMappings: [
        {
          DeviceName: '/dev/xvda',
          Ebs: { VolumeId: 'vol-0', Status: 'attached', AttachTime: new Date('2026-01-01T00:00:00Z') } as const,
        },
        { DeviceName: '/dev/sdb' },
      ],
    };
    expect(toInstance(full, '2026-03-02T09:12:50.000Z')).toEqual({
      id: 'i-1',
      state: 'stopped',
      zone: 'eu-west-1a',
      type: 'm7g.large',
      launchTime: '2026-01-02T03:04:05.000Z',
      stateReason: 'Client.UserInitiatedHibernate',
      stopAskedAt: '2026-03-02T09:12:44.000Z',
      hibernationConfigured: true,
      privateIp: '10.0.0.5',
      tags: { Name: 'node' },
      disks: [{ device: '/dev/xvda', volumeId: 'vol-0', state: 'attached', attachTime: '2026-01-01T00:00:00Z' }],
      answeredAt: '2026-03-02T09:12:50.000Z',
    });
  });

  it.each([
    undefined,
    '',
    'Server.SpotInstanceTermination',
    'User initiated',
    'User initiated (2026-02-31 25:00:00 GMT)',
  ])('do not tell when they were stopped by %s', (StateTransitionReason) => {
    expect(toInstance({ ...instance, StateTransitionReason }, undefined).stopAskedAt).toBeUndefined();
  });

  it.each(['InstanceId', 'State', 'Placement', 'InstanceType', 'LaunchTime'])('need %s', (field) => {
    expect(() => toInstance(without(instance, field), undefined)).toThrow(/its answer lacks a usable/);
  });

  it('need whole disks', () => {
    const disk = { DeviceName: '/dev/xvda', Ebs: { VolumeId: 'vol-0' } };
    expect(() => toInstance({ ...instance, BlockDeviceMappings: [disk] }, undefined)).toThrow(/lacks a usable state/);
  });
});
