import { request } from 'node:http';

/**
 * Calls an endpoint of a volume driver on its Unix socket, as "VolumeDriver.Mount".
 * @returns the JSON answer. @throws Error with the driver's own message when it answers with an error.
 */
export function callDriver(socketPath: string, endpoint: string, body: object = {}): Promise<Record<string, unknown>> {
  const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>>();
  const call = request({ socketPath, path: `/${endpoint}`, method: 'POST' }, (response) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      text += chunk;
    });
    response.on('end', () => {
      try {
        const answer = JSON.parse(text);
        if (answer.Err) reject(new Error(answer.Err));
        else resolve(answer);
      } catch (error) {
        reject(new Error(`the driver at ${socketPath} answered ${JSON.stringify(text)}`, { cause: error }));
      }
    });
  });
  call.on('error', (error) => {
    reject(
      new Error(
        `no daemon answers at ${socketPath} (${error.message}). Start it with docker-volume-ebs serve, or name its socket with --socket or DVE_SOCKET.`,
        { cause: error },
      ),
    );
  });
  call.end(JSON.stringify(body));
  return promise;
}
