import { describe, expect, it } from 'vitest';
import { safe, weakened } from './commitment.ts';
import { mounted, type State } from './state.ts';
import { joint, searchVariant, surprise } from './variants.ts';

describe('the commitment rules, as production has them', () => {
  it.each(safe)('violate nothing: $name', (variant) => {
    expect(surprise(variant, searchVariant(variant, variant.bounds))).toBeUndefined();
  });

  it.each(weakened)('have a counterexample: $name', (variant) => {
    expect(surprise(variant, searchVariant(variant, variant.bounds))).toBeUndefined();
  });
});

describe('with A stopped', () => {
  const variant = { name: 'liveness', protocol: joint, bounds: { boots: 1, releases: 1, attaches: 1 } };
  const isStopped = ({ holder }: State) => holder.power === 'stopped';
  const isTaken = ({ takers }: State) => takers.some(({ at }) => at === mounted);
  const isBack = ({ holder, leases }: State) => holder.phase === 'mounted' && leases > 1;

  it('a taker can mount from every state, whatever was read before', () => {
    const found = searchVariant(variant, variant.bounds, { keeps: (did) => !did.startsWith('A ') });
    expect(found.stuck(isStopped, isTaken)).toEqual([]);
    expect(found.count((state) => isStopped(state) && !isTaken(state))).toBeGreaterThan(1000);
    expect(found.count((state) => isBack(state) && !isTaken(state))).toBeGreaterThan(100);
  });
});
