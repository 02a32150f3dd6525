import nock from 'nock';
import { afterEach, beforeEach, expect, vi } from 'vitest';
import { openEc2Client } from '../../src/ebs/client.ts';
import { type Ec2Options, openEc2 } from '../../src/ebs/ec2.ts';

export const endpoint = 'http://ec2.test';

/** Before each test: an EC2 that answers only what the test says, and no waits between attempts. */
export function useFakeAws(): void {
  beforeEach(() => {
    stubAwsEnv(endpoint);
    nock.disableNetConnect();
  });
  afterEach(() => {
    expect(nock.pendingMocks()).toEqual([]);
    nock.cleanAll();
    nock.enableNetConnect();
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
  });
}

export function stubAwsEnv(url: string): void {
  for (const [name, value] of Object.entries(awsEnv(url))) vi.stubEnv(name, value);
  // Waits before the next attempt are this fraction of their longest.
  vi.spyOn(Math, 'random').mockReturnValue(0);
}

/** What the AWS SDK reads from the environment, so that nothing else of the host counts. */
const awsEnv = (url: string): Record<string, string> => ({
  AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'secret-key-of-the-test',
  AWS_SESSION_TOKEN: 'session-token-of-the-test',
  AWS_ENDPOINT_URL_EC2: url,
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_CONFIG_FILE: '/dev/null',
  AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
});

export const openTestEc2 = (options: Partial<Ec2Options> = {}) =>
  openEc2({ cluster: 'test', region: 'eu-west-1', client: openEc2Client({ region: 'eu-west-1' }), ...options });

/** Answers one call; `form` becomes its fields, `Version` checked and left out. */
export function answerOnce(
  status: number,
  body: string,
  headers: Record<string, string> = {},
): { form: Promise<Record<string, string>> } {
  const { promise: form, resolve, reject } = Promise.withResolvers<Record<string, string>>();
  nock(endpoint)
    .post('/')
    .reply(
      status,
      async (request: Request) => {
        const { Version, ...fields } = Object.fromEntries(new URLSearchParams(await request.text()));
        if (Version === '2016-11-15') resolve(fields);
        else reject(new Error(`Version is ${Version}`));
        return body;
      },
      headers,
    );
  return { form };
}

export const errorXml = (code: string, message: string): string =>
  `<?xml version="1.0"?><Response><Errors><Error><Code>${code}</Code><Message>${message}</Message></Error></Errors>` +
  '<RequestID>3c1d</RequestID></Response>';

export const answerXml = (action: string, content: string): string =>
  `<${action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>3c1d</requestId>${content}</${action}Response>`;

export const volumeXml = (id: string, more = ''): string =>
  `<volumeId>${id}</volumeId><size>16</size><snapshotId/><availabilityZone>eu-west-1a</availabilityZone>` +
  '<status>available</status><createTime>2026-01-02T03:04:05.678Z</createTime><volumeType>gp3</volumeType>' +
  `<iops>3000</iops><throughput>125</throughput><encrypted>false</encrypted>${more}`;

export const tagsXml = (tags: Record<string, string>): string =>
  `<tagSet>${Object.entries(tags)
    .map(([key, value]) => `<item><key>${key}</key><value>${value}</value></item>`)
    .join('')}</tagSet>`;

/** Volumes by id, or by id and tags. */
export const volumesXml = (volumes: readonly (string | readonly [string, Record<string, string>])[], token = '') => {
  const items = volumes.map((volume) =>
    typeof volume === 'string' ? volumeXml(volume) : volumeXml(volume[0], tagsXml(volume[1])),
  );
  const set = `<volumeSet>${items.map((item) => `<item>${item}</item>`).join('')}</volumeSet>`;
  return answerXml('DescribeVolumes', `${set}${token && `<nextToken>${token}</nextToken>`}`);
};

export const attachmentXml = (status: string): string =>
  `<volumeId>vol-1</volumeId><instanceId>i-1</instanceId><device>/dev/xvdba</device><status>${status}</status>` +
  '<attachTime>2026-01-02T03:04:05.678Z</attachTime>';
