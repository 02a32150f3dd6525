import { beforeEach, describe, expect, it, vi } from 'vitest';
import { caller } from '../../src/ebs/call.ts';
import { bucketOf, Throttle } from '../../src/sandbox/throttle.ts';
import { played, useVirtualTime } from '../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const halfTripMs = 30;

const pause = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms));

const refusal = () =>
  Object.assign(new Error('Request limit exceeded.'), {
    name: 'RequestLimitExceeded',
    $fault: 'client',
    $metadata: { httpStatusCode: 503 },
  });

/** Random numbers that are the same in every run (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Daemons of one account that attach so many volumes each, a new one every `everyMs` (what a daemon does before it).
 * Gives the share of the calls that EC2 refused, and the time as a multiple of the least that its bucket allows.
 */
async function fleet(daemons: number, attaches: number, everyMs: number, seed: number) {
  const ec2 = new Throttle();
  vi.spyOn(Math, 'random').mockImplementation(seeded(seed));
  let sent = 0;
  const attach = async () => {
    await pause(halfTripMs);
    sent += 1;
    const granted = ec2.take('AttachVolume', {}, performance.now());
    await pause(halfTripMs);
    if (!granted) throw refusal();
  };
  const started = performance.now();
  const daemon = async () => {
    const call = caller(undefined);
    const phaseMs = Math.random() * everyMs;
    const all = Array.from({ length: attaches }, async (_, index) => {
      await pause(phaseMs + index * everyMs);
      await call('AttachVolume', { tried: 'attach vol-1' }, attach);
    });
    await Promise.all(all);
  };
  await played(Promise.all(Array.from({ length: daemons }, daemon)));
  const { size, refill } = bucketOf('AttachVolume', {}).bucket;
  const total = daemons * attaches;
  const boundMs = ((total - size) / refill) * 1000;
  return { refused: (sent - total) / sent, slowness: (performance.now() - started) / boundMs };
}

const mean = (numbers: readonly number[]): number => numbers.reduce((sum, each) => sum + each, 0) / numbers.length;

describe('daemons that share an account', () => {
  it.each([
    { daemons: 5, attaches: 80, everyMs: 40, most: { refused: 0.3, slowness: 1.1 } },
    { daemons: 20, attaches: 20, everyMs: 40, most: { refused: 0.3, slowness: 1.15 } },
    { daemons: 20, attaches: 20, everyMs: 0, most: { refused: 0.4, slowness: 1.15 } },
    { daemons: 100, attaches: 4, everyMs: 0, most: { refused: 0.6, slowness: 1.2 } },
  ])(
    '$daemons of them, with $attaches attaches each, one every $everyMs ms',
    async ({ daemons, attaches, everyMs, most }) => {
      const runs = [];
      for (const seed of [1, 2, 3, 4, 5]) runs.push(await fleet(daemons, attaches, everyMs, seed));
      expect(mean(runs.map(({ refused }) => refused))).toBeLessThan(most.refused);
      expect(mean(runs.map(({ slowness }) => slowness))).toBeLessThan(most.slowness);
    },
  );
});
