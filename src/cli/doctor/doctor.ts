import { readSettings, refuseUnknown, settingFlags, settingsHelp } from '../../config.ts';
import { DriverError } from '../../errors.ts';
import { type Grammar, readFlags } from '../../flags.ts';
import { nodeVariables } from '../node-variables.ts';
import { printAsIs, terminalWidth } from '../output.ts';
import { wrapped } from '../table.ts';
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

export const grammar = {
  command: 'doctor',
  flags: { json: { type: 'boolean' }, live: { type: 'boolean' }, yes: { type: 'boolean' }, ...settingFlags },
} as const satisfies Grammar;

const deadlineMs = 10_000;

/** Examines this node; gives the exit status. @throws DriverError INVALID_OPTION for a setting that is wrong. */
export async function run(argv: readonly string[]): Promise<number> {
  const { env, variables } = nodeVariables(process.env);
  const { json = false, live, yes = false, ...flags } = readFlags(argv, grammar).values;
  if (variables.from === 'file') refuseUnknown(env, variables.file);
  const settings = readSettings(flags, env);
  // The AWS SDK reads this process's own.
  Object.assign(process.env, env);
  if (live) return runLive({ settings, env, json: json === true, yes: yes === true });
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
  printAsIs(json ? asJson(results) : asText(results, terminalWidth()));
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

/** The results as lines for people. @param width of the terminal; undefined where nothing needs to fit. Pure. */
export function asText(results: readonly Result[], width: number | undefined): string {
  const titles = Math.max(...results.map(({ title }) => title.length));
  const indent = ' '.repeat(9 + titles + 2);
  const lines = results.flatMap(({ title, level, found, details = [], todo }) => {
    const [first = '', ...more] = wrapped(found, width, indent);
    const below = [...details.map((detail) => `- ${detail}`), ...(todo === undefined ? [] : [`To do: ${todo}`])];
    return [
      `${words[level].padEnd(9)}${title.padEnd(titles)}  ${first.slice(indent.length)}`,
      ...more,
      ...below.flatMap((text) => wrapped(text, width, indent)),
    ];
  });
  return `${[...lines, ...wrapped(summary(results), width)].join('\n')}\n`;
}

function summary(results: readonly Result[]): string {
  const count = (wanted: Level) => results.filter(({ level }) => level === wanted).length;
  const counts = `${count('ok')} ok, ${count('warn')} to look at, ${count('unknown')} unknown, ${count('fail')} failed`;
  return hasFailed(results) ? `This node cannot do all of its work: ${counts}.` : `Nothing fails: ${counts}.`;
}
