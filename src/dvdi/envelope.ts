import type { Socket } from 'node:net';
import { DriverError, toDriverError } from '../errors.ts';

/** What moby's own test plugin answers with. dockerd does not look at it. */
export const contentType = 'application/vnd.docker.plugins.v1.2+json';

/** A request that cannot be understood; `why` says what was wrong with it. */
export function malformed(tried: string, why: string, cause?: unknown): DriverError {
  const todo = 'Send a JSON object as the Docker volume plugin protocol has it';
  return new DriverError('INVALID_REQUEST', { tried, why, todo, cause });
}

/** A request without the body that it needs: the Docker Engine repeats a call so, and whoever sees it asked for it in order. */
export function emptyRequest(tried: string): DriverError {
  return new DriverError('INVALID_REQUEST', {
    tried,
    why: 'the request has no body (the Docker Engine repeats a call without it when the plugin has restarted)',
    todo: 'Try again',
  });
}

/** A path or method that is none of the protocol's. */
export function noSuchEndpoint(method: string, path: string): DriverError {
  return new DriverError('NO_SUCH_ENDPOINT', {
    tried: `answer ${method} ${path}`,
    why: 'the Docker volume plugin protocol has no such call',
    todo: 'POST to /Plugin.Activate or /VolumeDriver.…',
  });
}

/**
 * Any error met while answering as one of the catalogue: the driver's as they are, naming the volume; the framework's
 * own about the request as INVALID_REQUEST; all others as INTERNAL.
 */
export function asDriverError(error: unknown, tried: string, volume: string | undefined): DriverError {
  const known = isClientFault(error) ? malformed(tried, error.message, error) : toDriverError(error, tried);
  return volume === undefined ? known : known.about(volume);
}

/** Fastify marks what the sender did wrong with a 4xx status. */
function isClientFault(error: unknown): error is Error {
  if (!(error instanceof Error) || error instanceof DriverError) return false;
  return 'statusCode' in error && typeof error.statusCode === 'number' && error.statusCode < 500;
}

/** Answers bytes that never became a request (not HTTP, too slow, too long a header), and closes the connection. */
export function refuseConnection(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const slow = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
  const why = slow ? 'the request did not arrive in time' : `the request is not HTTP: ${error.message}`;
  const body = JSON.stringify({ Err: malformed('read the request', why).message });
  const head = [
    `HTTP/1.1 ${slow ? '408 Request Timeout' : '400 Bad Request'}`,
    `Content-Type: ${contentType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}
