import {
  AttachVolumeCommand,
  CreateSnapshotCommand,
  CreateTagsCommand,
  CreateVolumeCommand,
  DescribeAccountAttributesCommand,
  DescribeImagesCommand,
  DescribeInstanceAttributeCommand,
  DescribeInstanceStatusCommand,
  DescribeInstancesCommand,
  DescribeInstanceTypeOfferingsCommand,
  DescribeInstanceTypesCommand,
  DescribeTagsCommand,
  DescribeVolumeStatusCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  EnableVolumeIOCommand,
  GetEbsEncryptionByDefaultCommand,
  ModifyInstanceAttributeCommand,
  ModifyVolumeCommand,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { describe, expect, test, vi } from 'vitest';
import type { SandboxOptions } from '../../src/sandbox/sandbox.ts';
import { requires } from '../support/requirements.ts';
import {
  attach,
  becomes,
  client,
  gp3,
  instanceBecomes,
  newVolume,
  open,
  openCloud,
  refusal,
  temporaryDirectory,
  unknownVolume,
  volumeOf,
} from './support.ts';

const openWith = async (options: Partial<SandboxOptions>) => {
  const sandbox = await open(await temporaryDirectory(), options);
  return { sandbox, ec2: client(sandbox), node: sandbox.nodes()[0]! };
};
const setFault = (faults: string, fault: object) => fetch(faults, { method: 'POST', body: JSON.stringify(fault) });

describe.skipIf(requires('root', 'loop').skip)('what EC2 was seen to do', () => {
  test('a volume that is being modified is not attached', async () => {
    const { ec2, node } = await openWith({ times: { modify: 60_000 } });
    const id = await newVolume(ec2);
    await ec2.send(new ModifyVolumeCommand({ VolumeId: id, Size: 2 }));
    await expect(attach(ec2, id, node)).rejects.toEqual(
      refusal('OperationNotPermitted', /Cannot attach volume '.*' when it is in modification state: MODIFYING/),
    );
  });

  test('is described with its new size at once, and modified once at a time and not too often', async () => {
    const { ec2 } = await openWith({
      times: { modify: 300, optimize: 300 },
      account: { modificationRule: 'six-hours' },
    });
    const id = await newVolume(ec2);
    const grow = (Size: number) => ec2.send(new ModifyVolumeCommand({ VolumeId: id, Size }));
    await grow(2);
    expect((await volumeOf(ec2, id)).Size).toBe(2);
    await expect(grow(3)).rejects.toEqual(
      refusal('IncorrectModificationState', /cannot be modified in modification state MODIFYING/),
    );
    await vi.waitFor(
      () => expect(grow(3)).rejects.toEqual(refusal('VolumeModificationRateExceeded', /Wait at least 6 hours/)),
      { timeout: 30_000 },
    );
  });

  test('DryRun looks at the parameters first, and does nothing', async () => {
    const { ec2, node } = await openWith({});
    const id = await newVolume(ec2);
    const dry = { DryRun: true, InstanceId: node.instanceId, Device: '/dev/xvdba' };
    await expect(ec2.send(new AttachVolumeCommand({ ...dry, VolumeId: unknownVolume }))).rejects.toEqual(
      refusal('InvalidVolume.NotFound'),
    );
    await expect(ec2.send(new DetachVolumeCommand({ ...dry, VolumeId: id }))).rejects.toEqual(
      refusal('IncorrectState'),
    );
    await expect(ec2.send(new CreateVolumeCommand({ ...gp3, Iops: 1_000_000, DryRun: true }))).rejects.toEqual(
      refusal('InvalidParameterValue', /Volume iops of 1000000 is too high; maximum is 80000/),
    );
    const would = refusal('DryRunOperation');
    await expect(ec2.send(new AttachVolumeCommand({ ...dry, VolumeId: id }))).rejects.toEqual(would);
    await expect(ec2.send(new CreateVolumeCommand({ ...gp3, DryRun: true }))).rejects.toEqual(would);
    await expect(ec2.send(new CreateSnapshotCommand({ VolumeId: id, DryRun: true }))).rejects.toEqual(would);
    await expect(ec2.send(new ModifyVolumeCommand({ VolumeId: id, Size: 2, DryRun: true }))).rejects.toEqual(would);
    const tags = [{ Key: 'a', Value: 'b' }];
    await expect(ec2.send(new CreateTagsCommand({ Resources: [id], Tags: tags, DryRun: true }))).rejects.toEqual(would);
    const { Volumes } = await ec2.send(new DescribeVolumesCommand({}));
    expect(Volumes).toMatchObject([{ VolumeId: id, State: 'available', Size: 1 }]);
    expect(Volumes![0]).not.toHaveProperty('Tags');
  });

  test.each(['region', 'zone'] as const)('a ClientToken counts in one %s', async (tokenScope) => {
    const { ec2 } = await openWith({ nodes: 0, zones: 2, account: { tokenScope } });
    const make = (zone: string) =>
      ec2.send(new CreateVolumeCommand({ ...gp3, AvailabilityZone: zone, ClientToken: 'one' }));
    const first = await make('us-east-1a');
    const second = await make('us-east-1b');
    if (tokenScope === 'region')
      expect(second).toMatchObject({ VolumeId: first.VolumeId, AvailabilityZone: 'us-east-1a' });
    else expect(second.VolumeId).not.toBe(first.VolumeId);
    expect((await make('us-east-1b')).VolumeId).toBe(second.VolumeId);
  });

  test('an account may encrypt whatever is made', async () => {
    const { ec2 } = await openWith({ nodes: 0, account: { encryptedByDefault: true } });
    expect(await ec2.send(new GetEbsEncryptionByDefaultCommand({}))).toMatchObject({ EbsEncryptionByDefault: true });
    expect(await ec2.send(new CreateVolumeCommand({ ...gp3, Encrypted: false }))).toMatchObject({ Encrypted: true });
  });

  test('times are described in whole seconds, and both sides of an attachment agree', async () => {
    const { ec2, node } = await openWith({});
    const id = await newVolume(ec2);
    await attach(ec2, id, node);
    const seen = (await volumeOf(ec2, id)).Attachments![0]!.AttachTime!;
    const { Reservations } = await ec2.send(new DescribeInstancesCommand({}));
    const instance = Reservations![0]!.Instances![0]!;
    const mapped = instance.BlockDeviceMappings!.find(({ Ebs }) => Ebs!.VolumeId === id)!.Ebs!.AttachTime!;
    expect([seen.getTime() % 1000, instance.LaunchTime!.getTime() % 1000]).toEqual([0, 0]);
    expect(mapped).toEqual(seen);
  });

  test('the instances of one call stand in one reservation, each with its root volume', async () => {
    const { ec2 } = await openWith({ nodes: 0 });
    const { ReservationId } = await ec2.send(new RunInstancesCommand({ ImageId: 'ami-1', MinCount: 2, MaxCount: 2 }));
    const { Reservations } = await ec2.send(new DescribeInstancesCommand({}));
    expect(Reservations).toMatchObject([{ ReservationId, Instances: [{}, {}] }]);
    for (const { BlockDeviceMappings } of Reservations![0]!.Instances!)
      expect(BlockDeviceMappings).toMatchObject([{ DeviceName: '/dev/xvda', Ebs: { Status: 'attached' } }]);
  });

  test.each(['/dev/sdk1', '/dev/xvddy', '/dev/xvddz', '/dev/xvdea'])('%s is no device name', async (Device) => {
    const { ec2, node } = await openWith({});
    const id = await newVolume(ec2);
    await expect(attach(ec2, id, node, Device)).rejects.toEqual(
      refusal('InvalidParameterValue', /for parameter device is invalid/),
    );
    await attach(ec2, id, node, '/dev/xvddx');
  });

  test('what is protected from termination is not terminated', async () => {
    const { ec2, node } = await openWith({});
    const InstanceIds = [node.instanceId];
    const protect = (Value: boolean) =>
      ec2.send(new ModifyInstanceAttributeCommand({ InstanceId: node.instanceId, DisableApiTermination: { Value } }));
    await protect(true);
    const asked = { InstanceId: node.instanceId, Attribute: 'disableApiTermination' } as const;
    const { DisableApiTermination } = await ec2.send(new DescribeInstanceAttributeCommand(asked));
    expect(DisableApiTermination).toEqual({ Value: true });
    await expect(ec2.send(new TerminateInstancesCommand({ InstanceIds }))).rejects.toEqual(
      refusal('OperationNotPermitted', /disableApiTermination/),
    );
    await protect(false);
    await ec2.send(new TerminateInstancesCommand({ InstanceIds }));
  });

  test('an instance that shuts down is not asked to detach, and may keep its attachments listed', async () => {
    const { sandbox, ec2, node } = await openWith({ times: { stop: 1000 } });
    const id = await newVolume(ec2);
    await attach(ec2, id, node);
    await setFault(sandbox.faults, { kind: 'linger-attachments', instance: node.instanceId });
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [node.instanceId] }));
    await expect(ec2.send(new DetachVolumeCommand({ VolumeId: id }))).rejects.toEqual(
      refusal('IncorrectInstanceState'),
    );
    await instanceBecomes(ec2, node.instanceId, 'terminated');
    expect((await volumeOf(ec2, id)).Attachments).toMatchObject([{ State: 'attached' }]);
    await fetch(sandbox.faults, { method: 'DELETE' });
    await becomes(ec2, id, 'available');
  });

  test('an instance with two EBS cards takes a disk on either, and says where it is', async () => {
    const { ec2 } = await openWith({ nodes: 0 });
    const { InstanceTypes } = await ec2.send(new DescribeInstanceTypesCommand({ InstanceTypes: ['r8gb.48xlarge'] }));
    expect(InstanceTypes?.[0]?.EbsInfo).toMatchObject({ MaximumEbsCards: 2, EbsCards: [{}, { EbsCardIndex: 1 }] });
    const made = { ImageId: 'ami-1', MinCount: 1, MaxCount: 1, InstanceType: 'r8gb.48xlarge' } as const;
    const InstanceId = (await ec2.send(new RunInstancesCommand(made))).Instances?.[0]?.InstanceId ?? '';
    await instanceBecomes(ec2, InstanceId, 'running');
    const VolumeId = await newVolume(ec2);
    const on = (EbsCardIndex: number) =>
      new AttachVolumeCommand({ VolumeId, InstanceId, Device: '/dev/xvdba', EbsCardIndex });
    await expect(ec2.send(on(2))).rejects.toEqual(refusal('InvalidParameterValue', /2 EBS cards/));
    expect(await ec2.send(on(1))).toMatchObject({ EbsCardIndex: 1 });
    const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [InstanceId] }));
    expect(Reservations?.[0]?.Instances?.[0]?.BlockDeviceMappings?.[1]?.Ebs).toMatchObject({ EbsCardIndex: 1 });
  });

  test('an impaired volume says so until its I/O is enabled', async () => {
    const { sandbox, ec2 } = await openWith({ nodes: 0 });
    const id = await newVolume(ec2);
    const ask = async () => (await ec2.send(new DescribeVolumeStatusCommand({ VolumeIds: [id] }))).VolumeStatuses![0]!;
    expect(await ask()).toMatchObject({ VolumeStatus: { Status: 'ok' } });
    await setFault(sandbox.faults, { kind: 'volume-status', volume: id, code: 'impaired' });
    expect(await ask()).toMatchObject({
      VolumeStatus: { Status: 'impaired' },
      Actions: [{ Code: 'enable-volume-io' }],
    });
    await ec2.send(new EnableVolumeIOCommand({ VolumeId: id }));
    expect(await ask()).toMatchObject({ VolumeStatus: { Status: 'ok' } });
  });

  test('a volume from a snapshot is complete at once, and only such a one takes an initialization rate', async () => {
    const { ec2 } = await openCloud(0);
    const VolumeId = await newVolume(ec2);
    const { SnapshotId } = await ec2.send(new CreateSnapshotCommand({ VolumeId }));
    const make = (more: object) =>
      ec2.send(new CreateVolumeCommand({ AvailabilityZone: 'us-east-1a', VolumeType: 'gp3', Size: 1, ...more }));
    await expect(make({ VolumeInitializationRate: 200 })).rejects.toEqual(refusal('InvalidParameterCombination'));
    await vi.waitFor(() => make({ SnapshotId, VolumeInitializationRate: 200 }), { timeout: 20_000 });
    await expect(make({ SnapshotId, VolumeInitializationRate: 301 })).rejects.toEqual(refusal('InvalidParameterValue'));
    const made = await make({ SnapshotId });
    const ask = async (id = '') =>
      (await ec2.send(new DescribeVolumeStatusCommand({ VolumeIds: [id] }))).VolumeStatuses?.[0];
    expect(await ask(made.VolumeId)).toMatchObject({
      VolumeStatus: { Details: expect.arrayContaining([{ Name: 'initialization-state', Status: 'completed' }]) },
      InitializationStatusDetails: { InitializationType: 'default', Progress: 100 },
    });
    expect((await ask(VolumeId))?.InitializationStatusDetails).toBeUndefined();
  });

  test('all unknown ids are named, and ids beside MaxResults are refused before they are looked up', async () => {
    const { ec2 } = await openCloud(0);
    const other = 'vol-0aaaaaaaaaaaaaaa0';
    const ask = (more: object) => ec2.send(new DescribeVolumesCommand({ VolumeIds: [unknownVolume, other], ...more }));
    await expect(ask({})).rejects.toEqual(refusal('InvalidVolume.NotFound', new RegExp(`${unknownVolume}, ${other}`)));
    await expect(ask({ MaxResults: 5 })).rejects.toEqual(refusal('InvalidParameterCombination'));
    const InstanceIds = Array.from({ length: 101 }, (_, n) => `i-0${n.toString(16).padStart(16, '0')}`);
    await expect(ec2.send(new DescribeInstanceStatusCommand({ InstanceIds }))).rejects.toThrow();
  });

  test('listings heed their filters and pages', async () => {
    const { ec2 } = await openCloud(1);
    const types = (Name: string, ...Values: string[]) =>
      ec2.send(new DescribeInstanceTypesCommand({ Filters: [{ Name, Values }] }));
    expect((await types('instance-type', 'm7i.*')).InstanceTypes).toMatchObject([{ InstanceType: 'm7i.large' }]);
    await expect(types('nonsense', 'x')).rejects.toEqual(
      refusal('InvalidParameterValue', /filter 'nonsense' is invalid/),
    );
    const { InstanceTypeOfferings } = await ec2.send(
      new DescribeInstanceTypeOfferingsCommand({
        LocationType: 'availability-zone',
        Filters: [{ Name: 'instance-type', Values: ['t3.micro'] }],
      }),
    );
    expect(InstanceTypeOfferings).toMatchObject([{ InstanceType: 't3.micro', Location: 'us-east-1a' }]);
    const id = await newVolume(ec2);
    await ec2.send(
      new CreateTagsCommand({ Resources: [id], Tags: [...'abcdefg'].map((Key) => ({ Key, Value: 'v' })) }),
    );
    const ofVolume = { Filters: [{ Name: 'resource-id', Values: [id] }], MaxResults: 5 };
    const first = await ec2.send(new DescribeTagsCommand(ofVolume));
    const rest = await ec2.send(new DescribeTagsCommand({ ...ofVolume, NextToken: first.NextToken }));
    expect([...first.Tags!, ...rest.Tags!].map(({ Key }) => Key).join('')).toBe('abcdefg');
    expect((await ec2.send(new DescribeImagesCommand({}))).Images).toHaveLength(1);
    expect((await ec2.send(new DescribeAccountAttributesCommand({}))).AccountAttributes).not.toEqual([]);
  });

  test('a zone may be named by its id; an empty TagSpecification is none', async () => {
    const { ec2 } = await openCloud(0, 2);
    const { AvailabilityZone: _, ...anywhere } = gp3;
    const made = await ec2.send(new CreateVolumeCommand({ ...anywhere, AvailabilityZoneId: 'use1-az2' }));
    expect(made).toMatchObject({ AvailabilityZone: 'us-east-1b', AvailabilityZoneId: 'use1-az2' });
    const empty = { ...gp3, TagSpecifications: [{ ResourceType: 'volume' as const, Tags: [] }] };
    await expect(ec2.send(new CreateVolumeCommand(empty))).rejects.toEqual(refusal('InvalidParameterValue', /tag/i));
  });
});
