import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Faults } from './faults.ts';
import { type LoopbackServer, listenOnLoopback, send } from './http.ts';
import { accountId, type InstanceRecord, zoneIdOf } from './model.ts';
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

/** The address of its network interface: locally administered, by its id. */
const macOf = ({ id }: InstanceRecord): string => `02:${(id.slice(-10).match(/../g) ?? []).join(':')}`;

function documents(instance: InstanceRecord, region: string): Readonly<Record<string, () => string>> {
  const now = Date.now();
  const mac = macOf(instance);
  const macs = `meta-data/network/interfaces/macs/${mac}`;
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
    'meta-data/mac': () => mac,
    'meta-data/block-device-mapping/ami': () => 'xvda',
    'meta-data/block-device-mapping/root': () => '/dev/xvda',
    [`${macs}/device-number`]: () => '0',
    [`${macs}/local-ipv4s`]: () => instance.privateIp,
    [`${macs}/mac`]: () => mac,
    'meta-data/placement/availability-zone-id': () => zoneIdOf(instance.zone),
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
  const tokens = new Map<string, number>();
  return listenOnLoopback((request, response) => answer(request, response, { instance, region, faults, tokens }));
}

interface Imds {
  readonly instance: InstanceRecord;
  readonly region: string;
  readonly faults: Faults;
  /** Until when each is good, in milliseconds since 1970. */
  readonly tokens: Map<string, number>;
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
  const known = typeof token === 'string' && (imds.tokens.get(token) ?? 0) > Date.now();
  if (!known) {
    send(response, 401, 'text/plain', 'Unauthorized');
    return;
  }
  const all = documents(instance, region);
  const document =
    all[path]?.() ??
    noticeDocument(path.replace(/^meta-data\//, ''), instance.id, faults) ??
    listing(Object.keys(all), path);
  if (document === undefined) send(response, 404, 'text/plain', 'Not Found');
  else send(response, 200, 'text/plain', request.method === 'HEAD' ? '' : document);
}

/** What stands below a path, a line each, as the metadata service lists categories; undefined where nothing does. */
function listing(paths: readonly string[], path: string): string | undefined {
  const prefix = path === '' ? '' : `${path}/`;
  const below = paths.filter((each) => each.startsWith(prefix)).map((each) => each.slice(prefix.length));
  const names = below.map((each) => (each.includes('/') ? `${each.split('/')[0]}/` : each));
  return names.length === 0 ? undefined : [...new Set(names)].sort().join('\n');
}

function giveToken(request: IncomingMessage, response: ServerResponse, tokens: Map<string, number>): void {
  const header = 'x-aws-ec2-metadata-token-ttl-seconds';
  const seconds = Number(request.headers[header]);
  // What comes through a proxy gets none (EC2 user guide, "Use IMDSv2").
  if (request.headers['x-forwarded-for'] !== undefined) {
    send(response, 403, 'text/plain', 'Forbidden');
    return;
  }
  if (request.method !== 'PUT' || !(seconds >= 1 && seconds <= 21_600)) {
    send(response, request.method === 'PUT' ? 400 : 405, 'text/plain', 'Bad Request');
    return;
  }
  const token = randomBytes(24).toString('base64');
  tokens.set(token, Date.now() + seconds * 1000);
  response.setHeader(header, String(seconds));
  send(response, 200, 'text/plain', token);
}
