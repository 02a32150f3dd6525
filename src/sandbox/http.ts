import { once } from 'node:events';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';

/** A running HTTP server on loopback. */
export interface LoopbackServer {
  readonly url: string;
  /** Stops accepting and ends open connections. */
  close(): Promise<void>;
}

/** Serves `listener` on 127.0.0.1, on a free port; refuses what a web page from elsewhere sends through a browser. */
export async function listenOnLoopback(listener: RequestListener): Promise<LoopbackServer> {
  const server = createServer((request, response) => {
    if (isOfAnotherSite(request)) send(response, 403, 'text/plain', 'Forbidden to pages of other sites\n');
    else listener(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => close(server) };
}

/**
 * Whether a browser sends this for a page that did not come from here. Such a page may post to any port of this machine: the
 * browser then names the page's own site as Origin. Or its name may come to mean 127.0.0.1: then Host is that name.
 */
function isOfAnotherSite({ headers: { host = '', origin } }: IncomingMessage): boolean {
  if (origin !== undefined && origin !== `http://${host}`) return true;
  const name = host.replace(/:\d+$/, '');
  return name !== '' && name !== 'localhost' && isIP(name.replace(/^\[|\]$/g, '')) === 0;
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** The whole body as text. */
export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

export function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body);
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  send(response, status, 'application/json', JSON.stringify(value));
}
