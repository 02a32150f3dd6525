import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DescribeVolumesCommand } from '@aws-sdk/client-ec2';
import nock from 'nock';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { caller } from '../../src/ebs/call.ts';
import { openEc2Client } from '../../src/ebs/client.ts';
import { answerOnce, endpoint, errorXml, openTestEc2, stubAwsEnv, useFakeAws, volumesXml } from './aws.ts';

describe('retries', () => {
  useFakeAws();

  it('repeats a throttled call', async () => {
    answerOnce(503, errorXml('RequestLimitExceeded', 'Request limit exceeded.'));
    answerOnce(200, volumesXml(['vol-1']));
    expect(await openTestEc2().listVolumes()).toHaveLength(1);
  });

  it('repeats a call whose connection broke', async () => {
    nock(endpoint)
      .post('/')
      .replyWithError(Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' }));
    answerOnce(200, volumesXml(['vol-1']));
    expect(await openTestEc2().listVolumes()).toHaveLength(1);
  });

  it('does not repeat what EC2 refused', async () => {
    answerOnce(400, errorXml('VolumeInUse', 'In use.'));
    const key = { volumeId: 'vol-1', instanceId: 'i-1', device: '/dev/xvdba' };
    await expect(openTestEc2().attachVolume(key)).rejects.toMatchObject({ code: 'EC2_VOLUME_IN_USE' });
  });

  it('ends a wait between attempts when the caller goes, with its reason and no further request', async () => {
    vi.mocked(Math.random).mockReturnValue(0.99);
    const reason = new Error('the caller left');
    const controller = new AbortController();
    let refusedAt = 0;
    nock(endpoint)
      .post('/')
      .reply(503, () => {
        refusedAt = performance.now();
        setTimeout(() => controller.abort(reason), 50);
        return errorXml('RequestLimitExceeded', 'Request limit exceeded.');
      });
    await expect(openTestEc2().listVolumes({ signal: controller.signal })).rejects.toBe(reason);
    expect(performance.now() - refusedAt).toBeLessThan(900);
  });

  it('gives what EC2 answered even to a caller who has just gone', async () => {
    const answered = Object.assign(new Error('In use'), { name: 'VolumeInUse', $fault: 'client' });
    const controller = new AbortController();
    const call = { tried: 'attach vol-1', signal: controller.signal };
    const send = () => {
      controller.abort('gone');
      return Promise.reject(answered);
    };
    await expect(caller(undefined)('AttachVolume', call, send)).rejects.toMatchObject({
      code: 'EC2_VOLUME_IN_USE',
    });
  });
});

describe('a server that does not do its part', () => {
  let server: Server;
  let answer: (response: ServerResponse) => void;
  let requests = 0;

  beforeEach(async () => {
    requests = 0;
    server = createServer((request, response) => {
      requests += 1;
      request.resume().on('end', () => answer(response));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    stubAwsEnv(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
  });

  const hurried = () => openTestEc2({ client: openEc2Client({ region: 'eu-west-1', requestTimeoutMs: 250 }) });

  it('ends a call that is never answered, after four attempts', async () => {
    answer = () => undefined;
    const error = await hurried()
      .describeVolume('vol-1')
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'EC2_UNAVAILABLE', message: expect.stringContaining('TimeoutError') });
    expect(requests).toBe(4);
  });

  it('ends a call whose answer stalls', async () => {
    answer = (response) => response.writeHead(200, { 'content-length': 5000 }).write('<DescribeVolumesResponse>');
    await expect(hurried().describeVolume('vol-1')).rejects.toMatchObject({ code: 'EC2_UNAVAILABLE' });
  });

  it('repeats a call whose answer was cut, and never takes the part for the whole', async () => {
    answer = (response) => {
      response.writeHead(200, { 'content-length': 5000 }).write(volumesXml([]));
      setTimeout(() => response.destroy(), 10);
    };
    await expect(hurried().describeVolume('vol-1')).rejects.toMatchObject({ code: 'EC2_UNAVAILABLE' });
    expect(requests).toBe(4);
  });

  it.each([
    ['never answered', () => undefined],
    ['stalls', (response: ServerResponse) => response.writeHead(200, { 'content-length': 5000 }).write('<Describe')],
  ])("ends at once with the caller's own reason when the call %s", async (_what, does) => {
    const reason = new Error('the caller left');
    const controller = new AbortController();
    answer = (response) => {
      does(response);
      setTimeout(() => controller.abort(reason), 20);
    };
    await expect(openTestEc2().describeVolume('vol-1', { signal: controller.signal })).rejects.toBe(reason);
    expect(requests).toBe(1);
  });

  it('sends nothing for a caller who is already gone', async () => {
    const signal = AbortSignal.abort('gone');
    await expect(openTestEc2().describeVolume('vol-1', { signal })).rejects.toBe('gone');
    expect(requests).toBe(0);
  });

  it('says so when nobody listens', async () => {
    server.close();
    await expect(openTestEc2().describeVolume('vol-1')).rejects.toMatchObject({
      code: 'EC2_UNAVAILABLE',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });

  it('says so when there are no credentials', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', undefined);
    await expect(openTestEc2().describeVolume('vol-1')).rejects.toMatchObject({ code: 'EC2_CREDENTIALS' });
    expect(requests).toBe(0);
  });

  it('takes the region from the environment when told none, and says so when there is none', async () => {
    answer = (response) => response.end(volumesXml([]));
    const ec2 = () => openTestEc2({ client: openEc2Client({ region: undefined }) });
    await expect(ec2().describeVolume('vol-1')).rejects.toThrow('Region is missing');
    vi.stubEnv('AWS_REGION', 'eu-west-1');
    expect(await ec2().describeVolume('vol-1')).toBeUndefined();
  });
});

describe('a proxy that the environment names', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('is asked for EC2, but not for the hosts that are excepted', async () => {
    const asked: string[] = [];
    const proxy = createServer().on('connect', ({ url }, socket) => {
      asked.push(url ?? '');
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const problem = async (host: string) => {
      stubAwsEnv(`https://${host}`);
      vi.stubEnv('HTTPS_PROXY', `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
      vi.stubEnv('NO_PROXY', 'excepted.invalid');
      return openEc2Client({ region: 'eu-west-1' }).send(new DescribeVolumesCommand({})).then(String, String);
    };
    expect(await problem('ec2.invalid')).toMatch(/403/);
    expect(await problem('excepted.invalid')).toMatch(/ENOTFOUND|EAI_AGAIN/);
    expect(asked).toEqual(['ec2.invalid:443']);
    proxy.close();
  });
});
