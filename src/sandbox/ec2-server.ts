import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { actions } from './actions/index.ts';
import type { CallLog } from './calls.ts';
import { Ec2Error } from './ec2-error.ts';
import type { Fault, FaultKind, FaultTarget } from './faults.ts';
import { readBody, send } from './http.ts';
import { callerOf } from './imds.ts';
import { type CloudState, timestamp } from './model.ts';
import { decodeQuery, flag, groups, type Query, text, texts } from './query.ts';
import { rehearsalOf } from './rehearsal.ts';
import { Throttle } from './throttle.ts';
import type { World } from './world.ts';
import { errorDocument, responseDocument, type XmlBody } from './xml.ts';

const latePollMs = 20;

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
      if (this.#isCutOff(target)) return void response.destroy();
      const outcome = await this.#outcome(query, target, signature !== '');
      this.#record(target, outcome);
      await this.#world.tasks.sleep(roundTrip / 2);
      response.setHeader('date', new Date(Date.now() + this.#clockAhead(target)).toUTCString());
      reply(response, action, outcome);
    } catch {
      // The sandbox is closing.
      response.destroy();
    }
  }

  /** A partitioned instance reaches nobody: its calls do not arrive, and do not count. */
  #isCutOff({ caller }: FaultTarget): boolean {
    return caller !== undefined && this.#world.faults.standing('partition', caller).length > 0;
  }

  /** EC2's clock shows in the Date header; only where ages are told by it can it be set ahead. */
  #clockAhead({ action, instances }: FaultTarget): number {
    if (action !== 'DescribeInstanceStatus') return 0;
    return Math.max(0, ...instances.map((id) => this.#world.faults.standing('health', id).at(-1)?.ms ?? 0));
  }

  async #outcome(query: Query, target: FaultTarget, signed: boolean): Promise<Outcome> {
    const { faults, tasks } = this.#world;
    try {
      if (!signed)
        throw new Ec2Error('AuthFailure', 'AWS was not able to validate the provided access credentials', 401);
      if (faults.take('drop-request', target) !== undefined) return { kind: 'dropped', body: {} };
      const late = faults.take('late', target);
      if (late !== undefined) return this.#arriveLater(query, target, late);
      const delay = faults.take('delay', target);
      if (delay !== undefined) await tasks.sleep(delay.ms ?? 1000);
      const body = await this.#arrived(query, target);
      return { kind: faults.take('drop-reply', target) === undefined ? 'answer' : 'dropped', body };
    } catch (error) {
      return this.#failure(target, error);
    }
  }

  async #arrived(query: Query, target: FaultTarget): Promise<XmlBody> {
    this.#refuse(query, target);
    if (!flag(query, 'DryRun')) return this.#perform(query, target);
    await actions.get(target.action)?.(
      { query, view: this.#world.store.state, fault: () => undefined },
      rehearsalOf(this.#world),
    );
    throw new Ec2Error('DryRunOperation', 'Request would have succeeded, but DryRun flag is set.', 412);
  }

  /** @throws what ended the call when the sandbox is closing */
  #failure(target: FaultTarget, error: unknown): Outcome {
    if (error instanceof Ec2Error) return { kind: 'error', error };
    if (this.#world.tasks.stopping) throw error;
    this.#log(`${target.action}: ${error instanceof Error ? error.stack : error}`);
    return { kind: 'error', error: new Ec2Error('InternalError', 'An internal error has occurred', 500) };
  }

  /** The caller hears nothing; the call arrives later, and is counted and answered to nobody then. */
  #arriveLater(query: Query, target: FaultTarget, late: Fault): Outcome {
    const { faults, tasks } = this.#world;
    tasks.start(`late ${target.action}`, async () => {
      if (late.ms !== undefined) await tasks.sleep(late.ms);
      else while (faults.isListed(late)) await tasks.sleep(latePollMs);
      const outcome = await this.#arrived(query, target).then(
        (body): Outcome => ({ kind: 'answer', body }),
        (error: unknown) => this.#failure(target, error),
      );
      this.#record(target, outcome);
    });
    return { kind: 'dropped', body: {} };
  }

  /** Throws what stands between a call and its action: set faults, token buckets, permissions. */
  #refuse(query: Query, target: FaultTarget): void {
    const { faults, timing, iam, store } = this.#world;
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
    iam.check(target.action, query, target.caller, store.state);
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
    const age = stale.at === undefined ? (stale.ms ?? 5000) : Date.now() - Date.parse(stale.at);
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
    .flat(2)
    .concat(groups(query, 'Filter').flatMap((filter) => texts(filter, 'Value')));
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
