import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Stored {
  readonly type: string;
  readonly body: Buffer;
}

/** A registry in memory, as far as an engine needs one to push and pull plugins (OCI distribution specification). */
export interface Registry {
  /** "127.0.0.1:PORT": engines speak plain HTTP to a loopback address. */
  readonly host: string;
  /** Makes `to` a tag of the repository: what `from` names, with its configuration changed. */
  retag(repository: string, from: string, to: string, change: (config: Record<string, unknown>) => void): void;
  close(): Promise<void>;
}

const digestOf = (body: Buffer): string => `sha256:${createHash('sha256').update(body).digest('hex')}`;

/** Starts one on a free loopback port. */
export async function startRegistry(): Promise<Registry> {
  const blobs = new Map<string, Stored>();
  const manifests = new Map<string, Stored>();
  const keep = (reference: string, stored: Stored) => {
    const [repository = ''] = reference.split('@');
    manifests.set(reference, stored);
    manifests.set(`${repository}@${digestOf(stored.body)}`, stored);
  };
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://registry');
    const [, repository = '', kind, reference = ''] = /^\/v2\/(.+)\/(manifests|blobs)\/(.*)$/.exec(pathname) ?? [];
    if (request.method === 'POST') {
      response.writeHead(202, { Location: `${pathname}${randomUUID()}` }).end();
    } else if (request.method === 'PUT') {
      const body = Buffer.concat(await request.toArray());
      const stored = { type: request.headers['content-type'] ?? 'application/octet-stream', body };
      if (kind === 'manifests') keep(`${repository}@${reference}`, stored);
      else blobs.set(searchParams.get('digest') ?? digestOf(body), stored);
      response.writeHead(201, { 'Docker-Content-Digest': digestOf(body) }).end();
    } else {
      give(request, response, kind === 'blobs' ? blobs.get(reference) : manifests.get(`${repository}@${reference}`));
    }
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    retag(repository, from, to, change) {
      const { type, body } = manifests.get(`${repository}@${from}`) ?? { type: '', body: Buffer.from('{}') };
      const manifest = JSON.parse(body.toString());
      const config = JSON.parse(blobs.get(manifest.config.digest)?.body.toString() ?? '{}');
      change(config);
      const changed = Buffer.from(JSON.stringify(config));
      manifest.config = { ...manifest.config, digest: digestOf(changed), size: changed.length };
      blobs.set(manifest.config.digest, { type: 'application/octet-stream', body: changed });
      keep(`${repository}@${to}`, { type, body: Buffer.from(JSON.stringify(manifest)) });
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function give(request: IncomingMessage, response: ServerResponse, found: Stored | undefined): void {
  if (request.url === '/v2/') {
    response.writeHead(200).end();
    return;
  }
  if (found === undefined) {
    response.writeHead(404).end();
    return;
  }
  const { type, body } = found;
  const headers = { 'Content-Type': type, 'Content-Length': body.length, 'Docker-Content-Digest': digestOf(body) };
  response.writeHead(200, headers).end(request.method === 'HEAD' ? undefined : body);
}
