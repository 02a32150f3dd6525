import { Ec2Error } from './ec2-error.ts';
import { type IamRequest, requestsOf } from './iam-requests.ts';
import { accountId, type CloudState } from './model.ts';
import { flag, type Query } from './query.ts';

/** An identity-based policy of IAM, as far as the sandbox knows them: statements that allow. */
export interface IamPolicy {
  readonly Statement: readonly IamStatement[];
}

interface IamStatement {
  readonly Sid?: string;
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

/** Holds the instances' role to a policy, and remembers what was asked of it. */
export class Iam {
  readonly #policy: IamPolicy | undefined;
  readonly #region: string;
  /** For each call, what was asked; not for dry runs. */
  readonly asked: (readonly IamRequest[])[] = [];

  constructor(policy: IamPolicy | undefined, region: string) {
    this.#policy = policy;
    this.#region = region;
  }

  /** @param caller the instance whose role signed the call. @throws Ec2Error UnauthorizedOperation */
  check(action: string, query: Query, caller: string | undefined, state: CloudState): void {
    if (this.#policy === undefined || caller === undefined) return;
    const requests = requestsOf(action, query, state, this.#region);
    if (!flag(query, 'DryRun')) this.asked.push(requests);
    for (const request of requests) {
      if (allowing(this.#policy, request) !== undefined) continue;
      const user = `arn:aws:sts::${accountId}:assumed-role/docker-volume-ebs-sandbox/${caller}`;
      const message =
        `You are not authorized to perform this operation. User: ${user} is not authorized to perform: ` +
        `${request.action} on resource: ${request.resource} because no identity-based policy allows the ${request.action} action`;
      throw new Ec2Error('UnauthorizedOperation', message, 403);
    }
  }
}

/** The first statement that allows this; undefined when none does. @throws Error for what the sandbox does not know */
export function allowing({ Statement }: IamPolicy, { action, resource, keys }: IamRequest): IamStatement | undefined {
  return Statement.find(({ Effect, Action, Resource, Condition = {} }) => {
    if (Effect !== 'Allow') throw new Error(`the sandbox knows no statement that would ${Effect}`);
    const isMeant =
      [Action].flat().some((pattern) => like(action, pattern)) &&
      [Resource].flat().some((pattern) => like(resource, pattern));
    return isMeant && Object.entries(Condition).every(([operator, tests]) => hold(operator, tests, keys));
  });
}

/** All tests of one operator. A key that is not there fails every operator but Null, ForAllValues and …IfExists (IAM User Guide). */
function hold(
  operator: string,
  tests: Readonly<Record<string, string | readonly string[]>>,
  keys: IamRequest['keys'],
): boolean {
  return Object.entries(tests).every(([key, expected]) => {
    const values = keys[key] ?? [];
    const wanted = [expected].flat();
    if (operator === 'Null') return wanted.includes(String(values.length === 0));
    const [, quantifier, name = '', ifExists] =
      /^(?:(ForAllValues|ForAnyValue):)?(\w+?)(IfExists)?$/.exec(operator) ?? [];
    const test = operators[name];
    if (test === undefined) throw new Error(`the sandbox does not know the condition operator ${operator}`);
    if (values.length === 0 && ifExists !== undefined) return true;
    if (quantifier === 'ForAllValues') return values.every((value) => test(value, wanted));
    return values.some((value) => test(value, wanted));
  });
}

const operators: Readonly<Record<string, (value: string, wanted: readonly string[]) => boolean>> = {
  StringEquals: (value, wanted) => wanted.includes(value),
  StringNotEqualsIgnoreCase: (value, wanted) => wanted.every((each) => each.toLowerCase() !== value.toLowerCase()),
  StringLike: (value, wanted) => wanted.some((pattern) => like(value, pattern)),
};

/** With `*` for any text and `?` for any character, as IAM has it. */
function like(text: string, pattern: string): boolean {
  const escaped = pattern.replaceAll(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`).test(text);
}
