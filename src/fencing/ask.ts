/** JSON asked of a scheduler over HTTP: bounded in time and size, no redirect followed, credentials in no message. */
import { once } from 'node:events';
import { type IncomingMessage, request as overHttp, type RequestOptions } from 'node:http';
import { request as overHttps } from 'node:https';

/** Where a scheduler listens. */
export interface Place {
  /** For people, without credentials: "10.0.0.1:5050" or a socket's path. */
  readonly name: string;
  readonly options: RequestOptions;
  /** What stands before every path, as "/mesos" behind a proxy; usually empty. */
  readonly prefix: string;
}

interface Answer {
  readonly status: number;
  readonly location: string | undefined;
  /** When it answered by its own clock, milliseconds since 1970; undefined when it does not say. */
  readonly date: number | undefined;
  readonly text: string;
}

/** Some 10,000 Mesos agents. */
const maxBytes = 64 * 1024 * 1024;

/** The place that a URL names; user and password in it become Basic authentication. @throws TypeError for what is no such URL */
export function placeOf(text: string): Place {
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new TypeError('not a URL of HTTP');
  const { protocol, hostname, username, password } = url;
  const port = url.port || (protocol === 'https:' ? '443' : '80');
  const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return {
    name: `${hostname}:${port}`,
    options: { protocol, hostname: hostname.replace(/^\[|\]$/g, ''), port, ...(user === ':' ? {} : { auth: user }) },
    prefix: url.pathname.replace(/\/+$/, ''),
  };
}

/** A place on this machine. */
export function socketPlace(path: string): Place {
  return { name: path, options: { socketPath: path }, prefix: '' };
}

/**
 * The answer to a GET, whatever its status.
 * @throws Error whose message is a clause, as "10.0.0.1:5050 gave no answer (connect ECONNREFUSED 10.0.0.1:5050)"
 */
export async function get(place: Place, path: string, signal: AbortSignal): Promise<Answer> {
  try {
    const response = await open(place, path, signal);
    const { location, date = '' } = response.headers;
    const moment = Date.parse(date);
    return {
      status: response.statusCode ?? 0,
      location,
      date: Number.isNaN(moment) ? undefined : moment,
      text: await textOf(response),
    };
  } catch (error) {
    const why = signal.aborted ? 'not in time' : error instanceof Error ? error.message : String(error);
    throw new Error(`${place.name} gave no answer to ${path} (${why})`, { cause: error });
  }
}

/** The JSON of a GET that must succeed. @throws Error whose message is a clause */
export async function getJson(place: Place, path: string, signal: AbortSignal): Promise<unknown> {
  return jsonOf(place, path, await get(place, path, signal));
}

/** @throws Error whose message is a clause, for any status but 200 and for what is not JSON */
export function jsonOf(place: Place, path: string, { status, text }: Answer): unknown {
  if (status === 401 || status === 403) {
    throw new Error(`${place.name} does not let this node read ${path} (HTTP status ${status})`);
  }
  if (status !== 200) throw new Error(`${place.name} answered ${path} with HTTP status ${status}`);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${place.name} did not answer ${path} with JSON`, { cause: error });
  }
}

async function open({ options, prefix }: Place, path: string, signal: AbortSignal): Promise<IncomingMessage> {
  const headers = { accept: 'application/json' };
  const send = options.protocol === 'https:' ? overHttps : overHttp;
  // A connection of its own: nothing stays open between two questions that may be days apart.
  const request = send({ ...options, path: `${prefix}${path}`, headers, agent: false, signal });
  // One that breaks once the answer has begun ends the reading of it too.
  request.on('error', () => {});
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return response;
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Error('its answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
