import { connect, type Socket } from 'node:net';

/** An answer of the daemon. `body` is the parsed JSON, or the text where it is none. */
export interface DvdiAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape.
  readonly body: any;
}

export interface DvdiClient {
  /**
   * Calls an endpoint ("VolumeDriver.Mount") as dockerd does. A body left out is an empty one, as Plugin.Activate and
   * dockerd's retries have it. Aborting the signal closes the connection, as dockerd does at its deadline.
   */
  call(endpoint: string, body?: unknown, signal?: AbortSignal): Promise<DvdiAnswer>;
}

/**
 * A client that sends byte for byte what dockerd 20.10 sends (moby pkg/plugins/client.go): POST, an empty Host, no
 * Content-Type, JSON with a newline. Each call has a connection of its own, kept alive by the server until we leave.
 */
export function dvdi(socketPath: string): DvdiClient {
  return {
    async call(endpoint, body, signal) {
      const text = body === undefined ? '' : `${JSON.stringify(body)}\n`;
      return parseAnswer(await exchange(socketPath, requestBytes(endpoint, text), signal));
    },
  };
}

/** The request as dockerd writes it; `text` is the body. */
export function requestBytes(endpoint: string, text: string): string {
  return [
    `POST /${endpoint} HTTP/1.1`,
    'Host: ',
    'User-Agent: Go-http-client/1.1',
    `Content-Length: ${Buffer.byteLength(text)}`,
    'Accept: application/vnd.docker.plugins.v1.2+json',
    '',
    text,
  ].join('\r\n');
}

/** Sends bytes on a new connection and gives the first whole answer, or what came before the server closed. */
export function exchange(socketPath: string, bytes: string | Uint8Array, signal?: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket: Socket = connect(socketPath, () => socket.write(bytes));
  let received = '';
  const leave = () => socket.destroy(new Error('the caller left'));
  signal?.addEventListener('abort', leave, { once: true });
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    received += chunk;
    if (isWhole(received)) socket.destroy();
  });
  socket.on('error', reject);
  socket.on('close', () => {
    signal?.removeEventListener('abort', leave);
    resolve(received.replace(/^HTTP\/1\.1 100 [^\r]*\r\n\r\n/, ''));
  });
  return promise;
}

function isWhole(received: string): boolean {
  const final = received.replace(/^HTTP\/1\.1 100 [^\r]*\r\n\r\n/, '');
  const [head, body] = split(final);
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  return body !== undefined && length !== undefined && Buffer.byteLength(body) >= Number(length);
}

function split(text: string): [head: string, body: string | undefined] {
  const end = text.indexOf('\r\n\r\n');
  return end === -1 ? [text, undefined] : [text.slice(0, end), text.slice(end + 4)];
}

/** Reads the text of an HTTP answer. Throws where it is none (the server closed without answering). */
export function parseAnswer(text: string): DvdiAnswer {
  const [head, body = ''] = split(text);
  const [statusLine = '', ...lines] = head.split('\r\n');
  const status = /^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1];
  if (status === undefined) throw new Error(`not an HTTP answer: ${JSON.stringify(text.slice(0, 80))}`);
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  return { status: Number(status), headers, body: jsonOr(body) };
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
