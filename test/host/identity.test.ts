import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { readIdentity } from '../../src/host/identity.ts';

const unset = { instanceId: '', availabilityZone: '' };
const document = { instanceId: 'i-0abc', availabilityZone: 'eu-central-1b', region: 'eu-central-1' };

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** An IMDS that wants a token, like one with HttpTokens=required; `answer` replaces the document. */
async function imds(answer?: Answer): Promise<{ env: NodeJS.ProcessEnv; requests: string[] }> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    if (request.method === 'PUT' && request.url === '/latest/api/token') {
      response.end(request.headers['x-aws-ec2-metadata-token-ttl-seconds'] === undefined ? '' : 'secret');
    } else if (request.headers['x-aws-ec2-metadata-token'] !== 'secret') {
      response.writeHead(401).end();
    } else if (answer === undefined) {
      response.end(JSON.stringify(document));
    } else answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { env: { AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://127.0.0.1:${port}/` }, requests };
}

test('the settings are enough when they give both', async () => {
  const identity = await readIdentity({ instanceId: 'i-1', availabilityZone: 'us-east-1a' }, {});
  expect(identity).toEqual({ instanceId: 'i-1', availabilityZone: 'us-east-1a', region: undefined });
});

test('IMDSv2 is asked for a token, then once for the document', async () => {
  const { env, requests } = await imds();
  expect(await readIdentity(unset, env)).toEqual(document);
  expect(requests).toEqual(['PUT /latest/api/token', 'GET /latest/dynamic/instance-identity/document']);
});

test('a setting wins over what IMDS says', async () => {
  const { env } = await imds();
  expect(await readIdentity({ ...unset, instanceId: 'i-set' }, env)).toEqual({ ...document, instanceId: 'i-set' });
});

test.each<[string, Answer]>([
  ['an HTTP error', (_, response) => response.writeHead(401).end()],
  ['no JSON', (_, response) => response.end('<html>')],
  ['a document without the instance', (_, response) => response.end('{"region":"x"}')],
  ['a broken connection', (_, response) => response.destroy()],
])('%s fails and says what to set', async (_, answer) => {
  const { env } = await imds(answer);
  await expect(readIdentity(unset, env)).rejects.toMatchObject({
    code: 'HOST_FAILED',
    message: expect.stringMatching(/DVE_INSTANCE_ID.*DVE_AVAILABILITY_ZONE.*hop limit/s),
  });
});

test('a server that keeps silent is given up within a few seconds', async () => {
  const { env } = await imds(() => {});
  const begun = performance.now();
  await expect(readIdentity(unset, env)).rejects.toMatchObject({ code: 'HOST_FAILED' });
  expect(performance.now() - begun).toBeLessThan(4_000);
});

test('no server, and one that is forbidden, say so', async () => {
  const nobody = { AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://127.0.0.1:1' };
  await expect(readIdentity(unset, nobody)).rejects.toThrow(/gave no answer/);
  await expect(readIdentity(unset, { AWS_EC2_METADATA_DISABLED: 'true' })).rejects.toThrow(/AWS_EC2_METADATA_DISABLED/);
});
