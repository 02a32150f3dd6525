import { loadSettings, settingsHelp } from '../../config.ts';
import { DriverError } from '../../errors.ts';
import { nodeVariables } from '../node-variables.ts';
import { type Level, type Result, runChecks } from './check.ts';
import { checks } from './checks.ts';
import { plan, runLive } from './live/live.ts';
import { openWorld } from './world.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs doctor [OPTIONS]

Checks whether this node can do its work: identity, region, credentials, permissions, tools, devices, mounts, clock and
the daemon, with or without a running one. Run it where the daemon runs and as who it runs: in its container or plugin,
as root. Without --live it changes nothing in EC2: calls that would are asked about by dry runs.

One line for each check: ok, warn, FAIL or unknown (it cannot be judged), what was found, and below it what to do.
Exit status: 0 when no check fails, 1 when one does, 2 for a wrong command line or setting.

  --json      Print the results as JSON
  --live      Instead, ask the real EC2 what the driver takes for granted (see below)
  --yes       With --live: do it
  --help      Show this text

${plan}
Settings are read as serve reads them. Where the environment has none of the variables DVE_*, those of
/etc/docker-volume-ebs/env, which a service of systemd reads, are added to it.

${settingsHelp()}
`;

const deadlineMs = 10_000;

/** Examines this node; gives the exit status. @throws DriverError INVALID_OPTION for a setting that is wrong. */
export async function run(argv: readonly string[]): Promise<number> {
  const { env, variables } = nodeVariables(process.env);
  const said = (word: string) => argv.includes(word);
  const settings = loadSettings(
    argv.filter((word) => !['--json', '--live', '--yes'].includes(word)),
    env,
    'doctor',
  );
  // The AWS SDK reads this process's own.
  Object.assign(process.env, env);
  if (said('--live')) return runLive({ settings, env, json: said('--json'), yes: said('--yes') });
  let throttled = false;
  const onThrottled = () => {
    throttled = true;
  };
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(tooLate(throttled)), deadlineMs);
  const { signal } = deadline;
  const results = await runChecks(
    checks,
    openWorld({ settings, variables, env, deadline: signal, onThrottled }),
    signal,
  );
  clearTimeout(timer);
  process.stdout.write(said('--json') ? asJson(results) : asText(results));
  return hasFailed(results) ? 1 : 0;
}

/** What becomes of calls of EC2 that have no answer by then. */
function tooLate(throttled: boolean): DriverError {
  return new DriverError(throttled ? 'EC2_THROTTLED' : 'EC2_UNAVAILABLE', {
    tried: 'ask EC2',
    why: `no answer within ${deadlineMs / 1000} s${throttled ? ': EC2 throttles the calls of the account' : ''}`,
    todo: 'Try again in a minute',
  });
}

const hasFailed = (results: readonly Result[]) => results.some(({ level }) => level === 'fail');

function asJson(results: readonly Result[]): string {
  const all = results.map(({ title, level, found, details, todo }) => ({ check: title, level, found, details, todo }));
  return `${JSON.stringify({ ok: !hasFailed(results), checks: all }, undefined, 2)}\n`;
}

const words: Readonly<Record<Level, string>> = { ok: 'ok', warn: 'warn', fail: 'FAIL', unknown: 'unknown' };

function asText(results: readonly Result[]): string {
  const width = Math.max(...results.map(({ title }) => title.length));
  const indent = ' '.repeat(9 + width + 2);
  const lines = results.flatMap(({ title, level, found, details = [], todo }) => [
    `${words[level].padEnd(9)}${title.padEnd(width)}  ${found}`,
    ...details.map((detail) => `${indent}- ${detail}`),
    ...(todo === undefined ? [] : [`${indent}To do: ${todo}`]),
  ]);
  return `${lines.join('\n')}\n${summary(results)}\n`;
}

function summary(results: readonly Result[]): string {
  const count = (wanted: Level) => results.filter(({ level }) => level === wanted).length;
  const counts = `${count('ok')} ok, ${count('warn')} to look at, ${count('unknown')} unknown, ${count('fail')} failed`;
  return hasFailed(results) ? `This node cannot do all of its work: ${counts}.` : `Nothing fails: ${counts}.`;
}
