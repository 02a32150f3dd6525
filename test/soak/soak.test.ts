import { describe, expect, it, onTestFailed } from 'vitest';
import { requires } from '../support/requirements.ts';
import { Soak } from './soak.ts';

const seed = 1_430_113;

describe.skipIf(requires('root', 'loop').skip)('mounts, moves and takeovers at the pace of EC2', () => {
  it(`seed ${seed}: meet no unexpected error, lose nothing, leave nothing over`, async () => {
    const story: string[] = [];
    onTestFailed(() => void process.stderr.write(`${story.join('\n')}\n`));
    // Machines that start and stop at once: what is left takes as long as the model of EC2 draws.
    const times = { start: 500, stop: 1000 };
    const figures = await Soak.run({
      ...{ seed, forMs: 20_000, volumes: 3, times },
      endings: ['stopped', 'terminated'],
      tell: (line) => story.push(line),
    });
    expect(figures.join('\n')).toMatch(/^takeovers: [1-9]/m);
    process.stdout.write(`soak: ${figures.join('; ')}\n`);
  }, 240_000);
});
