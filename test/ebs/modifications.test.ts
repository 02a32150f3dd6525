import nock from 'nock';
import { describe, expect, it } from 'vitest';
import { answerOnce, answerXml, endpoint, errorXml, openTestEc2, useFakeAws } from './aws.ts';

useFakeAws();

const modification = (state: string, startTime: string) => `<volumeId>vol-1</volumeId>
  <modificationState>${state}</modificationState><targetSize>20</targetSize><targetIops>3000</targetIops>
  <targetVolumeType>gp3</targetVolumeType><targetThroughput>125</targetThroughput><originalSize>10</originalSize>
  <originalIops>100</originalIops><originalVolumeType>gp2</originalVolumeType><progress>7</progress>
  <startTime>${startTime}</startTime>`;
const listed = (...items: string[]) =>
  answerXml(
    'DescribeVolumesModifications',
    `<volumeModificationSet>${items.map((each) => `<item>${each}</item>`).join('')}</volumeModificationSet>`,
  );

describe('modifications of volumes', () => {
  it('are asked for with what changes alone', async () => {
    const { form } = answerOnce(
      200,
      answerXml(
        'ModifyVolume',
        `<volumeModification>${modification('modifying', '2026-01-02T03:04:05.678Z')}</volumeModification>`,
      ),
    );
    expect(await openTestEc2().modifyVolume('vol-1', { sizeGib: 20, type: 'gp3' })).toEqual({
      volumeId: 'vol-1',
      state: 'modifying',
      message: undefined,
      progress: 7,
      startedAt: '2026-01-02T03:04:05.678Z',
      original: { sizeGib: 10, type: 'gp2', iops: 100, throughput: undefined },
      target: { sizeGib: 20, type: 'gp3', iops: 3000, throughput: 125 },
    });
    expect(await form).toEqual({ Action: 'ModifyVolume', VolumeId: 'vol-1', Size: '20', VolumeType: 'gp3' });
  });

  it.each([
    [500, 'InternalError', 'EC2_UNAVAILABLE'],
    [503, 'RequestLimitExceeded', 'EC2_THROTTLED'],
    [400, 'IncorrectModificationState', 'EC2_VOLUME_MODIFYING'],
    [400, 'VolumeModificationRateExceeded', 'EC2_MODIFIED_TOO_OFTEN'],
  ])('are asked for once, whatever becomes of it: %s %s', async (status, name, code) => {
    answerOnce(status, errorXml(name, 'no'));
    await expect(openTestEc2().modifyVolume('vol-1', { sizeGib: 20 })).rejects.toMatchObject({ code });
  });

  it('are looked up by a filter, so that a volume that was never modified is no error', async () => {
    const { form } = answerOnce(200, listed());
    expect(await openTestEc2().describeModification('vol-1')).toBeUndefined();
    expect(await form).toEqual({
      Action: 'DescribeVolumesModifications',
      'Filter.1.Name': 'volume-id',
      'Filter.1.Value.1': 'vol-1',
      MaxResults: '500',
    });
  });

  it('come as the last of a volume', async () => {
    answerOnce(
      200,
      listed(modification('completed', '2026-01-02T03:04:05Z'), modification('optimizing', '2026-02-02T03:04:05Z')),
    );
    expect(await openTestEc2().describeModification('vol-1')).toMatchObject({ state: 'optimizing' });
  });

  it('are not taken for none where the answer has no list', async () => {
    nock(endpoint).post('/').times(4).reply(200, answerXml('DescribeVolumesModifications', ''));
    await expect(openTestEc2().describeModification('vol-1')).rejects.toMatchObject({ code: 'EC2_UNAVAILABLE' });
    nock.cleanAll();
  });
});
