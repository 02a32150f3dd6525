import nock from 'nock';
import { describe, expect, it } from 'vitest';
import type { CallOptions, CreateVolumeSpec, Ec2 } from '../../src/ebs/types.ts';
import {
  answerOnce,
  answerXml,
  attachmentXml,
  endpoint,
  openTestEc2,
  useFakeAws,
  volumesXml,
  volumeXml,
} from './aws.ts';

useFakeAws();

const spec: CreateVolumeSpec = {
  zone: 'eu-west-1a',
  sizeGib: 16,
  type: 'gp3',
  iops: undefined,
  throughput: undefined,
  encrypted: undefined,
  kmsKeyId: undefined,
  snapshotId: undefined,
  tags: { Name: 'data', 'docker-volume-ebs:cluster': 'test' },
  clientToken: 'token-1',
};
const key = { volumeId: 'vol-1', instanceId: 'i-1', device: '/dev/xvdba' };
const attachment = {
  ...key,
  attachTime: '2026-01-02T03:04:05Z',
  deleteOnTermination: false,
};

describe('what goes over the wire', () => {
  it('looks a name up among the volumes of the cluster, paged, in every zone', async () => {
    const { form } = answerOnce(200, volumesXml(['vol-1']));
    await openTestEc2().findVolumes('data');
    expect(await form).toEqual({
      Action: 'DescribeVolumes',
      'Filter.1.Name': 'tag:docker-volume-ebs:cluster',
      'Filter.1.Value.1': 'test',
      'Filter.2.Name': 'tag:docker-volume-ebs:name',
      'Filter.2.Value.1': 'data',
      MaxResults: '1000',
    });
  });

  it("escapes the wildcards of EC2's filters", async () => {
    const { form } = answerOnce(200, volumesXml([]));
    await openTestEc2({ cluster: 'a*' }).findVolumes('b?\\c');
    expect(await form).toMatchObject({ 'Filter.1.Value.1': 'a\\*', 'Filter.2.Value.1': 'b\\?\\\\c' });
  });

  it('lists the volumes of the cluster', async () => {
    const { form } = answerOnce(200, volumesXml([]));
    await openTestEc2().listVolumes();
    expect(await form).toEqual({
      Action: 'DescribeVolumes',
      'Filter.1.Name': 'tag:docker-volume-ebs:cluster',
      'Filter.1.Value.1': 'test',
      MaxResults: '1000',
    });
  });

  it('finds the volumes of the cluster that carry a tag, whatever its value', async () => {
    const { form } = answerOnce(
      200,
      volumesXml([
        ['vol-1', { x: '' }],
        ['vol-2', { X: '1' }],
      ]),
    );
    expect(await openTestEc2().findTagged('x')).toMatchObject([{ id: 'vol-1' }]);
    expect(await form).toEqual({
      Action: 'DescribeVolumes',
      'Filter.1.Name': 'tag:docker-volume-ebs:cluster',
      'Filter.1.Value.1': 'test',
      'Filter.2.Name': 'tag-key',
      'Filter.2.Value.1': 'x',
      MaxResults: '1000',
    });
  });

  it('asks how many volumes an instance type takes', async () => {
    const type = (limit: string) =>
      answerXml(
        'DescribeInstanceTypes',
        `<instanceTypeSet><item><instanceType>m7i.large</instanceType><ebsInfo>${limit}</ebsInfo></item></instanceTypeSet>`,
      );
    const full =
      '<maximumEbsAttachments>32</maximumEbsAttachments><attachmentLimitType>dedicated</attachmentLimitType>';
    const { form } = answerOnce(200, type(full));
    expect(await openTestEc2().attachmentLimit('m7i.large')).toEqual({ maximum: 32, kind: 'dedicated' });
    expect(await form).toEqual({
      Action: 'DescribeInstanceTypes',
      'Filter.1.Name': 'instance-type',
      'Filter.1.Value.1': 'm7i.large',
      MaxResults: '100',
    });
    answerOnce(200, type(`${full}<maximumEbsCards>2</maximumEbsCards>`));
    expect(await openTestEc2().attachmentLimit('m7i.large')).toEqual({ maximum: 32, kind: 'dedicated', cards: 2 });
    answerOnce(200, type(`${full}<maximumEbsCards>1</maximumEbsCards>`));
    expect(await openTestEc2().attachmentLimit('m7i.large')).toEqual({ maximum: 32, kind: 'dedicated' });
    answerOnce(200, type('<maximumEbsAttachments>32</maximumEbsAttachments>'));
    expect(await openTestEc2().attachmentLimit('m7i.large')).toBeUndefined();
    answerOnce(200, type(full));
    expect(await openTestEc2().attachmentLimit('m7i.metal')).toBeUndefined();
    answerOnce(200, answerXml('DescribeInstanceTypes', ''));
    await expect(openTestEc2().attachmentLimit('x')).rejects.toMatchObject({ code: 'EC2_UNAVAILABLE' });
  });

  it('describes a volume and an instance by filter, not by id', async () => {
    const { form: volumeForm } = answerOnce(200, volumesXml(['vol-1']));
    await openTestEc2().describeVolume('vol-1');
    expect(await volumeForm).toEqual({
      Action: 'DescribeVolumes',
      'Filter.1.Name': 'volume-id',
      'Filter.1.Value.1': 'vol-1',
      MaxResults: '1000',
    });
    const { form: instanceForm } = answerOnce(200, answerXml('DescribeInstances', '<reservationSet/>'));
    expect(await openTestEc2().describeInstance('i-1')).toBeUndefined();
    expect(await instanceForm).toEqual({
      Action: 'DescribeInstances',
      'Filter.1.Name': 'instance-id',
      'Filter.1.Value.1': 'i-1',
      MaxResults: '1000',
    });
  });

  it('creates a volume with its tags and token', async () => {
    const { form } = answerOnce(200, answerXml('CreateVolume', volumeXml('vol-1').replace('available', 'creating')));
    const volume = await openTestEc2().createVolume(spec);
    expect(volume).toMatchObject({ id: 'vol-1', state: 'creating', attachments: [] });
    expect(await form).toEqual({
      Action: 'CreateVolume',
      AvailabilityZone: 'eu-west-1a',
      Size: '16',
      VolumeType: 'gp3',
      ClientToken: 'token-1',
      'TagSpecification.1.ResourceType': 'volume',
      'TagSpecification.1.Tag.1.Key': 'Name',
      'TagSpecification.1.Tag.1.Value': 'data',
      'TagSpecification.1.Tag.2.Key': 'docker-volume-ebs:cluster',
      'TagSpecification.1.Tag.2.Value': 'test',
    });
  });

  it('creates a volume with everything a specification can hold', async () => {
    const { form } = answerOnce(200, answerXml('CreateVolume', volumeXml('vol-1')));
    await openTestEc2().createVolume({
      ...spec,
      sizeGib: undefined,
      iops: 4000,
      throughput: 200,
      encrypted: true,
      kmsKeyId: 'alias/k',
      snapshotId: 'snap-1',
      initializationRate: 200,
    });
    const fields = await form;
    expect(fields).toMatchObject({
      Iops: '4000',
      Throughput: '200',
      Encrypted: 'true',
      KmsKeyId: 'alias/k',
      SnapshotId: 'snap-1',
      VolumeInitializationRate: '200',
    });
    expect(fields).not.toHaveProperty('Size');
  });

  it('deletes a volume', async () => {
    const { form } = answerOnce(200, answerXml('DeleteVolume', '<return>true</return>'));
    await openTestEc2().deleteVolume('vol-1');
    expect(await form).toEqual({ Action: 'DeleteVolume', VolumeId: 'vol-1' });
  });

  it('attaches and detaches naming volume, instance and device', async () => {
    const fields = { VolumeId: 'vol-1', InstanceId: 'i-1', Device: '/dev/xvdba' };
    const { form: attach } = answerOnce(200, answerXml('AttachVolume', attachmentXml('attaching')));
    expect(await openTestEc2().attachVolume(key)).toEqual({ ...attachment, state: 'attaching' });
    expect(await attach).toEqual({ Action: 'AttachVolume', ...fields });
    const { form: second } = answerOnce(200, answerXml('AttachVolume', attachmentXml('attaching')));
    await openTestEc2().attachVolume({ ...key, card: 1 });
    expect(await second).toEqual({ Action: 'AttachVolume', ...fields, EbsCardIndex: '1' });
    const { form: detach } = answerOnce(200, answerXml('DetachVolume', attachmentXml('detaching')));
    expect(await openTestEc2().detachVolume(key)).toEqual({ ...attachment, state: 'detaching' });
    expect(await detach).toEqual({ Action: 'DetachVolume', ...fields });
  });

  it('detaches by force', async () => {
    const { form } = answerOnce(200, answerXml('DetachVolume', attachmentXml('detaching')));
    await openTestEc2().detachVolume(key, { force: true });
    const fields = { VolumeId: 'vol-1', InstanceId: 'i-1', Device: '/dev/xvdba' };
    expect(await form).toEqual({ Action: 'DetachVolume', ...fields, Force: 'true' });
  });

  it.each<[string, (ec2: Ec2, options: CallOptions) => Promise<unknown>]>([
    ['DetachVolume', (ec2, options) => ec2.detachVolume(key, options)],
    ['StopInstances', (ec2, options) => ec2.stopInstance('i-1', options)],
    ['CreateTags', (ec2, options) => ec2.createTags('vol-1', { Name: 'data' }, options)],
    ['DeleteTags', (ec2, options) => ec2.deleteTags('vol-1', { Name: 'data' }, options)],
  ])('sends no %s that is no longer valid', async (_, call) => {
    const asked = call(openTestEc2(), { stillValid: () => false });
    await expect(asked).rejects.toMatchObject({
      code: 'EC2_UNAVAILABLE',
      parts: { why: expect.stringContaining('no longer held') },
    });
  });

  it('stops an instance gracefully, or by force without waiting for its shutdown', async () => {
    const { form: graceful } = answerOnce(200, answerXml('StopInstances', '<instancesSet/>'));
    await openTestEc2().stopInstance('i-1');
    expect(await graceful).toEqual({ Action: 'StopInstances', 'InstanceId.1': 'i-1' });
    const { form: forced } = answerOnce(200, answerXml('StopInstances', '<instancesSet/>'));
    await openTestEc2().stopInstance('i-1', { force: true });
    expect(await forced).toEqual({
      Action: 'StopInstances',
      'InstanceId.1': 'i-1',
      Force: 'true',
      SkipOsShutdown: 'true',
    });
  });

  it('tags several resources at once, and deletes tags that still have their value', async () => {
    const { form: create } = answerOnce(200, answerXml('CreateTags', '<return>true</return>'));
    await openTestEc2().createTags(['vol-1', 'vol-2'], { a: '1' });
    const resources = { 'ResourceId.1': 'vol-1', 'ResourceId.2': 'vol-2' };
    expect(await create).toEqual({ Action: 'CreateTags', ...resources, 'Tag.1.Key': 'a', 'Tag.1.Value': '1' });
    const { form: remove } = answerOnce(200, answerXml('DeleteTags', '<return>true</return>'));
    await openTestEc2().deleteTags(['vol-1', 'vol-2'], { a: '1', b: '', c: undefined });
    expect(await remove).toEqual({
      Action: 'DeleteTags',
      ...resources,
      'Tag.1.Key': 'a',
      'Tag.1.Value': '1',
      'Tag.2.Key': 'b',
      'Tag.2.Value': '',
      'Tag.3.Key': 'c',
    });
  });

  it('writes tags, and deletes them by key whatever their value', async () => {
    const { form: create } = answerOnce(200, answerXml('CreateTags', '<return>true</return>'));
    await openTestEc2().createTags('vol-1', { a: '1', b: '' });
    expect(await create).toEqual({
      Action: 'CreateTags',
      'ResourceId.1': 'vol-1',
      'Tag.1.Key': 'a',
      'Tag.1.Value': '1',
      'Tag.2.Key': 'b',
      'Tag.2.Value': '',
    });
    const { form: remove } = answerOnce(200, answerXml('DeleteTags', '<return>true</return>'));
    await openTestEc2().deleteTags('vol-1', { a: undefined, b: undefined });
    expect(await remove).toEqual({
      Action: 'DeleteTags',
      'ResourceId.1': 'vol-1',
      'Tag.1.Key': 'a',
      'Tag.2.Key': 'b',
    });
  });

  it('sends nothing for no tags or resources: EC2 takes a DeleteTags without keys as all tags', async () => {
    await openTestEc2().deleteTags([], { a: undefined });
    await openTestEc2().createTags([], { a: '1' });
    await openTestEc2().deleteTags('vol-1', {});
    await openTestEc2().createTags('vol-1', {});
  });

  it('says who asks', async () => {
    nock(endpoint, { reqheaders: { 'user-agent': /app\/docker-volume-ebs/, authorization: /eu-west-1\/ec2/ } })
      .post('/')
      .reply(200, volumesXml([]));
    await openTestEc2().listVolumes();
  });
});
