import { describe, expect, it, vi } from 'vitest';
import { openInspection } from '../../src/ebs/inspect.ts';
import { answerOnce, useFakeAws } from './aws.ts';

useFakeAws();

const silent = { info: () => undefined, debug: () => undefined };
const open = (region: string | undefined = 'eu-west-1') => openInspection({ cluster: 'test', region, log: silent });
const dateIn = (seconds: number) => ({ date: new Date(Date.now() + seconds * 1000).toUTCString() });
const signal = new AbortController().signal;

const instance = (options: string) => `<DescribeInstancesResponse><reservationSet><item><instancesSet><item>
  <instanceId>i-1</instanceId><instanceState><name>running</name></instanceState><instanceType>m5.large</instanceType>
  <launchTime>2026-01-01T00:00:00Z</launchTime><placement><availabilityZone>eu-west-1a</availabilityZone></placement>
  ${options}</item></instancesSet></item></reservationSet></DescribeInstancesResponse>`;

describe('an inspection of EC2', () => {
  it('reads how an instance reaches its metadata service', async () => {
    const options = `<metadataOptions><httpTokens>optional</httpTokens><httpEndpoint>enabled</httpEndpoint>
      <httpPutResponseHopLimit>1</httpPutResponseHopLimit></metadataOptions>`;
    answerOnce(200, instance(options), dateIn(0));
    const found = await open().instance('i-1', signal);
    expect(found).toMatchObject({ id: 'i-1', metadata: { enabled: true, tokensRequired: false, hopLimit: 1 } });
  });

  it('takes what EC2 does not say for unknown', async () => {
    answerOnce(200, instance(''), dateIn(0));
    const found = await open().instance('i-1', signal);
    expect(found?.metadata).toEqual({ enabled: undefined, tokensRequired: undefined, hopLimit: undefined });
  });

  it("reads EC2's clock, also from a refusal", async () => {
    const inspection = open();
    expect(inspection.clockAheadMs()).toBeUndefined();
    const denied =
      '<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>';
    answerOnce(403, denied, dateIn(90));
    await expect(inspection.instance('i-1', signal)).rejects.toMatchObject({ code: 'EC2_DENIED' });
    expect(inspection.clockAheadMs()).toBeGreaterThan(88_000);
    expect(inspection.clockAheadMs()).toBeLessThan(92_000);
  });

  it('says where credentials come from, and nothing of them', async () => {
    const source = await open().credentials();
    expect(source).toEqual({ from: 'the environment (AWS_ACCESS_KEY_ID)', expires: undefined });
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) vi.stubEnv(name, undefined);
    await expect(open().credentials()).rejects.toMatchObject({ code: 'EC2_CREDENTIALS' });
  });

  it('says which region is asked, or that none is known', async () => {
    expect(await open().region()).toBe('eu-west-1');
    vi.stubEnv('AWS_REGION', undefined);
    const none = openInspection({ cluster: 'test', region: undefined, log: silent });
    await expect(none.region()).rejects.toMatchObject({ code: 'EC2_REJECTED' });
  });
});
