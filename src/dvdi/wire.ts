import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { type Outcome, publish } from '../events.ts';
import type { VolumeDriver } from '../volumes/types.ts';
import { compilers } from './body.ts';
import { workFor } from './caller.ts';
import type { Endpoint } from './endpoint.ts';
import { endpoints } from './endpoints.ts';
import { asDriverError, contentType, emptyRequest, malformed, noSuchEndpoint, refuseConnection } from './envelope.ts';
import { addHealth } from './health.ts';
import { peerPid } from './peer.ts';
import { addPulse } from './pulse.ts';

export interface WireOptions {
  /** Calls that need the driver wait for a promised one; Activate and Capabilities do not. */
  readonly driver: VolumeDriver | Promise<VolumeDriver>;
  readonly log: Logger;
  /** When a create or mount that is not done is answered with STILL_WORKING. */
  readonly mountTimeoutMs: number;
  /** The same for all else: it waits for what else is done with the volume. */
  readonly quickTimeoutMs?: number;
  /** How long a request may take to arrive; what answering takes does not count. */
  readonly receiveTimeoutMs?: number;
}

/** dockerd waits 60 s for all but create and mount (moby daemon/volume/drivers/proxy.go). */
const quickMs = 50_000;
const maxBodyBytes = 1024 * 1024;

/**
 * The Docker volume plugin protocol over HTTP, not yet listening. It speaks to every known client: dockerd sends no
 * Content-Type and at times an empty Host (moby pkg/plugins), dvdcli no ID; what they send in headers means nothing.
 */
export function createWire(options: WireOptions): FastifyInstance {
  const { receiveTimeoutMs = 30_000 } = options;
  const app = Fastify({
    logger: false,
    bodyLimit: maxBodyBytes,
    // Get answered with an error makes dockerd forget the volume: while stopping, calls are still answered.
    return503OnClosing: false,
    exposeHeadRoutes: false,
    schemaController: { compilersFactory: compilers },
    clientErrorHandler: refuseConnection,
    frameworkErrors: (error, request, reply) => fail(options.log, error, request, reply),
    requestTimeout: receiveTimeoutMs,
    http: {
      requireHostHeader: false,
      headersTimeout: receiveTimeoutMs,
      connectionsCheckingInterval: Math.min(receiveTimeoutMs, 5_000),
    },
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, bytes: Buffer, done) => parse(bytes, done));
  app.addHook('onRequest', async ({ raw }) => {
    // A malformed one would be refused with 415 before the parser sees the body.
    delete raw.headers['content-type'];
  });
  app.setReplySerializer((payload) => JSON.stringify(payload));
  app.addHook('onSend', async (_request, reply) => {
    reply.header('content-type', contentType);
  });
  app.addHook('onResponse', async (request, reply) => {
    if (reply.statusCode >= 400) return;
    options.log.debug(fields(request, reply), 'answered');
    tell(request, reply, 'ok');
  });
  app.setNotFoundHandler((request) => {
    throw noSuchEndpoint(request.method, request.url);
  });
  app.setErrorHandler((error, request, reply) => fail(options.log, error, request, reply));
  for (const endpoint of endpoints) addEndpoint(app, endpoint, options);
  addHealth(app, options.driver);
  addPulse(app, options.driver);
  return app;
}

function parse(bytes: Buffer, done: (error: Error | null, body?: unknown) => void): void {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes).trim();
    done(null, text === '' ? undefined : JSON.parse(text));
  } catch (error) {
    done(malformed('read the request', `its body is not JSON: ${(error as Error).message}`, error));
  }
}

function addEndpoint(app: FastifyInstance, endpoint: Endpoint, options: WireOptions): void {
  app.route<{ Body: object }>({
    method: 'POST',
    url: endpoint.path,
    schema: { body: endpoint.body },
    preValidation: async (request) => {
      if (request.body !== undefined && request.body !== null) return;
      if (!endpoint.mayBeEmpty) throw emptyRequest(endpoint.verb);
      request.body = {};
    },
    handler: async (request, reply) => ({ ...(await answer(endpoint, request, reply, options)), Err: '' }),
  });
}

async function answer(
  endpoint: Endpoint,
  request: FastifyRequest,
  reply: FastifyReply,
  { driver: given, log, mountTimeoutMs, quickTimeoutMs = quickMs }: WireOptions,
): Promise<object> {
  let driverNow: VolumeDriver | undefined;
  const driver = async () => (driverNow = await given);
  const volume = volumeOf(request);
  const patience = {
    ms: endpoint.long ? mountTimeoutMs : quickTimeoutMs,
    volume,
    tried: endpoint.verb,
    waitingFor: () => waitOf(driverNow, volume),
    endedLate: ({ error }: { error?: unknown }) => {
      const late = { ...fields(request, reply), err: error };
      if (error === undefined) log.info(late, 'done after its caller had gone');
      else log.warn(late, 'failed after its caller had gone');
    },
  };
  const pid = peerPid(request.raw.socket);
  return workFor(reply.raw, patience, async (signal) => endpoint.answer(driver, request.body, { signal, pid }));
}

function waitOf(driver: VolumeDriver | undefined, volume: string | undefined): string | undefined {
  if (driver === undefined) return 'the driver to start';
  return volume === undefined ? undefined : driver.waitingFor(volume);
}

function fail(log: Logger, error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const endpoint = endpoints.find(({ path }) => path === request.routeOptions.url);
  const failure = asDriverError(error, endpoint?.verb ?? 'answer the request', volumeOf(request));
  reply.code(failure.status);
  tell(request, reply, failure.code);
  const line = { ...fields(request, reply), code: failure.code };
  if (failure.code === 'INTERNAL') log.error({ ...line, err: failure }, failure.message);
  else log.warn({ ...line, cause: causeText(failure) }, failure.message);
  reply.send({ Err: failure.message });
}

const causeText = ({ cause }: Error) => (cause instanceof Error ? cause.message : undefined);

/** The protocol says Name, our own endpoints name. */
function volumeOf({ body }: FastifyRequest): string | undefined {
  const { Name, name = Name } = Object(body) as { Name?: unknown; name?: unknown };
  return typeof name === 'string' && name !== '' ? name : undefined;
}

/** "/VolumeDriver.Mount" is "mount"; undefined where there is no such endpoint. */
const verbOf = ({ routeOptions }: FastifyRequest) => routeOptions.url?.split('.')[1]?.toLowerCase();

function tell(request: FastifyRequest, reply: FastifyReply, outcome: Outcome): void {
  const verb = verbOf(request);
  if (verb !== undefined) publish('operation', { verb, outcome, seconds: reply.elapsedTime / 1000 });
}

/** What every log line about a request says. */
function fields(request: FastifyRequest, reply: FastifyReply): object {
  const op = verbOf(request) ?? request.url;
  return { op, volume: volumeOf(request), status: reply.statusCode, ms: Math.round(reply.elapsedTime) };
}
