import { describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import { answerOnce, answerXml, errorXml, openTestEc2, useFakeAws, volumesXml } from './aws.ts';

useFakeAws();

const key = { volumeId: 'vol-1', instanceId: 'i-1', device: '/dev/xvdba' };
describe('reading lists', () => {
  it('goes on until no token is left, over short and empty pages too', async () => {
    const answers = [
      answerOnce(200, volumesXml(['vol-1'], 'page-2')),
      answerOnce(200, volumesXml([], 'page-3')),
      answerOnce(200, volumesXml(['vol-2', 'vol-3'])),
    ];
    const volumes = await openTestEc2().listVolumes();
    expect(volumes.map(({ id }) => id)).toEqual(['vol-1', 'vol-2', 'vol-3']);
    const tokens = (await Promise.all(answers.map(({ form }) => form))).map(({ NextToken }) => NextToken);
    expect(tokens).toEqual([undefined, 'page-2', 'page-3']);
  });

  it('fails whole when a page fails', async () => {
    answerOnce(200, volumesXml(['vol-1'], 'page-2'));
    answerOnce(400, errorXml('InvalidPaginationToken', 'The token is invalid.'));
    await expect(openTestEc2().listVolumes()).rejects.toMatchObject({ code: 'EC2_REJECTED' });
  });

  it('does not follow a token in circles', async () => {
    answerOnce(200, volumesXml([], 'page-2'));
    answerOnce(200, volumesXml([], 'page-2'));
    await expect(openTestEc2().listVolumes()).rejects.toMatchObject({ code: 'EC2_UNAVAILABLE' });
  });

  it('gives deleted and deleting volumes as they are', async () => {
    answerOnce(200, volumesXml([['vol-1', { [tagKeys.name]: 'data' }]]).replace('available', 'deleting'));
    expect(await openTestEc2().findVolumes('data')).toMatchObject([{ id: 'vol-1', state: 'deleting' }]);
  });

  it('is sure of an absence only when EC2 answers an empty list', async () => {
    answerOnce(200, volumesXml([]));
    expect(await openTestEc2().describeVolume('vol-1')).toBeUndefined();
  });

  it.each([
    ['an empty body', ''],
    ['an HTML page', '<html><body>Sign in</body></html>'],
    ['text', 'Bad gateway'],
    ['no list', answerXml('DescribeVolumes', '')],
    ['a cut answer', volumesXml([]).slice(0, -20)],
    ['an answer cut within a volume', volumesXml(['vol-1']).slice(0, 200)],
    ['a malformed time', volumesXml(['vol-1']).replace('2026-01-02T', 'soon ')],
  ])('never takes %s for an absence', async (_what, body) => {
    const ec2 = openTestEc2();
    answerOnce(200, body);
    await expect(ec2.describeVolume('vol-1')).rejects.toMatchObject({ code: 'EC2_UNAVAILABLE' });
    answerOnce(200, body.replaceAll('DescribeVolumes', 'DescribeInstances').replaceAll('volumeSet', 'someSet'));
    await expect(ec2.describeInstance('i-1')).rejects.toMatchObject({ code: 'EC2_UNAVAILABLE' });
  });
});

describe('the log', () => {
  it('hears of every call and how it went', async () => {
    const debug = vi.fn();
    const ec2 = openTestEc2({ log: { debug, info: vi.fn() } });
    answerOnce(200, volumesXml([]));
    await ec2.listVolumes();
    answerOnce(400, errorXml('VolumeInUse', 'vol-1 is already attached.'));
    await ec2.attachVolume(key).catch(() => undefined);
    expect(debug.mock.calls).toEqual([
      [{ action: 'DescribeVolumes', ms: expect.any(Number) }, 'EC2: list the volumes of cluster "test"'],
      [
        { action: 'AttachVolume', ms: expect.any(Number), code: 'EC2_VOLUME_IN_USE', why: expect.any(String) },
        'EC2: attach vol-1 to i-1 as /dev/xvdba',
      ],
    ]);
  });

  it('and its reader hears of a call that EC2 throttles, while it is tried again', async () => {
    const info = vi.fn();
    const ec2 = openTestEc2({ log: { debug: () => {}, info } });
    answerOnce(503, errorXml('RequestLimitExceeded', 'Request limit exceeded.'));
    answerOnce(400, errorXml('VolumeInUse', 'vol-1 is already attached.'));
    await ec2.attachVolume(key).catch(() => undefined);
    expect(info.mock.calls).toEqual([
      [{ action: 'AttachVolume', code: 'EC2_THROTTLED' }, expect.stringContaining('attach vol-1 to i-1 as /dev/xvdba')],
    ]);
  });
});

describe('the status of a volume', () => {
  it('says how much of what it was made from is there', async () => {
    const asked = (state: string, more: string) => {
      const detail = `<item><name>initialization-state</name><status>${state}</status></item>`;
      const status = `<volumeStatus><status>ok</status><details>${detail}</details></volumeStatus>`;
      const set = `<volumeStatusSet><item><volumeId>vol-1</volumeId>${status}${more}</item></volumeStatusSet>`;
      answerOnce(200, answerXml('DescribeVolumeStatus', set));
      return openTestEc2().describeVolumeStatus('vol-1');
    };
    const progress =
      '<initializationStatusDetails><initializationType>provisioned-rate</initializationType><progress>40</progress>' +
      '<estimatedTimeToCompleteInSeconds>120</estimatedTimeToCompleteInSeconds></initializationStatusDetails>';
    const rest = { status: 'ok', ioDisabled: false, findings: [] };
    expect(await asked('initializing', progress)).toEqual({ ...rest, initialized: { share: 0.4, secondsLeft: 120 } });
    expect(await asked('completed', '')).toEqual({ ...rest, initialized: { share: 1, secondsLeft: 0 } });
    expect(await asked('initializing', '')).toEqual(rest);
  });

  it('is asked for by its id', async () => {
    const item = (status: string) =>
      answerXml(
        'DescribeVolumeStatus',
        `<volumeStatusSet><item><volumeId>vol-1</volumeId><volumeStatus>${status}</volumeStatus></item></volumeStatusSet>`,
      );
    const check = (name: string, status: string) => `<item><name>${name}</name><status>${status}</status></item>`;
    const details = `<details>${check('io-enabled', 'failed')}${check('io-performance', 'not-applicable')}</details>`;
    const { form } = answerOnce(200, item(`<status>impaired</status>${details}`));
    expect(await openTestEc2().describeVolumeStatus('vol-1')).toEqual({
      status: 'impaired',
      ioDisabled: true,
      findings: ['io-enabled is failed'],
    });
    expect(await form).toEqual({ Action: 'DescribeVolumeStatus', 'VolumeId.1': 'vol-1' });
    answerOnce(200, item(`<status>ok</status><details>${check('io-performance', 'normal')}</details>`));
    expect(await openTestEc2().describeVolumeStatus('vol-1')).toEqual({
      status: 'ok',
      ioDisabled: false,
      findings: [],
    });
    answerOnce(200, answerXml('DescribeVolumeStatus', ''));
    await expect(openTestEc2().describeVolumeStatus('vol-1')).rejects.toMatchObject({ code: 'EC2_UNAVAILABLE' });
  });
});
