import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import type { ListenAddress } from '../kinds.ts';

/** The address may be that of a daemon which is about to end, or of a network that is about to come up. */
const retryMs = 10_000;
/** A request is a line and a few headers. */
const receiveMs = 5_000;
const mostConnections = 32;

export interface Page {
  readonly contentType: string;
  readonly text: string;
}

/**
 * Serves `GET /metrics` over HTTP until closed. Where the address cannot be had, that is logged once and tried again:
 * volumes are served without.
 */
export function serveMetrics(
  { host, port }: ListenAddress,
  read: () => Promise<Page>,
  log: Logger,
): { close(): Promise<void> } {
  const server = createServer({ requestTimeout: receiveMs, headersTimeout: receiveMs }, (request, response) => {
    answer(request, response, read).catch((error: unknown) => {
      log.error({ op: 'metrics', err: error }, 'metrics could not be read');
      response.writeHead(500).end('metrics could not be read: see the log\n');
    });
  });
  server.maxConnections = mostConnections;
  let retry: NodeJS.Timeout | undefined;
  let complained = false;
  const listen = () => server.listen({ host, port });
  server.on('error', (error) => {
    if (!complained) {
      log.error(
        { op: 'metrics', host, port, err: error },
        'metrics are not served: this address cannot be listened on. Volumes are. Give DVE_METRICS another, or free it: it is tried again',
      );
    }
    complained = true;
    retry = setTimeout(listen, retryMs).unref();
  });
  server.on('listening', () => {
    const { address, port: bound } = server.address() as AddressInfo;
    complained = false;
    log.info({ op: 'metrics', host: address, port: bound }, 'metrics are served');
  });
  listen();
  return {
    close() {
      clearTimeout(retry);
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      server.closeAllConnections();
      return promise;
    },
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, read: () => Promise<Page>): Promise<void> {
  if (request.url?.split('?')[0] !== '/metrics') return refuse(response, 404, 'metrics are at /metrics');
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return refuse(response.setHeader('allow', 'GET, HEAD'), 405, 'metrics are only read');
  }
  const { contentType, text } = await read();
  response.writeHead(200, { 'content-type': contentType, 'content-length': Buffer.byteLength(text) });
  response.end(request.method === 'HEAD' ? undefined : text);
}

function refuse(response: ServerResponse, status: number, why: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${why}\n`);
}
