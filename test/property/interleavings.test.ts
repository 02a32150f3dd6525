import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { startClock } from './clock.ts';
import { names, type Step, steps } from './steps.ts';
import { World } from './world.ts';

vi.mock('node:timers/promises', () => import('../support/virtual-time.ts'));

/** The same interleavings at every run, so that a red run is the change's fault; other seeds are for hunts. */
const usualSeed = 20261122;
const { PROPERTY_RUNS, PROPERTY_SEED, PROPERTY_PATH } = process.env;
const budgetMs = 24_000;
const shrinkMs = 20_000;
const realNow = performance.now.bind(performance);

/** Gives what went wrong in a run, as text; undefined when nothing did. */
async function play(
  seed: number,
  nodes: number,
  list: readonly Step[],
): Promise<{ world: World; wrong: string | undefined }> {
  const clock = startClock();
  try {
    const world = new World(seed, nodes);
    await world.pass(1000);
    for (const name of names) world.create(world.nodes[0]!, name);
    await world.pass(40_000);
    for (const { does, thenMs, run } of list) {
      world.note(`> ${does}`);
      run(world);
      await world.pass(thenMs);
      if (world.failures.length > 0) break;
    }
    if (world.failures.length === 0) await world.end(names);
    const wrong = world.failures.length === 0 ? undefined : `${world.failures[0]}\n${world.trace.join('\n')}`;
    return { world, wrong };
  } finally {
    clock.end();
  }
}

test('whatever happens in whatever order, no rule is broken and the end is rest', async () => {
  const began = realNow();
  const tried = { runs: 0, steps: 0, kills: 0, rollbacks: 0 };
  let failedAt: number | undefined;
  const property = fc.asyncProperty(fc.integer(), fc.integer({ min: 2, max: 3 }), steps, async (seed, nodes, list) => {
    const overdue = PROPERTY_RUNS === undefined && realNow() - began > budgetMs;
    if (failedAt === undefined ? overdue : realNow() - failedAt > shrinkMs) return;
    const { world, wrong } = await play(seed, nodes, list);
    tried.runs += 1;
    tried.steps += list.length;
    tried.kills += world.kills;
    tried.rollbacks += world.rollbacks;
    if (wrong === undefined) return;
    failedAt ??= realNow();
    throw new Error(wrong);
  });
  const details = await fc.check(property, {
    numRuns: Number(PROPERTY_RUNS ?? 4000),
    seed: Number(PROPERTY_SEED ?? usualSeed),
    ...(PROPERTY_PATH === undefined ? {} : { path: PROPERTY_PATH }),
  });
  process.stdout.write(
    `interleavings tried: ${tried.runs}, steps: ${tried.steps}, kills: ${tried.kills}, rollbacks done: ${tried.rollbacks} (seed ${details.seed}, ${Math.round((realNow() - began) / 1000)} s)\n`,
  );
  if (!details.failed) return;
  const [seed, nodes, list = []] = details.counterexample ?? [];
  const story = list.map(({ does, thenMs }) => `  ${does}, then ${thenMs} ms`).join('\n');
  const error = details.errorInstance;
  expect.fail(
    `PROPERTY_SEED=${details.seed} PROPERTY_PATH=${details.counterexamplePath}; ${nodes} nodes, latencies of ${seed}\n${story}\n${error instanceof Error ? error.message : error}`,
  );
}, 3_600_000);
