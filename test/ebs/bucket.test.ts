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

/** Two calls' worth, from a two-hundredth of the rate, which grows by r' = 2 g r^1.5. */
const longestWaitMs = ({ perSecond }: Allowance) => {
  const [root, g] = [Math.sqrt(perSecond / 200), Math.LN2 / 40 / Math.sqrt(perSecond / 20)];
  return (1000 * (1 / root - 1 / (root + 2 * g))) / g + 1;
};

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

  it('lets a call go again within two seconds of the first refusal, however little of the budget it has had', () => {
    fc.assert(
      fc.property(allowances, fc.double({ min: 0, max: 1, noNaN: true }), (allowance, random) => {
        const once = refused(spent(fullBucket(allowance, 0), 0), 0, 60, random);
        expect(readyIn(once, 60)).toBeLessThanOrEqual(2000);
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
        // One call shows the recovered rate. It grows back in 170 s, and fills the burst in another 100 s at most.
        const rested = spent(bucket, now + 300_000);
        expect(rested).toMatchObject({ rate: allowance.perSecond, level: allowance.burst - 1 });
      }),
    );
  });
});

describe('refusals', () => {
  const allowance = { burst: 40, perSecond: 10 };
  /** The bucket when EC2 refuses, after so many calls at once. */
  const refusedAfter = (calls: number): Bucket => {
    let bucket = fullBucket(allowance, 0);
    for (let call = 0; call < calls; call++) bucket = spent(bucket, 0);
    return refused(bucket, 0, 0, 0);
  };

  it('tell the share: who had a tenth of what the bucket held goes on with a tenth of the flow', () => {
    expect(refusedAfter(1 + 4).rate).toBeCloseTo(1, 9);
    // The others of the same volley tell that they were not served either.
    expect(refused(refusedAfter(1 + 4), -1, 1, 0).rate).toBeCloseTo(0.75, 9);
    expect(refusedAfter(40).rate).toBeCloseTo(8.5, 9);
    expect(refusedAfter(1).rate).toBeCloseTo(0.2, 9);
  });

  it('after that slow the rate by a seventh, down to a two-hundredth', () => {
    let bucket = refused(refusedAfter(21), 0.25, 0.5, 0);
    expect(bucket.rate).toBeCloseTo(5 * 0.85, 1);
    for (let time = 1; time < 60; time++) bucket = refused(bucket, time, time + 0.5, 0);
    expect(bucket.rate).toBeCloseTo(0.05, 2);
  });

  it('empty the bucket, and more by chance', () => {
    const times = [0, 1].map((random) => readyIn(refused(refusedAfter(21), 1, 1, random), 1));
    // At 4.25 a second, growing: one call, or two.
    expect(times[0]).toBeGreaterThan(220);
    expect(times[0]).toBeLessThan(236);
    expect(times[1]).toBeGreaterThan(430);
    expect(times[1]).toBeLessThan(471);
  });

  it('of calls sent before the last one count once', () => {
    const twice = refused(refusedAfter(21), 1, 60, 0.5);
    expect(refused(twice, 59, 61, 0.5)).toBe(twice);
  });

  it('are made up for: the rate of one of twenty doubles in 20 s at most, and faster from there', () => {
    const twentieth = { ...fullBucket(allowance, 0), level: 0, rate: 0.5 };
    expect(spent(twentieth, 17_000).rate).toBeGreaterThan(1);
    expect(spent(twentieth, 44_000).rate).toBeLessThan(10);
    expect(spent(twentieth, 46_000).rate).toBe(10);
  });
});

describe('the budgets', () => {
  it.each([
    ['DescribeVolumes', 100, 20],
    ['DescribeInstanceStatus', 50, 10],
    ['AttachVolume', 50, 5],
    ['StopInstances', 50, 5],
    ['CreateVolume', 100, 5],
    ['CreateTags', 100, 10],
  ])('%s: %i at once, %d a second', (action, burst, perSecond) => {
    expect(allowanceOf(action)).toEqual({ burst, perSecond });
  });
});
