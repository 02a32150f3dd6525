import { setTimeout as sleep } from 'node:timers/promises';
import { type Address, post } from '../dvdi-client.ts';
import { findPlugin, isOwn, notFound, type PluginPlaces } from './discovery.ts';

export interface Answer {
  readonly status: number;
  /** Empty unless the driver answered with an object of JSON. */
  readonly body: Readonly<Record<string, unknown>>;
  /** The driver's words; undefined where it has done what it was asked. */
  readonly error: string | undefined;
}

/** Waits longer each time, as a daemon that restarts is back within a second or two. */
const pausesMs = [100, 200, 400, 800, 1600, 3200];

/** A driver that nothing on this host tells of is awaited no longer than a daemon takes to restart: its name is most likely wrong. */
const unknownMs = 2000;

/** What a daemon that ends, restarts or is replaced does to a connection. */
const passing = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE']);

/** A volume driver by its name, wherever it listens at the moment. */
export class Plugin {
  readonly #name: string;
  readonly #places: PluginPlaces;
  readonly #waitMs: number;

  constructor(name: string, places: PluginPlaces, waitMs: number) {
    this.#name = name;
    this.#places = places;
    this.#waitMs = waitMs;
  }

  /**
   * Calls an endpoint, as "VolumeDriver.Mount". While the driver is not there or ends under the call it is called again,
   * for as long as was said: a driver's calls may be repeated (Docker does so too).
   * @throws Error saying why the driver cannot be asked, and what to do
   */
  async call(endpoint: string, message?: object): Promise<Answer> {
    let failingSince: number | undefined;
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#try(endpoint, message);
      if (typeof outcome !== 'string') return outcome;
      failingSince ??= performance.now();
      const pause = pausesMs[Math.min(attempt, pausesMs.length - 1)] ?? 0;
      const left = failingSince + this.#patience() - performance.now();
      if (left <= 0) throw this.#unreachable(outcome);
      if (attempt === 0) process.stderr.write(`waiting for the volume driver ${this.#name}: ${outcome}\n`);
      await sleep(Math.min(pause, left));
    }
  }

  #patience(): number {
    const known = isOwn(this.#name, this.#places) || findPlugin(this.#name, this.#places) !== undefined;
    return known ? this.#waitMs : Math.min(this.#waitMs, unknownMs);
  }

  /** The answer, or why there is none that may come later. */
  async #try(endpoint: string, message?: object): Promise<Answer | string> {
    const address = findPlugin(this.#name, this.#places);
    if (address === undefined) return notFound(this.#name, this.#places);
    try {
      const { status, text } = await post(address, endpoint, message);
      return read(status, text);
    } catch (error) {
      const { code, message: why } = error as NodeJS.ErrnoException;
      if (code === 'EACCES') throw this.#unreachable(`only root may (${why}). Run dvdcli as root.`, error);
      const what = `nobody answers at ${shown(address)} (${why}). See that it runs there.`;
      if (!passing.has(code ?? '')) throw this.#unreachable(what, error);
      return what;
    }
  }

  #unreachable(why: string, cause?: unknown): Error {
    return new Error(`cannot ask the volume driver ${JSON.stringify(this.#name)}: ${why}`, { cause });
  }
}

const shown = (address: Address) =>
  'socketPath' in address ? address.socketPath : `${address.host} port ${address.port}`;

/** As dockerd takes answers: all but status 200 is an error, and so is a 200 with a text in Err. */
function read(status: number, text: string): Answer {
  const body = objectIn(text);
  const said = typeof body?.['Err'] === 'string' ? body['Err'] : '';
  if (said !== '') return { status, body: body ?? {}, error: said };
  if (status === 200 && body !== undefined) return { status, body, error: undefined };
  const words = body === undefined ? text.trim().slice(0, 200) : '';
  return { status, body: {}, error: `the driver answered with status ${status}: ${JSON.stringify(words)}` };
}

function objectIn(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    // dockerd takes null for an answer without content.
    return value === null ? {} : typeof value === 'object' ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
