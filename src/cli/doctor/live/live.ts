import type { Settings } from '../../../config.ts';
import { openInspection } from '../../../ebs/inspect.ts';
import { readIdentity } from '../../../host/identity.ts';
import { print, printAsIs } from '../../output.ts';
import { reasonOf } from '../check.ts';
import type { Answer, LiveCheck } from './check.ts';
import { liveChecks } from './checks.ts';
import { CheckVolume, deleteLeftovers, type Place } from './volume.ts';

/** What will be done, and what it costs; also part of `--help`. */
export const plan = `doctor --live asks the real EC2 what the driver takes for granted. It
- makes one empty gp3 volume of 1 GiB in this instance's zone, tagged docker-volume-ebs:check, attaches it to this
  instance, tags it, detaches it and deletes it; nothing is written to it, and no other volume is touched;
- makes one or two more for some seconds where EC2 takes a repeated request for another one, and deletes them, too;
- takes a minute or two and some 150 calls, which count against the account's limits.
A gp3 volume of 1 GiB costs about 0.08 US dollars a month, so this costs less than a cent. What a run that was killed leaves
over, the next run on the same instance deletes first (any other one after an hour).
`;

const timeoutMs = 600_000;

interface Result extends Answer {
  readonly check: LiveCheck;
}

interface LiveOptions {
  readonly settings: Settings;
  readonly env: NodeJS.ProcessEnv;
  readonly json: boolean;
  readonly yes: boolean;
}

/**
 * Makes the checks on the account that this instance is of; prints each with what EC2 answered.
 * @returns the exit status: 0 when nothing disagrees, 1 when something does, 2 when nobody has said yes.
 * @throws DriverError when the volume cannot be made, or not be deleted
 */
export async function runLive({ settings, env, json, yes }: LiveOptions): Promise<number> {
  if (!yes) {
    print(`${plan}Nothing was done. Say --yes to have it done.\n`);
    return 2;
  }
  const say = json ? () => undefined : (text: string) => print(`${text}\n`);
  const identity = await readIdentity(settings, env);
  const { cluster } = settings;
  const own = env['AWS_REGION'] ? undefined : identity.region;
  const log = { debug: () => undefined, info: () => undefined };
  const inspection = openInspection({ cluster, region: own, log });
  const { instanceId, availabilityZone: zone } = identity;
  try {
    const results = await examine({ ec2: inspection.ec2, cluster, instanceId, zone }, say);
    if (json) printAsIs(asJson(results));
    else say(summary(results));
    return results.some(({ agrees }) => agrees === false) ? 1 : 0;
  } finally {
    inspection.close();
  }
}

async function examine(place: Place, say: (line: string) => void): Promise<Result[]> {
  const left = await deleteLeftovers(place);
  if (left.length > 0) say(`deleted what an earlier run left over: ${left.join(', ')}`);
  const stop = new AbortController();
  const interrupted = () => stop.abort(new Error('it was interrupted'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupted);
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(timeoutMs)]);
  const volume = await CheckVolume.make(place, signal);
  say(`made ${volume.id} in ${place.zone}\n`);
  const results: Result[] = [];
  try {
    for (const check of liveChecks) {
      const result = { check, ...(await made(check, volume, signal)) };
      results.push(result);
      say(asText(result));
    }
  } finally {
    await volume.deleteAll();
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.removeListener(name, interrupted);
  }
  say(`deleted ${volume.id}`);
  return results;
}

async function made(check: LiveCheck, volume: CheckVolume, signal: AbortSignal): Promise<Answer> {
  try {
    signal.throwIfAborted();
    return await check.run(volume, signal);
  } catch (error) {
    return { answered: `it cannot be told: ${reasonOf(error)}`, agrees: undefined };
  }
}

const verdictOf = ({ agrees }: Answer): string => (agrees === undefined ? 'open' : agrees ? 'agrees' : 'DISAGREES');

function asText(result: Result): string {
  const { check, answered } = result;
  const rows = [`asked     ${check.asked}`, `answered  ${answered}`, `assumed   ${check.assumes}`];
  return [`${verdictOf(result).padEnd(11)}${check.title}`, ...rows.map((row) => `${' '.repeat(11)}${row}`)].join('\n');
}

function summary(results: readonly Result[]): string {
  const count = (wanted: string) => results.filter((result) => verdictOf(result) === wanted).length;
  return `${count('agrees')} agree, ${count('DISAGREES')} disagree, ${count('open')} stay open.`;
}

function asJson(results: readonly Result[]): string {
  const checks = results.map(({ check: { title, asked, assumes }, answered, agrees = null }) => ({
    ...{ check: title, asked, answered, assumes, agrees },
  }));
  return `${JSON.stringify({ ok: checks.every(({ agrees }) => agrees !== false), checks }, undefined, 2)}\n`;
}
