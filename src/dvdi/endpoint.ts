import type { Static, TSchema } from 'typebox';
import type { CallerOptions, VolumeDriver } from '../volumes/types.ts';

/** One verb of the protocol (https://docs.docker.com/engine/extend/plugins_volume/), or one of our own. */
export interface Endpoint<Body extends TSchema = TSchema> {
  readonly path: string;
  /** What a failure says was tried: "cannot …". */
  readonly verb: string;
  readonly body: Body;
  /** True where an empty body is as good as {}. Elsewhere it is dockerd repeating a call whose body it has lost. */
  readonly mayBeEmpty: boolean;
  /** True for what takes long, and whose callers wait as long (dockerd: 120 s); others wait 60 s. */
  readonly long: boolean;
  /** Gives the answer without its Err. `caller.signal` aborts when nobody waits any more. */
  answer(driver: () => Promise<VolumeDriver>, body: Static<Body>, caller: CallerOptions): Promise<object> | object;
}

export const endpoint = <Body extends TSchema>(
  path: string,
  verb: string,
  body: Body,
  answer: Endpoint<Body>['answer'],
  kind: Partial<Pick<Endpoint, 'mayBeEmpty' | 'long'>> = {},
): Endpoint<Body> => ({ path, verb, body, answer, mayBeEmpty: false, long: false, ...kind });
