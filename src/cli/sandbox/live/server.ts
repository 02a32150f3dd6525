import type { IncomingMessage, ServerResponse } from 'node:http';
import { type LoopbackServer, listenOnLoopback, readBody, send, sendJson } from '../../../sandbox/http.ts';
import type { Sandbox } from '../../../sandbox/sandbox.ts';
import type { Chronicle } from '../chronicle.ts';
import { Acts } from './acts.ts';
import { pageFiles } from './files.ts';
import { Looks } from './looks.ts';
import { viewOf } from './view.ts';

/** The page runs its own script alone, talks to nobody else, and stands in no frame of another site. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Changes that come together are shown as one. */
const togetherMs = 30;

/** Serves the live page of a sandbox on 127.0.0.1, for browsers of this machine and pages of its own alone. */
export async function servePage(sandbox: Sandbox, chronicle: Chronicle, docker: boolean): Promise<LoopbackServer> {
  const viewers = new Set<ServerResponse>();
  const acts = new Acts(sandbox, chronicle);
  const toAll = (event: string, data: unknown) => {
    for (const viewer of viewers) viewer.write(eventOf(event, data));
  };
  const view = () => viewOf(sandbox.state(), sandbox.switchboard.list(), looks.seen, docker);
  let soon: NodeJS.Timeout | undefined;
  const changed = () => {
    soon ??= setTimeout(() => {
      soon = undefined;
      toAll('view', view());
    }, togetherMs);
  };
  const looks = new Looks(() => sandbox.nodes(), changed);
  const unlisten = chronicle.listen({
    changed,
    told: (told) => toAll('told', told),
    called: (call) => toAll('call', call),
  });

  function follow(request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    // A browser that has lost the page's server asks again after this; it then gets everything anew.
    response.write('retry: 1000\n\n');
    response.write(eventOf('begin', { told: chronicle.told, calls: chronicle.calls, view: view() }));
    viewers.add(response);
    looks.start();
    request.on('close', () => {
      viewers.delete(response);
      if (viewers.size === 0) looks.stop();
    });
  }

  async function act(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.headers['content-type'] !== 'application/json') return sendJson(response, 415, { error: 'send JSON' });
    try {
      acts.begin(JSON.parse(await readBody(request)));
      sendJson(response, 200, {});
    } catch (error) {
      sendJson(response, 400, { error: error instanceof Error ? error.message : String(error) });
    }
    changed();
  }

  const server = await listenOnLoopback((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://sandbox');
    response.setHeader('content-security-policy', policy);
    response.setHeader('cross-origin-resource-policy', 'same-origin');
    response.setHeader('x-content-type-options', 'nosniff');
    response.setHeader('cache-control', 'no-store');
    const file = pageFiles[pathname];
    if (request.method === 'POST' && pathname === '/do') act(request, response).catch(() => response.destroy());
    else if (request.method !== 'GET') send(response, 405, 'text/plain', 'Not allowed');
    else if (pathname === '/events') follow(request, response);
    else if (file === undefined) send(response, 404, 'text/plain', 'Not found');
    else send(response, 200, `${file.type}; charset=utf-8`, file.text);
  });
  return {
    url: server.url,
    close: async () => {
      unlisten();
      looks.stop();
      clearTimeout(soon);
      await server.close();
    },
  };
}

const eventOf = (event: string, data: unknown): string => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
