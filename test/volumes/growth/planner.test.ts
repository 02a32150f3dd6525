import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { growthsTag, readGrowths } from '../../../src/volumes/growth/history.ts';
import { type GrowthView, planGrowth } from '../../../src/volumes/growth/planner.ts';
import { fillRate, withSample } from '../../../src/volumes/growth/rate.ts';
import { play, type Story } from './simulated-volume.ts';

const { PROPERTY_RUNS, PROPERTY_SEED } = process.env;
const numRuns = Number(PROPERTY_RUNS ?? 25);
/** The same stories at every run of `npm test`, so that a red run is the change's fault; hunts have others. */
const seed = Number(PROPERTY_SEED ?? (PROPERTY_RUNS === undefined ? 20261130 : Date.now()));
const hourMs = 3600_000;
const now = Date.parse('2026-03-01T00:00:00Z');

const view = (change: Partial<GrowthView> = {}): GrowthView => ({
  now,
  sizeGib: 100,
  usedGib: 85,
  rate: 0,
  auto: { at: 0.8, by: { part: 0.2 }, maxGib: 500 },
  mostGib: 65_536,
  growths: [],
  blockedUntil: 0,
  busyUntil: 0,
  nodeGib: 1000,
  ...change,
});
const grownAt = (...hoursAgo: number[]) =>
  hoursAgo.map((hours, n) => ({ at: now - hours * hourMs, fromGib: 10 + n, toGib: 11 + n, usedGib: 9 }));

describe('the plan of a volume that grows by itself', () => {
  it.each([
    ['nothing below its part', { usedGib: 79 }, undefined],
    ['its step, where it does not fill', {}, 120],
    ['a step in GiB', { auto: { at: 0.8, by: { gib: 50 }, maxGib: 500 } }, 150],
    ['what it fills in six hours, at ten GiB an hour', { rate: 10 / hourMs }, 182],
    ['its maximum at most', { rate: 1000 / hourMs }, 500],
    ['the most of its type at most', { rate: 1000 / hourMs, mostGib: 300 }, 300],
    ['what its node may add at most', { nodeGib: 7 }, 107],
    ['nothing while EC2 takes no change', { blockedUntil: now + 1 }, undefined],
    ['nothing while one of four is all that is left', { growths: grownAt(20, 10, 5) }, undefined],
    ['that last one, where it would be full before', { growths: grownAt(20, 10, 5), rate: 5 / hourMs }, 194],
    ['nothing while it is not known how fast it fills', { rate: undefined }, undefined],
    ['its step all the same, where it is nearly full', { rate: undefined, usedGib: 96 }, 120],
    ['what was begun, to the same size', { growths: [{ at: now, fromGib: 100, toGib: 130, usedGib: 80 }] }, 130],
    [
      'no more than the maximum, which is lower than what was begun',
      { growths: [{ at: now, fromGib: 100, toGib: 130, usedGib: 80 }], auto: { at: 0.8, by: { gib: 9 }, maxGib: 120 } },
      109,
    ],
    ['as if nothing had been, where a clock was wrong by years', { growths: grownAt(-9e4, -8e4, -7e4, -6e4) }, 120],
    ['nothing where autoGrowMax is less than it has', { auto: { at: 0.8, by: { gib: 9 }, maxGib: 50 } }, undefined],
    ['its step, by more than all of it', { auto: { at: 0.8, by: { part: 4 }, maxGib: 5000 } }, 500],
  ] as const)('is %s', (_what, change, toGib) => {
    expect(planGrowth(view(change)).grow?.toGib).toBe(toGib);
  });

  it.each([
    ['at its maximum', { sizeGib: 500, usedGib: 450 }, /may not have more than 500/],
    [
      'before EC2 takes the next',
      { growths: grownAt(4, 3, 2, 1), rate: 5 / hourMs },
      /it will be full at 2026-03-01T03/,
    ],
    ['when the node has had its share', { nodeGib: 0 }, /DVE_GROW_PER_DAY/],
    [
      'while EC2 works for hours on another change',
      { usedGib: 79, rate: 5 / hourMs, busyUntil: now + 5 * hourMs },
      /it will be full at 2026-03-01T04.*EC2 may work on another change until 2026-03-01T05:00/,
    ],
  ])('warns %s', (_when, change, words) => {
    expect(planGrowth(view(change)).warning).toMatch(words);
  });

  it.each([
    ['EC2 works on another change, which ends in time', { rate: 1 / hourMs, busyUntil: now + 5 * hourMs }],
    ['EC2 takes no change for some seconds', { blockedUntil: now + 20_000 }],
    ['it fills so slowly that no date is that far', { rate: 1e-16 }],
  ])('does not warn where %s', (_when, change) => {
    const { warning, fullAt } = planGrowth(view({ usedGib: 81, ...change }));
    expect(warning).toBeUndefined();
    expect(fullAt === Number.POSITIVE_INFINITY || new Date(fullAt).toISOString() !== '').toBe(true);
  });

  const gibPerHour = fc.double({ min: 0, max: 0.3, noNaN: true });
  const stories = (writes: fc.Arbitrary<readonly { hours: number; part: number }[]>): fc.Arbitrary<Story> =>
    fc
      .record({
        sizeGib: fc.integer({ min: 8, max: 2000 }),
        at: fc.integer({ min: 50, max: 90 }),
        by: fc.constantFrom({ part: 0.2 }, { part: 0.05 }, { gib: 10 }),
        factor: fc.integer({ min: 2, max: 30 }),
        writes,
        optimizing: fc.double({ min: 0, max: 1, noNaN: true }),
        killedEach: fc.constantFrom(0, 0, 7, 100),
      })
      .map(({ sizeGib, at, by, factor, writes: parts, ...others }) => ({
        ...others,
        sizeGib,
        auto: { at: at / 100, by, maxGib: sizeGib * factor },
        writes: parts.map(({ hours, part }) => ({ hours, gibPerHour: part * sizeGib })),
      }));

  it('carries a volume that fills steadily to its maximum, without a refusal, and warns before that is full', () => {
    const steady = fc.record({ hours: fc.integer({ min: 48, max: 240 }), part: gibPerHour });
    fc.assert(
      fc.property(stories(steady.map((one) => [one])), (story) => {
        const told = play(story);
        expect(told.refused).toBe(0);
        if (told.fullAtGib !== undefined) {
          expect(told.fullAtGib).toBe(story.auto.maxGib);
          expect(told.warned).toBe(true);
        }
      }),
      { numRuns, seed },
    );
  });

  it('never asks EC2 for what it refuses, nor for more than the maximum, however the writer goes', () => {
    const phases = fc.array(
      fc.record({ hours: fc.integer({ min: 1, max: 30 }), part: fc.oneof(gibPerHour, fc.constant(0)) }),
      { minLength: 1, maxLength: 8 },
    );
    fc.assert(
      fc.property(stories(phases), (story) => {
        const { refused, taken, sizeGib } = play(story);
        expect(refused).toBe(0);
        expect(Math.max(sizeGib, ...taken)).toBeLessThanOrEqual(story.auto.maxGib);
        expect([...taken]).toEqual([...new Set(taken)].sort((a, b) => a - b));
      }),
      { numRuns, seed },
    );
  });
});

