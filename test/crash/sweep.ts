import { setTimeout as sleep } from 'node:timers/promises';
import type { CrashPoint } from '../support/crash-orders.ts';
import { eventually } from '../support/sandbox.ts';
import type { Bench } from './bench.ts';
import type { Scenario } from './scenarios.ts';
import { mayDiffer } from './steps.ts';

const quietMs = 250;
/** How long a program lives that is killed with the daemon; mkfs writes in several goes. */
const lives: Readonly<Record<string, readonly number[]>> = { mkfs: [0, 3, 8, 15, 30] };

/** What became of the crash points of a scenario. */
export interface Swept {
  readonly tried: number;
  /** Changes that a run did not come by again. How often it only looks depends on the moment. */
  readonly missed: readonly string[];
  /** Each with the point and what was wrong after it. */
  readonly failures: readonly string[];
}

/** Names are never used twice: a volume of the past is no excuse. */
let lastName = 0;
const freshName = (): string => {
  lastName += 1;
  return `crash${lastName}x`;
};

/** Which crash points are tried: all of every state and moment, or one part of those that matter. */
export type Extent = 'full' | { readonly part: number };

/** A run tries one point in so many of each scenario; which ones changes from run to run. */
const parts = 4;

/** What is asked for by CRASH_SWEEP=full (`npm run crash`), or by CRASH_PART, which repeats what a run tried. */
export function extent(): Extent {
  if (process.env['CRASH_SWEEP'] === 'full') return 'full';
  return { part: Number(process.env['CRASH_PART'] ?? Math.floor(Math.random() * parts)) };
}

/** For the report. */
export const describeExtent = (of: Extent): string => (of === 'full' ? 'all' : `CRASH_PART=${of.part} of ${parts}`);

/** Runs a scenario once without a crash, then with one, once for each of the points that it passed and that are chosen. */
export async function sweep(bench: Bench, scenario: Scenario, of: Extent): Promise<Swept> {
  const points = chosen(scenario, await dryRun(bench, scenario), of);
  let tried = 0;
  const missed: string[] = [];
  const failures: string[] = [];
  for (const point of points) {
    const label = `${scenario.title}, ${describePoint(point)}`;
    try {
      if (await crashAt(bench, scenario, point)) tried += 1;
      else if (mayDiffer(point.point)) missed.push(label);
    } catch (error) {
      tried += 1;
      failures.push(`${label}: ${error instanceof Error ? error.message : error}`);
      await mend(bench);
    }
  }
  return { tried, missed, failures };
}

function chosen({ only }: Scenario, trace: readonly string[], of: Extent): CrashPoint[] {
  if (of === 'full' && only === undefined) return everyPoint(trace);
  const points = everyState(trace).filter(({ point }) => only?.test(point) ?? true);
  return of === 'full' ? points : onePart(points, of.part);
}

/** Every {@link parts}th, from another one on for each part; at least one. All parts together are all of them. */
export function onePart<T>(all: readonly T[], part: number): T[] {
  const step = Math.min(parts, all.length);
  return all.filter((_, index) => index % step === part % step);
}

function describePoint({ point, nth, childLivesMs }: CrashPoint): string {
  return `${point} ${nth}${childLivesMs === undefined ? '' : ` and the program after ${childLivesMs} ms`}`;
}

async function dryRun(bench: Bench, scenario: Scenario): Promise<string[]> {
  const name = freshName();
  await scenario.prepare(bench, name);
  await bench.order(await aboutOf(bench, scenario, name));
  await scenario.act(bench, name);
  await bench.reaches(name, scenario.end, scenario.withinMs);
  const trace = await quiet(bench);
  await bench.endOrders();
  await scenario.after(bench, name);
  await bench.ok('Remove', { Name: name });
  return trace;
}

async function aboutOf(bench: Bench, { also }: Scenario, name: string): Promise<string[]> {
  return [name, ...(await bench.state(name)).volumes, ...((await also?.(bench, name)) ?? [])];
}

/** The trace once nothing but looks is added any more. */
async function quiet(bench: Bench): Promise<string[]> {
  for (let before = -1; ; ) {
    const trace = await bench.trace();
    const changes = trace.filter(mayDiffer).length;
    if (changes === before) return trace;
    before = changes;
    await sleep(quietMs);
  }
}

/** Every point of a trace, and the deaths of programs. */
export function everyPoint(trace: readonly string[]): CrashPoint[] {
  const seen = new Map<string, number>();
  return trace.flatMap((point) => {
    const nth = (seen.get(point) ?? 0) + 1;
    seen.set(point, nth);
    return [{ point, nth }, ...deaths(point).map((childLivesMs) => ({ point, nth, childLivesMs }))];
  });
}

function deaths(point: string): readonly number[] {
  const [, program] = /^exec\.([^.:]*).*:started$/.exec(point) ?? [];
  return program === undefined || !mayDiffer(point) ? [] : (lives[program] ?? [0]);
}

/**
 * One point for each state that a crash can leave the world in: all points of steps that change it, without a "before"
 * that comes straight after the "after" of another, and without the single moves within a call.
 */
export function everyState(trace: readonly string[]): CrashPoint[] {
  const points = everyPoint(trace).filter(({ point }) => mayDiffer(point) && !point.startsWith('fs.'));
  return points.filter(({ point }, index) => {
    const isSame = point.endsWith(':before') && points[index - 1]?.point.endsWith(':after') === true;
    return !isSame;
  });
}

/** @returns false when the point was not come by. @throws Error saying what is wrong after the crash */
async function crashAt(bench: Bench, scenario: Scenario, at: CrashPoint): Promise<boolean> {
  const name = freshName();
  await scenario.prepare(bench, name);
  const about = await aboutOf(bench, scenario, name);
  await bench.order(about, at);
  const broken = await scenario.act(bench, name).then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(await dies(bench, scenario, name))) {
    await bench.endOrders();
    if (broken !== undefined) throw broken;
    await scenario.after(bench, name);
    await bench.ok('Remove', { Name: name });
    return false;
  }
  await bench.reorder(about);
  await bench.start();
  await bench.reaches(name, scenario.rest).catch((error: Error) => {
    throw new Error(`after the restart ${error.message}`);
  });
  await scenario.act(bench, name);
  await bench.reaches(name, scenario.end, scenario.withinMs).catch((error: Error) => {
    throw new Error(`after the second call ${error.message}`);
  });
  const made = (await bench.trace()).filter((point) => /^exec\.mkfs\..*:started$/.test(point)).length;
  await bench.endOrders();
  if (made > (at.point.startsWith('exec.mkfs') && at.childLivesMs !== undefined ? 2 : 1)) {
    throw new Error(`it was formatted ${made} times`);
  }
  await scenario.after(bench, name);
  await bench.ok('Remove', { Name: name });
  return true;
}

/** True once the daemon is dead, false once all is done and it lives. */
async function dies(bench: Bench, scenario: Scenario, name: string): Promise<boolean> {
  for (let ends = 0; ends < 20; ) {
    if (bench.pid === 0) return true;
    if (scenario.end(await bench.state(name), bench)) ends += 1;
    await sleep(20);
  }
  return false;
}

/** After a failure: a daemon for the next one. */
async function mend(bench: Bench): Promise<void> {
  await bench.endOrders();
  await bench.kill();
  await bench.start();
  await eventually(async () => (await bench.attempt('List', {})) === undefined);
}
