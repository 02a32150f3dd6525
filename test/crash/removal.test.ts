import { describe, expect, it } from 'vitest';
import { requires } from '../support/requirements.ts';
import { Bench, crashSandbox } from './bench.ts';
import { removals } from './scenarios.ts';
import { describeExtent, extent, sweep } from './sweep.ts';

const { skip } = requires('root', 'loop', 'aws');

const tries = extent();

describe.skipIf(skip)('kill -9 at every step of a removal that keeps the data', () => {
  for (const [onRemove, scenario] of Object.entries(removals)) {
    it(scenario.title, { timeout: 3_600_000 }, async () => {
      const box = await crashSandbox({ nodeEnv: { DVE_ON_REMOVE: onRemove } });
      try {
        const swept = await sweep(new Bench(box), scenario, tries);
        process.stdout.write(`crash points tried (${describeExtent(tries)}): ${scenario.title} ${swept.tried}\n`);
        expect(swept.failures).toEqual([]);
        expect(swept.missed).toEqual([]);
        expect(swept.tried).toBeGreaterThan(0);
      } finally {
        await box.close();
      }
    });
  }
});
