import { describe, expect, it } from 'vitest';
import type { Permission } from '../../src/ebs/types.ts';
import { answerOnce, answerXml, errorXml, openTestEc2, useFakeAws } from './aws.ts';

useFakeAws();

const wouldSucceed = () =>
  answerOnce(412, errorXml('DryRunOperation', 'Request would have succeeded, but DryRun flag is set.'));
const key = { volumeId: 'vol-1', instanceId: 'i-1', device: '/dev/xvdba' };
const spec = {
  zone: 'eu-west-1a',
  sizeGib: 1,
  type: 'gp3',
  iops: undefined,
  throughput: undefined,
  encrypted: undefined,
  kmsKeyId: undefined,
  snapshotId: undefined,
  tags: { a: '1' },
  clientToken: 'token-1',
};

describe('asking for a permission', () => {
  it.each<[Permission, Record<string, string>]>([
    [
      { action: 'CreateVolume', spec },
      { AvailabilityZone: 'eu-west-1a', 'TagSpecification.1.Tag.1.Key': 'a' },
    ],
    [
      { action: 'AttachVolume', key },
      { VolumeId: 'vol-1', InstanceId: 'i-1', Device: '/dev/xvdba' },
    ],
    [
      { action: 'DetachVolume', key },
      { VolumeId: 'vol-1', InstanceId: 'i-1', Device: '/dev/xvdba' },
    ],
    [
      { action: 'CreateTags', resourceId: 'vol-1', key: 'a' },
      { 'ResourceId.1': 'vol-1', 'Tag.1.Key': 'a' },
    ],
    [
      { action: 'DeleteTags', resourceId: 'vol-1', key: 'a' },
      { 'ResourceId.1': 'vol-1', 'Tag.1.Key': 'a' },
    ],
    [{ action: 'DeleteVolume', volumeId: 'vol-1' }, { VolumeId: 'vol-1' }],
    [
      { action: 'CreateSnapshot', volumeId: 'vol-1', tags: { a: '1' } },
      { VolumeId: 'vol-1', 'TagSpecification.1.ResourceType': 'snapshot', 'TagSpecification.1.Tag.1.Key': 'a' },
    ],
    [
      { action: 'ModifyVolume', volumeId: 'vol-1', change: { sizeGib: 9 } },
      { VolumeId: 'vol-1', Size: '9' },
    ],
    [{ action: 'DescribeVolumes' }, {}],
    [{ action: 'DescribeVolumesModifications' }, {}],
    [{ action: 'DescribeInstanceStatus' }, {}],
    [{ action: 'StopInstances', instanceId: 'i-1' }, { 'InstanceId.1': 'i-1' }],
  ])('sends %o as a dry run', async (permission, fields) => {
    const { form } = wouldSucceed();
    expect(await openTestEc2().denied(permission)).toBeUndefined();
    expect(await form).toMatchObject({ Action: permission.action, DryRun: 'true', ...fields });
  });

  it("gives EC2's words when it is denied", async () => {
    const words = 'You are not authorized to perform this operation. User: arn:x is not authorized to perform: y';
    answerOnce(403, errorXml('UnauthorizedOperation', `${words}. Encoded authorization failure message: 4GIOHl`));
    expect(await openTestEc2().denied({ action: 'StopInstances', instanceId: 'i-1' })).toBe(words);
  });

  it.each([
    ['an unknown volume', 400, errorXml('InvalidVolume.NotFound', 'It does not exist.'), 'EC2_NO_SUCH_VOLUME'],
    ['bad credentials', 401, errorXml('AuthFailure', 'No.'), 'EC2_CREDENTIALS'],
    ['an endpoint that does it', 200, answerXml('DeleteVolume', '<return>true</return>'), 'EC2_REJECTED'],
  ])('fails for %s', async (_what, status, body, code) => {
    answerOnce(status, body);
    await expect(openTestEc2().denied({ action: 'DeleteVolume', volumeId: 'vol-1' })).rejects.toMatchObject({ code });
  });
});
