import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { actions } from './actions/index.ts';
import type { CallLog } from './calls.ts';
import { Ec2Error } from './ec2-error.ts';
import type { FaultKind, FaultTarget } from './faults.ts';
import { readBody, send } from './http.ts';
import { callerOf } from './imds.ts';
import { type CloudState, timestamp } from './model.ts';
import { decodeQuery, flag, type Query, text, texts } from './query.ts';
import { Throttle } from './throttle.ts';
import type { World } from './world.ts';
import { errorDocument, responseDocument, type XmlBody } from './xml.ts';

/** What becomes of a call: an answer, or none because the connection breaks. */
type Outcome =
  | { readonly kind: 'answer'; readonly body: XmlBody }
  | { readonly kind: 'error'; readonly error: Ec2Error }
  | { readonly kind: 'dropped'; readonly body: XmlBody };

/** The EC2 query API: takes one request, answers it, records it. Never throws. */
export class Ec2Server {
  readonly #world: World;
  readonly #calls: CallLog;
  readonly #log: (line: string) => void;
  readonly #throttle = new Throttle();

  constructor(world: World, calls: CallLog, log: (line: string) => void) {
    this.#world = world;
    this.#calls = calls;
    this.#log = log;
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, search } = new URL(request.url ?? '/', 'http://sandbox');
    if (pathname !== '/') return send(response, 404, 'text/plain', 'Not Found');
    const query = decodeQuery(request.method === 'POST' ? await readBody(request) : search);
    const signature = request.headers.authorization ?? text(query, 'X-Amz-Credential') ?? '';
    const action = text(query, 'Action') ?? '';
    const roundTrip = this.#world.timing.draw('roundTrip');
    try {
      await this.#world.tasks.sleep(roundTrip / 2);
      const target = targetOf(action, query, callerOf(signature));
      const outcome = await this.#outcome(query, target, signature !== '');
      this.#record(target, outcome);
      await this.#world.tasks.sleep(roundTrip / 2);
      reply(response, action, outcome);
    } catch {
      // The sandbox is closing.
      response.destroy();
    }
  }

  async #outcome(query: Query, target: FaultTarget, signed: boolean): Promise<Outcome> {
    const { faults, tasks } = this.#world;
    try {
      if (!signed)
        throw new Ec2Error('AuthFailure', 'AWS was not able to validate the provided access credentials', 401);
      if (faults.take('drop-request', target) !== undefined) return { kind: 'dropped', body: {} };
      const delay = faults.take('delay', target);
      if (delay !== undefined) await tasks.sleep(delay.ms ?? 1000);
      this.#refuse(query, target);
      const body = await this.#perform(query, target);
      return { kind: faults.take('drop-reply', target) === undefined ? 'answer' : 'dropped', body };
    } catch (error) {
      if (error instanceof Ec2Error) return { kind: 'error', error };
      if (tasks.stopping) throw error;
      this.#log(`${target.action}: ${error instanceof Error ? error.stack : error}`);
      return { kind: 'error', error: new Ec2Error('InternalError', 'An internal error has occurred', 500) };
    }
  }

  /** Throws what stands between a call and its action: set faults, token buckets, permissions, DryRun. */
  #refuse(query: Query, target: FaultTarget): void {
    const { faults, timing } = this.#world;
    const throttled = timing.throttled && !this.#throttle.take(target.action, query, performance.now());
    if (throttled || faults.take('throttle', target) !== undefined) {
      throw new Ec2Error('RequestLimitExceeded', 'Request limit exceeded.', 503);
    }
    const error = faults.take('error', target);
    if (error !== undefined) {
      const { code = 'InternalError', message = 'An internal error has occurred', status = 500 } = error;
      throw new Ec2Error(code, message, status);
    }
    if (!actions.has(target.action)) {
      throw new Ec2Error('InvalidAction', `The action '${target.action}' is not valid for this web service.`);
    }
    if (faults.take('deny', target) !== undefined) {
      const message = `You are not authorized to perform this operation: ec2:${target.action}`;
      throw new Ec2Error('UnauthorizedOperation', message, 403);
    }
    if (flag(query, 'DryRun')) {
      throw new Ec2Error('DryRunOperation', 'Request would have succeeded, but DryRun flag is set.', 412);
    }
  }

  async #perform(query: Query, target: FaultTarget): Promise<XmlBody> {
    const action = actions.get(target.action);
    const fault = (kind: FaultKind) => this.#world.faults.take(kind, target);
    return (await action?.({ query, view: this.#view(target), fault }, this.#world)) ?? {};
  }

  #view(target: FaultTarget): CloudState {
    const { store, faults } = this.#world;
    if (!target.action.startsWith('Describe')) return store.state;
    const stale = faults.take('stale-reads', target);
    if (stale === undefined) return store.state;
    const age = stale.ms ?? 5000;
    return store.past(stale.nonMonotonic === true ? Math.random() * age : age);
  }

  #record(target: FaultTarget, outcome: Outcome): void {
    const made =
      outcome.kind !== 'error' && typeof outcome.body['volumeId'] === 'string' ? outcome.body['volumeId'] : undefined;
    const results = { answer: 'OK', dropped: 'dropped', error: outcome.kind === 'error' ? outcome.error.code : '' };
    this.#calls.add({
      time: timestamp(),
      action: target.action,
      volume: target.volumes[0] ?? made,
      instance: target.instances[0],
      caller: target.caller,
      result: results[outcome.kind],
    });
  }
}

function targetOf(action: string, query: Query, caller: string | undefined): FaultTarget {
  const named = ['VolumeId', 'InstanceId', 'ResourceId']
    .flatMap((name) => [text(query, name) ?? [], texts(query, name)])
    .flat(2);
  return {
    action,
    caller,
    volumes: named.filter((id) => id.startsWith('vol-')),
    instances: named.filter((id) => id.startsWith('i-')),
  };
}

function reply(response: ServerResponse, action: string, outcome: Outcome): void {
  const requestId = randomUUID();
  const type = 'text/xml;charset=UTF-8';
  if (outcome.kind === 'dropped') response.destroy();
  else if (outcome.kind === 'answer') send(response, 200, type, responseDocument(action, requestId, outcome.body));
  else {
    const { code, message, status } = outcome.error;
    send(response, status, type, errorDocument(code, message, requestId));
  }
}
