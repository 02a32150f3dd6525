import { describe, expect, it } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import { answerOnce, answerXml, errorXml, openTestEc2, useFakeAws, volumesXml } from './aws.ts';

useFakeAws();

const valuesOf = (form: Record<string, string>, filter: number): string[] =>
  Object.entries(form)
    .filter(([field]) => field.startsWith(`Filter.${filter}.Value.`))
    .map(([, value]) => value);
const ids = (count: number): string[] => Array.from({ length: count }, (_, index) => `vol-${index}`);

describe('look-ups at the same time', () => {
  it('of 40 volumes are one call', async () => {
    const { form } = answerOnce(200, volumesXml(ids(40)));
    const ec2 = openTestEc2();
    const volumes = await Promise.all(ids(40).map((id) => ec2.describeVolume(id)));
    expect(volumes.map((volume) => volume?.id)).toEqual(ids(40));
    expect(valuesOf(await form, 1)).toEqual(ids(40));
  });

  it('of more than 200 volumes are several calls', async () => {
    const answers = [answerOnce(200, volumesXml(ids(200))), answerOnce(200, volumesXml(ids(250).slice(200)))];
    const ec2 = openTestEc2();
    const volumes = await Promise.all(ids(250).map((id) => ec2.describeVolume(id)));
    expect(volumes.map((volume) => volume?.id)).toEqual(ids(250));
    const forms = await Promise.all(answers.map(({ form }) => form));
    expect(forms.map((form) => valuesOf(form, 1).length)).toEqual([200, 50]);
  });

  it('by name give each asker the volumes of its name, both of two that have one', async () => {
    const named = (name: string) => ({ [tagKeys.name]: name });
    const { form } = answerOnce(
      200,
      volumesXml([
        ['vol-1', named('a')],
        ['vol-2', named('a*')],
        ['vol-3', named('ab')],
        ['vol-4', named('a')],
      ]),
    );
    const ec2 = openTestEc2();
    const found = await Promise.all(['a', 'a*', 'none'].map((name) => ec2.findVolumes(name)));
    expect(found.map((volumes) => volumes.map(({ id }) => id))).toEqual([['vol-1', 'vol-4'], ['vol-2'], []]);
    expect(valuesOf(await form, 2)).toEqual(['a', 'a\\*', 'none']);
  });

  it('follow the pages of a shared call', async () => {
    answerOnce(200, volumesXml(['vol-0'], 'page-2'));
    const { form } = answerOnce(200, volumesXml(['vol-1']));
    const ec2 = openTestEc2();
    const volumes = await Promise.all(['vol-0', 'vol-1', 'vol-2'].map((id) => ec2.describeVolume(id)));
    expect(volumes.map((volume) => volume?.id)).toEqual(['vol-0', 'vol-1', undefined]);
    expect(await form).toMatchObject({ NextToken: 'page-2', 'Filter.1.Value.3': 'vol-2' });
  });

  it('share lists, and each may change what it got', async () => {
    answerOnce(200, volumesXml(['vol-1', 'vol-2']));
    const ec2 = openTestEc2();
    const [one, other] = await Promise.all([ec2.listVolumes(), ec2.listVolumes()]);
    one.pop();
    expect(other).toHaveLength(2);
  });

  it('fail only for who asked for what cannot be read', async () => {
    answerOnce(200, volumesXml(['vol-1', 'vol-2']).replace('available', 'melted'));
    const ec2 = openTestEc2();
    const [bad, good] = await Promise.allSettled([ec2.describeVolume('vol-1'), ec2.describeVolume('vol-2')]);
    expect(bad).toMatchObject({ reason: { code: 'EC2_REJECTED' } });
    expect(good).toMatchObject({ value: { id: 'vol-2' } });
  });

  it('never take a volume without an id for the absence of one', async () => {
    answerOnce(200, volumesXml(['vol-1']).replace('vol-1', ''));
    await expect(openTestEc2().describeVolume('vol-1')).rejects.toMatchObject({ code: 'EC2_REJECTED' });
  });
});

describe("an instance's health", () => {
  const date = 'Thu, 01 Jan 2026 10:00:07 GMT';
  const summary = (status: string, details = '') => `<status>${status}</status><details>${details}</details>`;
  const statusXml = (id: string) =>
    `<item><instanceId>${id}</instanceId>` +
    `<systemStatus>${summary('ok', '<item><name>reachability</name><status>passed</status></item>')}</systemStatus>` +
    `<instanceStatus>${summary(
      'impaired',
      '<item><name>reachability</name><status>failed</status><impairedSince>2026-01-01T09:58:00.000Z</impairedSince></item>',
    )}</instanceStatus>` +
    `<attachedEbsStatus>${summary('initializing')}</attachedEbsStatus></item>`;
  const answer = (...instances: string[]) =>
    answerXml('DescribeInstanceStatus', `<instanceStatusSet>${instances.map(statusXml).join('')}</instanceStatusSet>`);
  const unknown = () => answerOnce(400, errorXml('InvalidInstanceID.NotFound', "The instance ID 'i-9' does not exist"));

  it("is asked for by id in whatever state, and dated by EC2's clock", async () => {
    const { form } = answerOnce(200, answer('i-1'), { date });
    expect(await openTestEc2().describeHealth('i-1')).toEqual({
      instanceId: 'i-1',
      system: { status: 'ok', impairedSince: undefined },
      instance: { status: 'impaired', impairedSince: '2026-01-01T09:58:00.000Z' },
      attachedEbs: { status: 'initializing', impairedSince: undefined },
      answeredAt: '2026-01-01T10:00:07.000Z',
    });
    expect(await form).toEqual({
      Action: 'DescribeInstanceStatus',
      'InstanceId.1': 'i-1',
      IncludeAllInstances: 'true',
    });
  });

  it('is unknown for an instance that EC2 does not list', async () => {
    unknown();
    expect(await openTestEc2().describeHealth('i-9')).toBeUndefined();
    answerOnce(200, answer(), { date });
    expect(await openTestEc2().describeHealth('i-9')).toBeUndefined();
  });

  it('is read for the others when one is unknown', async () => {
    unknown();
    answerOnce(200, answer('i-1'), { date });
    unknown();
    const ec2 = openTestEc2();
    const [known, none] = await Promise.all([ec2.describeHealth('i-1'), ec2.describeHealth('i-9')]);
    expect([known?.instanceId, none]).toEqual(['i-1', undefined]);
  });

  it.each([
    ['without a date', {}],
    ['with a date that is none', { date: 'soon' }],
  ])('is not read from an answer %s', async (_what, headers) => {
    answerOnce(200, answer('i-1'), headers);
    await expect(openTestEc2().describeHealth('i-1')).rejects.toMatchObject({ code: 'EC2_UNAVAILABLE' });
  });

  it('is not read from an answer without a list', async () => {
    answerOnce(200, answerXml('DescribeInstanceStatus', ''), { date });
    await expect(openTestEc2().describeHealth('i-1')).rejects.toMatchObject({ code: 'EC2_UNAVAILABLE' });
  });
});
