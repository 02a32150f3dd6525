import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { actsOnLive, dampedUntil } from '../../src/fencing/damping.ts';
import type { Evidence, FenceLogEntry } from '../../src/fencing/types.ts';

const now = '2026-01-02T12:00:00.000Z';
const minutesAgo = (minutes: number) => new Date(Date.parse(now) - minutes * 60_000).toISOString();
const entry = (minutes: number, evidence: Evidence = 'suspected'): FenceLogEntry => ({
  at: minutesAgo(minutes),
  fenceId: `f-${minutes}`,
  victim: 'i-a',
  taker: 'i-b',
  evidence,
});
const live: Evidence[] = ['suspected', 'preempted'];
/** What host and guest do by themselves: a spot fleet may lose four nodes in an hour. */
const proofs: Evidence[] = ['clean', 'terminated', 'stopped', 'stopped-by-force', 'confirmed'];

describe('damping', () => {
  it('lets a volume be taken from possibly live owners three times an hour', () => {
    expect(dampedUntil([], now)).toBeUndefined();
    expect(dampedUntil([entry(1), entry(2)], now)).toBeUndefined();
    expect(dampedUntil([entry(1), entry(2), entry(59)], now)).toBe('2026-01-02T12:01:00.000Z');
    expect(dampedUntil([entry(1), entry(2), entry(60)], now)).toBeUndefined();
    expect(dampedUntil([entry(1), entry(2), entry(30), entry(50)], now)).toBe('2026-01-02T12:30:00.000Z');
  });

  it.each(live)('counts %s', (evidence) => {
    expect(actsOnLive(evidence)).toBe(true);
    expect(dampedUntil([entry(1), entry(2), entry(3, evidence)], now)).toBeDefined();
  });

  it.each(proofs)('does not count %s, however often', (evidence) => {
    expect(actsOnLive(evidence)).toBe(false);
    expect(
      dampedUntil(
        [...Array(9)].map((_, i) => entry(i, evidence)),
        now,
      ),
    ).toBeUndefined();
    expect(dampedUntil([entry(1), entry(2), entry(3, evidence)], now)).toBeUndefined();
  });

  it('is over when it says, whatever the order of the entries, and not a millisecond sooner', () => {
    const entries = fc.array(
      fc.tuple(fc.integer({ min: -10, max: 120 }), fc.constantFrom(...live, ...proofs)).map((each) => entry(...each)),
    );
    fc.assert(
      fc.property(entries, (list) => {
        const until = dampedUntil(list, now);
        expect(dampedUntil([...list].reverse(), now)).toBe(until);
        if (until === undefined) return;
        expect(Date.parse(until)).toBeGreaterThan(Date.parse(now));
        expect(dampedUntil(list, until)).toBeUndefined();
        expect(dampedUntil(list, new Date(Date.parse(until) - 1).toISOString())).toBe(until);
      }),
    );
  });

  it('counts every entry when the time is not known', () => {
    expect(dampedUntil([entry(100), entry(200), entry(300)], '')).toBeDefined();
  });
});
