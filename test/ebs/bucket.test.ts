import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Allowance, type Bucket, fullBucket, readyIn, refused, spent } from '../../src/ebs/bucket.ts';
import { allowanceOf } from '../../src/ebs/budgets.ts';

const allowances: fc.Arbitrary<Allowance> = fc.record({
  burst: fc.integer({ min: 1, max: 100 }),
  perSecond: fc.integer({ min: 1, max: 20 }),
});
/** What happens next, and after how many milliseconds. */
const events = fc.array(
  fc.record({
    afterMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3_000 }), fc.integer({ min: 0, max: 200_000 })),
    what: fc.constantFrom('call', 'call', 'call', 'refuse'),
    random: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
  { maxLength: 200 },
);

/** Plays events; a call goes if the bucket lets it. Gives when calls went. */
function play(allowance: Allowance, happenings: typeof events extends fc.Arbitrary<infer T> ? T : never) {
  let bucket = fullBucket(allowance, 0);
  let now = 0;
  const went: number[] = [];
  for (const { afterMs, what, random } of happenings) {
    now += afterMs;
    if (what === 'refuse') bucket = refused(bucket, went.at(-1) ?? 0, now, random);
    else if (readyIn(bucket, now) === 0) {
      bucket = spent(bucket, now);
      went.push(now);
    }
  }
  return { bucket, now, went };
}

/** Two calls' worth, from a fiftieth of the rate, which doubles in 15 s. */
const longestWaitMs = ({ perSecond }: Allowance) => 15_000 * Math.log2(1 + (2 * Math.LN2) / (0.3 * perSecond)) + 1;

describe('the bucket', () => {
  it('never lets more than burst and flow go in any window, whatever is refused meanwhile', () => {
    fc.assert(
      fc.property(allowances, events, (allowance, happenings) => {
        const { went } = play(allowance, happenings);
        for (const [first, from] of went.entries()) {
          for (const [offset, to] of went.slice(first).entries()) {
            const most = allowance.burst + (allowance.perSecond * (to - from)) / 1000;
            expect(offset + 1).toBeLessThanOrEqual(most + 1e-6);
          }
        }
      }),
    );
  });

  it('lets a call go by the time it said', () => {
    fc.assert(
      fc.property(allowances, events, (allowance, happenings) => {
        const { bucket, now } = play(allowance, happenings);
        const delay = readyIn(bucket, now);
        expect(readyIn(bucket, now + delay)).toBe(0);
      }),
    );
  });

  it('lets a call go within a bounded time, however often it was refused', () => {
    fc.assert(
      fc.property(allowances, events, (allowance, happenings) => {
        const { bucket, now } = play(allowance, happenings);
        expect(readyIn(bucket, now)).toBeLessThanOrEqual(longestWaitMs(allowance));
      }),
    );
  });

  it('has its full rate and burst again after a quiet time', () => {
    fc.assert(
      fc.property(allowances, events, (allowance, happenings) => {
        const { bucket, now } = play(allowance, happenings);
        // One call shows the recovered rate. It grows back in 85 s, and fills the burst in another 100 s at most.
        const rested = spent(bucket, now + 200_000);
        expect(rested).toMatchObject({ rate: allowance.perSecond, level: allowance.burst - 1 });
      }),
    );
  });
});

describe('refusals', () => {
  const allowance = { burst: 40, perSecond: 10 };
  /** Refusals one after another, each call sent just before. */
  const refusedTimes = (times: number, random = 0): Bucket => {
    let bucket = fullBucket(allowance, 0);
    for (let time = 0; time < times; time++) bucket = refused(bucket, time, time + 0.5, random);
    return bucket;
  };

  it('halve the rate down to a fiftieth of it', () => {
    const rates = [1, 2, 3, 4, 9].map((times) => refusedTimes(times).rate);
    for (const [index, rate] of [5, 2.5, 1.25, 0.625, 0.2].entries()) expect(rates[index]).toBeCloseTo(rate, 2);
  });

  it('empty the bucket, and more by chance', () => {
    // At 5 a second, growing: one call, or two.
    expect(readyIn(refusedTimes(1, 0), 0.5)).toBe(200);
    expect(readyIn(refusedTimes(1, 1), 0.5)).toBe(397);
  });

  it('of calls sent before the last one count once', () => {
    const once = refused(fullBucket(allowance, 0), 0, 60, 0.5);
    expect(refused(once, 59, 61, 0.5)).toBe(once);
  });

  it('are made up for: after one the rate is whole again in 15 s', () => {
    const once = refusedTimes(1);
    expect(spent(once, 10_000).rate).toBeLessThan(10);
    expect(spent(once, 15_001).rate).toBe(10);
  });
});

describe('the budgets', () => {
  it.each([
    ['DescribeVolumes', 80, 10],
    ['DescribeInstanceStatus', 40, 5],
    ['AttachVolume', 40, 2.5],
    ['StopInstances', 40, 2.5],
    ['CreateVolume', 80, 2.5],
    ['CreateTags', 80, 5],
  ])('%s: %i at once, %d a second', (action, burst, perSecond) => {
    expect(allowanceOf(action)).toEqual({ burst, perSecond });
  });
});
