import type { IncomingMessage, ServerResponse } from 'node:http';
import type { CallLog } from './calls.ts';
import { type Faults, readFaultSpec } from './faults.ts';
import { readBody, sendJson } from './http.ts';

/**
 * The switchboard over HTTP: POST, GET and DELETE /faults (DELETE /faults/<id> for one), GET and DELETE /faults/calls.
 */
export async function answerFaults(
  request: IncomingMessage,
  response: ServerResponse,
  parts: { readonly faults: Faults; readonly calls: CallLog },
): Promise<void> {
  const path = (request.url ?? '').replace(/\?.*$/, '').replace(/\/$/, '');
  const [, id] = /^\/faults\/(\d+)$/.exec(path) ?? [];
  if (path === '/faults/calls') answerCalls(request, response, parts.calls);
  else if (path !== '/faults' && id === undefined) sendJson(response, 404, { error: `nothing at ${path}` });
  else if (request.method === 'POST') addFault(response, parts.faults, await readBody(request));
  else {
    if (request.method === 'DELETE') parts.faults.clear(id === undefined ? undefined : Number(id));
    sendJson(response, 200, parts.faults.list().map(readable));
  }
}

function addFault(response: ServerResponse, faults: Faults, body: string): void {
  try {
    sendJson(response, 200, readable(faults.add(readFaultSpec(JSON.parse(body)))));
  } catch (error) {
    sendJson(response, 400, { error: error instanceof Error ? error.message : String(error) });
  }
}

/** JSON has no infinity: a fault without end has no `remaining`. */
const readable = <T extends { readonly remaining: number }>(fault: T): object => ({
  ...fault,
  remaining: Number.isFinite(fault.remaining) ? fault.remaining : undefined,
});

function answerCalls(request: IncomingMessage, response: ServerResponse, calls: CallLog): void {
  if (request.method === 'DELETE') calls.reset();
  sendJson(response, 200, { counts: calls.counts(), calls: calls.list() });
}
