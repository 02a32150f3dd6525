import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox } from '../support/sandbox.ts';
import { Bench, Container, crashSandbox, heldBy } from './bench.ts';
import { rescues } from './rescues.ts';
import { scenarios, takeover } from './scenarios.ts';
import { knownSteps } from './steps.ts';
import { sweep } from './sweep.ts';

const { skip } = requires('root', 'loop');
/** All points of all scenarios take a quarter of an hour. */
const full = process.env['CRASH_SWEEP'] === 'full';

interface Lane {
  readonly bench: Bench;
  readonly container: Container;
}

describe.skipIf(skip)('kill -9 at every step, then a restart', () => {
  let box: TestSandbox;
  const lanes: Lane[] = [];
  const free: Lane[] = [];
  const tried: string[] = [];
  beforeAll(async () => {
    box = await crashSandbox({ nodes: 2 });
    for (const which of [0, 1]) {
      const bench = new Bench(box, which);
      const name = `live${which}`;
      await bench.ok('Create', { Name: name });
      await bench.ok('Mount', { Name: name, ID: 'live-id' });
      lanes.push({ bench, container: await Container.start(bench, name) });
    }
    free.push(...lanes);
  });
  afterAll(async () => {
    process.stdout.write(`crash points tried: ${tried.join(', ')}\n`);
    for (const { container } of lanes) await container.end();
    await box?.close();
  });

  it('knows every step there is', async () => {
    for (const { bench } of lanes) expect((await bench.methods()).sort()).toEqual([...knownSteps.keys()].sort());
  });

  const chosen = [...scenarios, ...rescues].filter(({ main }) => main || full);
  it.concurrent.each(chosen)('$title', { timeout: 3_600_000 }, async (scenario) => {
    const lane = await eventually(async () => free.shift());
    const { bench, container } = lane;
    try {
      const started = Date.now();
      const swept = await sweep(bench, scenario, full);
      tried.push(`${scenario.title} ${swept.tried} (${Math.round((Date.now() - started) / 1000)} s)`);
      expect(swept.failures).toEqual([]);
      expect(swept.missed).toEqual([]);
      expect(swept.tried).toBeGreaterThan(0);
      await container.goesOn();
      expect(heldBy('live-id')(await bench.state(container.name), bench)).toBe(true);
    } finally {
      free.push(lane);
    }
  });
});

if (full) {
  describe.skipIf(skip)('kill -9 of the node that takes a volume over', () => {
    it(takeover.title, { timeout: 3_600_000 }, async () => {
      const box = await crashSandbox();
      try {
        const swept = await sweep(new Bench(box), takeover, full);
        process.stdout.write(`crash points tried: ${takeover.title} ${swept.tried}\n`);
        expect(swept).toMatchObject({ failures: [], missed: [] });
      } finally {
        await box.close();
      }
    });
  });
}
