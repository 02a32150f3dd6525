import { describe, expect, it } from 'vitest';
import { play } from './storm.ts';

const mean = (numbers: readonly number[]): number => numbers.reduce((sum, each) => sum + each, 0) / numbers.length;

describe('a fleet on one account', () => {
  it('of 20 nodes mounts 400 volumes with one call in seven refused, in little more time than EC2 needs', async () => {
    const runs = [];
    for (const seed of [1, 2, 3]) runs.push(await play({ name: 'mounts', nodes: 20, volumes: 400 }, seed));
    expect(mean(runs.map(({ refused, sent }) => refused / sent))).toBeLessThan(0.15);
    expect(mean(runs.map(({ tookMs, boundMs }) => tookMs / boundMs))).toBeLessThan(1.15);
    expect(runs.map(({ failed }) => failed)).toEqual([0, 0, 0]);
  });

  it('takes over what stopped instances had, and no caller is answered with an error', async () => {
    const { failed, byAction } = await play({ name: 'takeovers', nodes: 20, volumes: 120, stopped: 10 }, 1);
    expect(failed).toBe(0);
    const { sent = 0, refused = 0 } = byAction.get('DetachVolume') ?? {};
    expect(sent - refused).toBe(120);
  });
});

describe('a node alone', () => {
  it('mounts 40 volumes at once without a refused call, in six round trips more than one', async () => {
    const { tookMs, refused } = await play({ name: 'alone', nodes: 1, volumes: 40 }, 1);
    expect(refused).toBe(0);
    expect(tookMs).toBeLessThan(1600 + 9 * 60);
  });
});
