import { type Finding, runChecks } from '../../src/cli/doctor/check.ts';
import { checks } from '../../src/cli/doctor/checks.ts';
import { DriverError } from '../../src/errors.ts';
import { type FakeFactsParts, fakeFacts } from '../support/fake-facts.ts';

export const forever = new AbortController().signal;

/** What is asked, of which check, on which node, and what it finds. */
export type Case = [what: string, title: string, parts: FakeFactsParts, expected: object];

/** What the check of this title finds. */
export async function finding(title: string, parts: FakeFactsParts = {}): Promise<Finding> {
  const check = checks.find((each) => each.title === title);
  if (check === undefined) throw new Error(`there is no check ${title}`);
  const [result] = await runChecks([check], fakeFacts(parts), forever);
  return result!;
}

export const rejecting = (error: Error) => () => Promise.reject(error);
export const noImds = new DriverError('HOST_FAILED', { tried: 'ask', why: 'IMDS is silent', todo: 'Look at IMDS' });
