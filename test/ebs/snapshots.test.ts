import { describe, expect, it } from 'vitest';
import { answerOnce, answerXml, errorXml, openTestEc2, useFakeAws } from './aws.ts';

useFakeAws();

describe('the calls about snapshots', () => {
  it('starts a snapshot with its tags and gives its id', async () => {
    const { form } = answerOnce(200, answerXml('CreateSnapshot', '<snapshotId>snap-1</snapshotId>'));
    expect(await openTestEc2().createSnapshot('vol-1', 'before removal', { Name: 'data' })).toBe('snap-1');
    expect(await form).toEqual({
      Action: 'CreateSnapshot',
      VolumeId: 'vol-1',
      Description: 'before removal',
      'TagSpecification.1.ResourceType': 'snapshot',
      'TagSpecification.1.Tag.1.Key': 'Name',
      'TagSpecification.1.Tag.1.Value': 'data',
    });
    const { form: untagged } = answerOnce(200, answerXml('CreateSnapshot', '<snapshotId/>'));
    await expect(openTestEc2().createSnapshot('vol-1', 'x', {})).rejects.toMatchObject({ code: 'EC2_REJECTED' });
    expect(await untagged).toEqual({ Action: 'CreateSnapshot', VolumeId: 'vol-1', Description: 'x' });
  });

  it('sends a snapshot once where something is done around it, whatever comes of it', async () => {
    const steps: string[] = [];
    const once = async <T>(send: () => Promise<T>): Promise<T> => {
      steps.push('before');
      return send().finally(() => steps.push('after'));
    };
    for (const name of ['RequestLimitExceeded', 'InternalError']) {
      const { form } = answerOnce(503, errorXml(name, 'Not now.'));
      await expect(openTestEc2().createSnapshot('vol-1', 'x', {}, { once })).rejects.toMatchObject({
        code: name === 'InternalError' ? 'EC2_UNAVAILABLE' : 'EC2_THROTTLED',
      });
      expect(await form).toMatchObject({ Action: 'CreateSnapshot' });
    }
    expect(steps).toEqual(['before', 'after', 'before', 'after']);
  });

  it('looks for snapshots of its cluster, of volumes, and by id, among those of the account alone', async () => {
    const { form: all } = answerOnce(200, answerXml('DescribeSnapshots', '<snapshotSet/>'));
    expect(await openTestEc2().listSnapshots()).toEqual([]);
    expect(await all).toMatchObject({ 'Owner.1': 'self', 'Filter.1.Name': 'tag:docker-volume-ebs:cluster' });
    const { form: ofTwo } = answerOnce(200, answerXml('DescribeSnapshots', '<snapshotSet/>'));
    expect(await openTestEc2().snapshotsOf(['vol-1', 'vol-2'])).toEqual([]);
    expect(await ofTwo).toMatchObject({ 'Filter.1.Name': 'volume-id', 'Filter.1.Value.2': 'vol-2' });
    const { form: one } = answerOnce(200, answerXml('DescribeSnapshots', '<snapshotSet/>'));
    expect(await openTestEc2().describeSnapshot('snap-1')).toBeUndefined();
    expect(await one).toMatchObject({ 'Owner.1': 'self', 'Filter.1.Name': 'snapshot-id', MaxResults: '1000' });
    expect(await openTestEc2().snapshotsOf([])).toEqual([]);
  });

  it('deletes a snapshot', async () => {
    const { form } = answerOnce(200, answerXml('DeleteSnapshot', '<return>true</return>'));
    await openTestEc2().deleteSnapshot('snap-1');
    expect(await form).toEqual({ Action: 'DeleteSnapshot', SnapshotId: 'snap-1' });
    answerOnce(400, errorXml('InvalidSnapshot.NotFound', 'It is gone.'));
    await expect(openTestEc2().deleteSnapshot('snap-1')).rejects.toMatchObject({ code: 'EC2_NO_SUCH_SNAPSHOT' });
  });
});
