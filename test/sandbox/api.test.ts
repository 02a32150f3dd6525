import {
  AttachVolumeCommand,
  CopyVolumesCommand,
  CreateSnapshotCommand,
  CreateTagsCommand,
  CreateVolumeCommand,
  DeleteSnapshotCommand,
  DeleteTagsCommand,
  DeleteVolumeCommand,
  DescribeInstancesCommand,
  DescribeInstanceTypesCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  DescribeVolumesModificationsCommand,
  DetachVolumeCommand,
  ModifyVolumeCommand,
  paginateDescribeVolumes,
  RunInstancesCommand,
  StopInstancesCommand,
} from '@aws-sdk/client-ec2';
import { describe, expect, test, vi } from 'vitest';
import { requires } from '../support/requirements.ts';
import {
  attach,
  becomes,
  client,
  gp3,
  newVolume,
  open,
  openCloud,
  refusal,
  temporaryDirectory,
  unknownVolume,
  volumeOf,
} from './support.ts';

describe.skipIf(requires('root', 'loop').skip)('the EC2 API over a socket', () => {
  test('a volume is made once for a token, and its token stays burnt', async () => {
    const { ec2 } = await openCloud(0);
    const input = { ...gp3, ClientToken: 'once', Encrypted: true };
    const made = await ec2.send(new CreateVolumeCommand(input));
    expect(made).toMatchObject({ State: 'creating', Encrypted: true, Iops: 3000, Throughput: 125 });
    expect((await ec2.send(new CreateVolumeCommand(input))).VolumeId).toBe(made.VolumeId);
    const mismatch = refusal('IdempotentParameterMismatch');
    await expect(ec2.send(new CreateVolumeCommand({ ...input, Size: 2 }))).rejects.toEqual(mismatch);
    await becomes(ec2, made.VolumeId!, 'available');
    await ec2.send(new DeleteVolumeCommand({ VolumeId: made.VolumeId }));
    const deleted = refusal('IdempotentParameterMismatch', new RegExp(`deleted.*${made.VolumeId}`));
    await expect(ec2.send(new CreateVolumeCommand(input))).rejects.toEqual(deleted);
  });

  test('a volume is copied once for a token, also when that is asked twice at the same time', async () => {
    const { ec2 } = await openCloud(0);
    const SourceVolumeId = await newVolume(ec2);
    const copy = () => ec2.send(new CopyVolumesCommand({ SourceVolumeId, VolumeType: 'gp3', ClientToken: 'once' }));
    const [one, other] = await Promise.all([copy(), copy()]);
    expect(one.Volumes![0]).toMatchObject({ SourceVolumeId, Size: 1, VolumeType: 'gp3' });
    expect(other.Volumes![0]!.VolumeId).toBe(one.Volumes![0]!.VolumeId);
    await becomes(ec2, one.Volumes![0]!.VolumeId!, 'available');
    expect((await ec2.send(new DescribeVolumesCommand({}))).Volumes).toHaveLength(2);
  });

  test('finds volumes by tag, by wildcard and page by page', async () => {
    const { ec2 } = await openCloud(0);
    for (let number = 0; number < 7; number += 1) {
      const tags = [{ Key: 'Name', Value: `<data> & ${number}` }];
      await ec2.send(new CreateVolumeCommand({ ...gp3, TagSpecifications: [{ ResourceType: 'volume', Tags: tags }] }));
    }
    const named = (value: string) => new DescribeVolumesCommand({ Filters: [{ Name: 'tag:Name', Values: [value] }] });
    expect((await ec2.send(named('<data> & 3'))).Volumes).toHaveLength(1);
    expect((await ec2.send(named('*data*'))).Volumes).toHaveLength(7);
    const sizes: number[] = [];
    for await (const page of paginateDescribeVolumes({ client: ec2, pageSize: 5 }, {}))
      sizes.push(page.Volumes!.length);
    expect(sizes).toEqual([5, 2]);
  });

  test('unknown, malformed and doubled ids fail the whole call', async () => {
    const { ec2 } = await openCloud(0);
    const ask = (...VolumeIds: string[]) => ec2.send(new DescribeVolumesCommand({ VolumeIds }));
    await expect(ask(unknownVolume)).rejects.toEqual(refusal('InvalidVolume.NotFound'));
    await expect(ask('vol-x')).rejects.toEqual(refusal('InvalidParameterValue', /Expected: 'vol-\.\.\.'/));
    const id = (await ec2.send(new CreateVolumeCommand(gp3))).VolumeId!;
    await expect(ask(id, id)).rejects.toEqual(refusal('InvalidVolumeID.Duplicate'));
    await expect(ec2.send(new DescribeInstancesCommand({ InstanceIds: ['i-0123456789abcdef0'] }))).rejects.toEqual(
      refusal('InvalidInstanceID.NotFound'),
    );
  });

  test('attaching is the lock: one instance, one device name, the right zone, once available', async () => {
    const { sandbox, ec2 } = await openCloud(2, 2);
    const [here, elsewhere] = sandbox.nodes();
    const id = await newVolume(ec2);
    const other = await newVolume(ec2);
    const tryAttach = (VolumeId: string, InstanceId: string, Device: string) =>
      ec2.send(new AttachVolumeCommand({ VolumeId, InstanceId, Device }));
    await expect(tryAttach(id, elsewhere!.instanceId, '/dev/xvdba')).rejects.toEqual(
      refusal('InvalidVolume.ZoneMismatch'),
    );
    const both = await Promise.allSettled([
      tryAttach(id, here!.instanceId, '/dev/xvdba'),
      tryAttach(id, here!.instanceId, '/dev/xvdbb'),
    ]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    await expect(tryAttach(id, here!.instanceId, '/dev/xvdbc')).rejects.toEqual(refusal('VolumeInUse'));
    await becomes(ec2, id, 'attached');
    const device = (await volumeOf(ec2, id)).Attachments![0]!.Device!;
    await expect(tryAttach(other, here!.instanceId, device)).rejects.toEqual(
      refusal('InvalidParameterValue', /is already in use$/),
    );
    await expect(ec2.send(new DeleteVolumeCommand({ VolumeId: id }))).rejects.toEqual(refusal('VolumeInUse'));
    const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [here!.instanceId] }));
    expect(Reservations![0]!.Instances![0]!.BlockDeviceMappings).toMatchObject([
      { DeviceName: '/dev/xvda', Ebs: { DeleteOnTermination: true } },
      { DeviceName: device, Ebs: { VolumeId: id, Status: 'attached' } },
    ]);
  });

  test('a detach names what it ends, or ends nothing', async () => {
    const { sandbox, ec2 } = await openCloud(2);
    const [here, there] = sandbox.nodes();
    const id = await newVolume(ec2);
    const detach = (InstanceId?: string, Device?: string) =>
      ec2.send(new DetachVolumeCommand({ VolumeId: id, InstanceId, Device }));
    await expect(detach()).rejects.toEqual(refusal('IncorrectState', /'available' state/));
    await attach(ec2, id, here!);
    await expect(detach(there!.instanceId)).rejects.toEqual(refusal('InvalidAttachment.NotFound'));
    await expect(detach(here!.instanceId, '/dev/xvdbb')).rejects.toEqual(refusal('InvalidAttachment.NotFound'));
    expect(await detach(here!.instanceId, '/dev/xvdba')).toMatchObject({ State: 'detaching' });
    await becomes(ec2, id, 'available');
  });

  test('an instance takes only so many volumes, its root volume included', async () => {
    const dir = await temporaryDirectory();
    const sandbox = await open(dir, { attachmentLimits: { 'm5.large': 2 } });
    const ec2 = client(sandbox);
    const [node] = sandbox.nodes();
    await attach(ec2, await newVolume(ec2), node!);
    await expect(attach(ec2, await newVolume(ec2), node!, '/dev/xvdbb')).rejects.toEqual(
      refusal('AttachmentLimitExceeded'),
    );
    const types = await ec2.send(new DescribeInstanceTypesCommand({ InstanceTypes: ['m5.large'] }));
    expect(types.InstanceTypes![0]!.EbsInfo!.MaximumEbsAttachments).toBe(2);
  });

  test('tags: set, deleted only if they have the value, limited', async () => {
    const { ec2 } = await openCloud(0);
    const id = (await ec2.send(new CreateVolumeCommand(gp3))).VolumeId!;
    const Resources = [id];
    await ec2.send(
      new CreateTagsCommand({
        Resources,
        Tags: [
          { Key: 'a', Value: '1' },
          { Key: 'b', Value: '' },
        ],
      }),
    );
    await ec2.send(new DeleteTagsCommand({ Resources, Tags: [{ Key: 'a', Value: '2' }, { Key: 'b' }] }));
    expect((await volumeOf(ec2, id)).Tags).toEqual([{ Key: 'a', Value: '1' }]);
    await ec2.send(new DeleteTagsCommand({ Resources, Tags: [{ Key: 'a', Value: '1' }] }));
    expect((await volumeOf(ec2, id)).Tags ?? []).toEqual([]);
    const many = Array.from({ length: 51 }, (_, index) => ({ Key: `k${index}`, Value: '' }));
    await expect(ec2.send(new CreateTagsCommand({ Resources, Tags: many }))).rejects.toEqual(
      refusal('TagLimitExceeded'),
    );
    await expect(ec2.send(new CreateTagsCommand({ Resources, Tags: [{ Key: 'aws:x', Value: '' }] }))).rejects.toEqual(
      refusal('InvalidParameterValue', /reserved/),
    );
  });

  test('a volume grows, four times a day', async () => {
    const { ec2 } = await openCloud(0);
    const id = await newVolume(ec2);
    for (const Size of [2, 3, 4, 5]) {
      await ec2.send(new ModifyVolumeCommand({ VolumeId: id, Size }));
      await vi.waitFor(
        async () => {
          const { VolumesModifications } = await ec2.send(new DescribeVolumesModificationsCommand({ VolumeIds: [id] }));
          expect(VolumesModifications![0]).toMatchObject({ ModificationState: 'completed', TargetSize: Size });
        },
        { timeout: 60_000 },
      );
    }
    expect((await volumeOf(ec2, id)).Size).toBe(5);
    const grow = (Size: number) => ec2.send(new ModifyVolumeCommand({ VolumeId: id, Size }));
    await expect(grow(6)).rejects.toEqual(refusal('VolumeModificationRateExceeded', /Wait until 20/));
  });

  test('snapshots complete, become volumes, and are deleted once they are complete', async () => {
    const { sandbox, ec2 } = await openCloud(0);
    const id = await newVolume(ec2);
    const { SnapshotId, State } = await ec2.send(new CreateSnapshotCommand({ VolumeId: id, Description: 'd' }));
    expect(State).toBe('pending');
    await vi.waitFor(
      async () => {
        const { Snapshots } = await ec2.send(
          new DescribeSnapshotsCommand({ OwnerIds: ['self'], SnapshotIds: [SnapshotId!] }),
        );
        expect(Snapshots![0]).toMatchObject({ State: 'completed', VolumeId: id, VolumeSize: 1 });
      },
      { timeout: 60_000 },
    );
    const copy = await ec2.send(
      new CreateVolumeCommand({ AvailabilityZone: 'us-east-1a', SnapshotId, VolumeType: 'gp3' }),
    );
    expect(copy.Size).toBe(1);
    await becomes(ec2, copy.VolumeId!, 'available');
    await fetch(sandbox.faults, { method: 'POST', body: JSON.stringify({ kind: 'stuck-snapshot' }) });
    const { SnapshotId: pending } = await ec2.send(new CreateSnapshotCommand({ VolumeId: id }));
    const snapshots = async () =>
      (await ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }))).Snapshots!.map((each) => each.SnapshotId);
    await ec2.send(new DeleteSnapshotCommand({ SnapshotId: pending }));
    await ec2.send(new DeleteSnapshotCommand({ SnapshotId }));
    expect(await snapshots()).toEqual([pending]);
    await fetch(sandbox.faults, { method: 'DELETE' });
    await vi.waitFor(async () => expect(await snapshots()).toEqual([]), { timeout: 60_000 });
  });

  test('power states, hibernation only where configured', async () => {
    const { sandbox, ec2 } = await openCloud(1);
    const [node] = sandbox.nodes();
    const InstanceIds = [node!.instanceId];
    await expect(ec2.send(new StopInstancesCommand({ InstanceIds, Hibernate: true }))).rejects.toEqual(
      refusal('UnsupportedHibernationConfiguration'),
    );
    const stopped = await ec2.send(new StopInstancesCommand({ InstanceIds }));
    expect(stopped.StoppingInstances![0]).toMatchObject({
      CurrentState: { Name: 'stopping' },
      PreviousState: { Name: 'running' },
    });
    await expect(
      ec2.send(new RunInstancesCommand({ MinCount: 21, MaxCount: 21, InstanceType: 'm5.large' })),
    ).rejects.toEqual(refusal('InstanceLimitExceeded'));
  });

  test('unsigned calls, unknown actions and dry runs', async () => {
    const { sandbox, ec2 } = await openCloud(0);
    const unsigned = await fetch(`${sandbox.endpoint}/?Action=DescribeVolumes&Version=2016-11-15`);
    expect([unsigned.status, await unsigned.text()]).toEqual([
      401,
      expect.stringContaining('<Code>AuthFailure</Code>'),
    ]);
    const headers = { authorization: 'AWS4-HMAC-SHA256 Credential=x' };
    const unknown = await fetch(`${sandbox.endpoint}/?Action=MakeTea`, { headers });
    expect(await unknown.text()).toContain('<Code>InvalidAction</Code>');
    await expect(ec2.send(new DescribeVolumesCommand({ DryRun: true }))).rejects.toEqual(refusal('DryRunOperation'));
  });
});
