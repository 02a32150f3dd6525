import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../support/requirements.ts';
import type { TestSandbox } from '../support/sandbox.ts';
import { Bench, Container, crashSandbox, heldBy } from './bench.ts';
import { scenarios } from './scenarios.ts';
import { knownSteps } from './steps.ts';
import { sweep } from './sweep.ts';

const { skip } = requires('root', 'loop');
/** All points of all scenarios take a quarter of an hour. */
const full = process.env['CRASH_SWEEP'] === 'full';

describe.skipIf(skip)('kill -9 at every step, then a restart', () => {
  let box: TestSandbox;
  let bench: Bench;
  let container: Container;
  const tried: string[] = [];
  beforeAll(async () => {
    box = await crashSandbox();
    bench = new Bench(box);
    await bench.ok('Create', { Name: 'live' });
    await bench.ok('Mount', { Name: 'live', ID: 'live-id' });
    container = await Container.start(bench, 'live');
  });
  afterAll(async () => {
    process.stdout.write(`crash points tried: ${tried.join(', ')}\n`);
    await container?.end();
    await box?.close();
  });

  it('knows every step there is', async () => {
    expect((await bench.methods()).sort()).toEqual([...knownSteps.keys()].sort());
  });

  const chosen = scenarios.filter(({ main }) => main || full);
  it.each(chosen)('$title', { timeout: 3_600_000 }, async (scenario) => {
    const started = Date.now();
    const swept = await sweep(bench, scenario, full);
    tried.push(`${scenario.title} ${swept.tried} (${Math.round((Date.now() - started) / 1000)} s)`);
    expect(swept.failures).toEqual([]);
    expect(swept.missed).toEqual([]);
    expect(swept.tried).toBeGreaterThan(0);
    await container.goesOn();
    expect(heldBy('live-id')(await bench.state('live'), bench)).toBe(true);
  });
});
