import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';

/** Where a volume driver listens. */
export type Address = { readonly socketPath: string } | { readonly host: string; readonly port: number };

/**
 * Posts to an endpoint of a volume driver, as "VolumeDriver.Mount", however long its answer takes. Without a message
 * the body is empty. @param signal gives it up.
 * @throws Error as the connection has it, with its code (ECONNREFUSED, ECONNRESET…)
 */
export async function post(
  address: Address,
  endpoint: string,
  message?: object,
  signal?: AbortSignal,
): Promise<{ readonly status: number; readonly text: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const call = request({ ...address, path: `/${endpoint}`, method: 'POST', ...(signal && { signal }) }, resolve).on(
    'error',
    reject,
  );
  call.end(message === undefined ? '' : JSON.stringify(message));
  const response = await promise;
  return { status: response.statusCode ?? 0, text: await text(response) };
}

/**
 * Calls an endpoint of a volume driver on its Unix socket, as "VolumeDriver.Mount".
 * @returns the JSON answer. @throws Error with the driver's own message when it answers with an error.
 */
export async function callDriver(
  socketPath: string,
  endpoint: string,
  body: object = {},
  signal?: AbortSignal,
): Promise<Record<string, unknown>> {
  const { text: answer } = await post({ socketPath }, endpoint, body, signal).catch((error: Error) => {
    throw new Error(
      `no daemon answers at ${socketPath} (${error.message}). Start it (systemctl start docker-volume-ebs where it is installed, else docker-volume-ebs serve), or name its socket with --socket or DVE_SOCKET.`,
      { cause: error },
    );
  });
  const parsed = parse(answer, socketPath);
  if (parsed['Err']) throw new Error(String(parsed['Err']));
  return parsed;
}

function parse(answer: string, socketPath: string): Record<string, unknown> {
  try {
    return JSON.parse(answer);
  } catch (error) {
    throw new Error(`the driver at ${socketPath} answered ${JSON.stringify(answer)}`, { cause: error });
  }
}