describe('its history', () => {
  it('fits a tag, keeps the last four, and is read without what a person has spoilt', () => {
    let tag = '';
    for (let n = 1; n <= 9; n += 1) {
      const growth = { at: now + n * 1000, fromGib: 60_000 + n, toGib: 60_001 + n, usedGib: 59_999.123 };
      tag = growthsTag([...readGrowths({ 'docker-volume-ebs:growth': tag }), growth]);
    }
    expect(tag.length).toBeLessThanOrEqual(256);
    expect(readGrowths({ 'docker-volume-ebs:growth': tag }).map(({ toGib }) => toGib - 60_001)).toEqual([6, 7, 8, 9]);
    expect(readGrowths({ 'docker-volume-ebs:growth': `x ${tag} 1:2 3:9:8:1 -1:2:3:4` })).toHaveLength(4);
    expect(readGrowths({})).toEqual([]);
    const growth = { at: 1000, fromGib: 2, toGib: 3, usedGib: 1 };
    expect(readGrowths({ 'docker-volume-ebs:growth': '1:2:3:1.00:what-a-newer-version-adds' })).toEqual([growth]);
    expect(readGrowths({ 'docker-volume-ebs:growth': `${'9'.repeat(99)}:2:3:1 1:2:99999:1` })).toEqual([]);
  });
});

describe('the rate', () => {
  it('is that of the fastest window, and of the last growth where nothing else is known', () => {
    const slow = { at: now - 3 * hourMs, usedGib: 10 };
    const samples = [slow, { at: now - 5 * 60_000, usedGib: 13 }].reduce(
      withSample,
      [] as ReturnType<typeof withSample>,
    );
    const all = withSample(samples, { at: now, usedGib: 23 });
    const anHour = (rate: number | undefined) => (rate ?? Number.NaN) * hourMs;
    expect(anHour(fillRate(all, undefined))).toBeCloseTo(120);
    const last = { at: now - hourMs, fromGib: 1, toGib: 2, usedGib: 3 };
    expect(anHour(fillRate([{ at: now, usedGib: 13 }], last))).toBeCloseTo(10);
    expect(fillRate([{ at: now, usedGib: 1 }], last)).toBe(0);
    expect(fillRate([], last)).toBe(0);
    expect(fillRate([{ at: now, usedGib: 13 }], undefined)).toBeUndefined();
  });
});
