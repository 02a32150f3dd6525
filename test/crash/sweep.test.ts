import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox } from '../support/sandbox.ts';
import { Bench, Container, crashSandbox, heldBy } from './bench.ts';
import { copies } from './copies.ts';
import { growths } from './growths.ts';
import { rescues } from './rescues.ts';
import { scenarios, takeover } from './scenarios.ts';
import { knownSteps } from './steps.ts';
import { describeExtent, extent, onePart, sweep } from './sweep.ts';
import { verifies } from './verifies.ts';

const { skip } = requires('root', 'loop');
const tries = extent();
/** All points of all scenarios take a quarter of an hour. */
const full = tries === 'full';

interface Lane {
  readonly bench: Bench;
  readonly container: Container;
}

it('the parts of a sweep are all of it, and none is empty', () => {
  for (const all of [['a'], ['a', 'b', 'c'], [...'abcdefghi']]) {
    const each = [0, 1, 2, 3].map((part) => onePart(all, part));
    expect([...new Set(each.flat())].sort()).toEqual(all);
    for (const points of each) expect(points).not.toEqual([]);
  }
});

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
    process.stdout.write(`crash points tried (${describeExtent(tries)}): ${tried.join(', ')}\n`);
    for (const { container } of lanes) await container.end();
    await box?.close();
  });

  it('knows every step there is', async () => {
    for (const { bench } of lanes) expect((await bench.methods()).sort()).toEqual([...knownSteps.keys()].sort());
  });

  const chosen = [...scenarios, ...rescues, ...growths, ...verifies, ...copies].filter(({ main }) => main || full);
  it.concurrent.each(chosen)('$title', { timeout: 3_600_000 }, async (scenario) => {
    const lane = await eventually(async () => free.shift());
    const { bench, container } = lane;
    try {
      const started = Date.now();
      const swept = await sweep(bench, scenario, tries);
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
        const swept = await sweep(new Bench(box), takeover, tries);
        process.stdout.write(`crash points tried: ${takeover.title} ${swept.tried}\n`);
        expect(swept).toMatchObject({ failures: [], missed: [] });
      } finally {
        await box.close();
      }
    });
  });
}
