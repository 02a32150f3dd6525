import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Faults } from './faults.ts';
import { type LoopbackServer, listenOnLoopback, send } from './http.ts';
import { accountId, type InstanceRecord } from './model.ts';
import { noticeDocument } from './notices.ts';

const role = 'docker-volume-ebs-sandbox';
const credentialsLifetimeMs = 6 * 3600 * 1000;

/** The access key id that an instance's role hands out; it names the instance, so a call tells who signed it. */
export const accessKeyOf = (instanceId: string): string => `ASIA${instanceId.slice(2).toUpperCase()}`;

/** The instance whose role signed a request, from its Authorization header or query; undefined for other keys. */
export function callerOf(authorization: string): string | undefined {
  const [, digits] = /\bASIA([0-9A-F]{17})\b/.exec(authorization) ?? [];
  return digits === undefined ? undefined : `i-${digits.toLowerCase()}`;
}

function documents(instance: InstanceRecord, region: string): Readonly<Record<string, () => string>> {
  const now = Date.now();
  return {
    'dynamic/instance-identity/document': () =>
      JSON.stringify({
        accountId,
        architecture: 'x86_64',
        availabilityZone: instance.zone,
        imageId: instance.imageId,
        instanceId: instance.id,
        instanceType: instance.type,
        pendingTime: instance.launchTime,
        privateIp: instance.privateIp,
        region,
        version: '2017-09-30',
      }),
    'meta-data/instance-id': () => instance.id,
    'meta-data/instance-type': () => instance.type,
    'meta-data/ami-id': () => instance.imageId,
    'meta-data/local-ipv4': () => instance.privateIp,
    'meta-data/placement/availability-zone': () => instance.zone,
    'meta-data/placement/region': () => region,
    'meta-data/iam/security-credentials': () => role,
    [`meta-data/iam/security-credentials/${role}`]: () =>
      JSON.stringify({
        Code: 'Success',
        Type: 'AWS-HMAC',
        LastUpdated: new Date(now).toISOString(),
        Expiration: new Date(now + credentialsLifetimeMs).toISOString(),
        AccessKeyId: accessKeyOf(instance.id),
        SecretAccessKey: 'sandbox',
        Token: 'sandbox',
      }),
  };
}

/** Serves the instance metadata service (version 2 only) as `instance` sees it, on a port of its own. */
export async function startImds(instance: InstanceRecord, region: string, faults: Faults): Promise<LoopbackServer> {
  const tokens = new Set<string>();
  return listenOnLoopback((request, response) => answer(request, response, { instance, region, faults, tokens }));
}

interface Imds {
  readonly instance: InstanceRecord;
  readonly region: string;
  readonly faults: Faults;
  readonly tokens: Set<string>;
}

function answer(request: IncomingMessage, response: ServerResponse, imds: Imds): void {
  const { instance, region, faults } = imds;
  if (faults.standing('partition', instance.id).length > 0) {
    response.destroy();
    return;
  }
  // The SDK's metadata service writes "//latest" when an endpoint is set.
  const path = (request.url ?? '')
    .replace(/\/+/g, '/')
    .replace(/^\/latest\//, '')
    .replace(/\/$/, '');
  if (path === 'api/token') {
    giveToken(request, response, imds.tokens);
    return;
  }
  const token = request.headers['x-aws-ec2-metadata-token'];
  const known = typeof token === 'string' && imds.tokens.has(token);
  const document =
    documents(instance, region)[path]?.() ?? noticeDocument(path.replace(/^meta-data\//, ''), instance.id, faults);
  if (!known) send(response, 401, 'text/plain', 'Unauthorized');
  else if (document === undefined) send(response, 404, 'text/plain', 'Not Found');
  else send(response, 200, 'text/plain', document);
}

function giveToken(request: IncomingMessage, response: ServerResponse, tokens: Set<string>): void {
  const header = 'x-aws-ec2-metadata-token-ttl-seconds';
  const seconds = Number(request.headers[header]);
  if (request.method !== 'PUT' || !(seconds >= 1 && seconds <= 21_600)) {
    send(response, request.method === 'PUT' ? 400 : 405, 'text/plain', 'Bad Request');
    return;
  }
  const token = randomBytes(24).toString('base64');
  tokens.add(token);
  response.setHeader(header, String(seconds));
  send(response, 200, 'text/plain', token);
}
