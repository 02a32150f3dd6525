import { describe, expect, it } from 'vitest';
import { alive, safe, weakened } from './intents.ts';
import { mounted, type State } from './state.ts';
import { searchVariant, surprise } from './variants.ts';

describe('intents and quarantine', () => {
  it.each(safe)('violate nothing: $name', (variant) => {
    expect(surprise(variant, searchVariant(variant, variant.bounds))).toBeUndefined();
  });

  it.each(weakened)('have a counterexample: $name', (variant) => {
    expect(surprise(variant, searchVariant(variant, variant.bounds))).toBeUndefined();
  });
});

describe('with A down and no further crash', () => {
  const isDown = ({ holder }: State) => holder.power === 'stopped';
  const isTaken = ({ takers }: State) => takers.some(({ at }) => at === mounted);
  const byTakers = (did: string) => !did.startsWith('A ') && !did.includes('crashes');

  it('a taker can still mount, from every state', () => {
    const found = searchVariant(alive, alive.bounds, { keeps: byTakers });
    expect(found.stuck(isDown, isTaken)).toEqual([]);
  });

  it('which says something: most of those states have no mount yet, and without the takers all of them are stuck', () => {
    const found = searchVariant(alive, alive.bounds, { keeps: () => false });
    const waiting = found.count((state) => isDown(state) && !isTaken(state));
    expect(waiting).toBeGreaterThan(1000);
    expect(found.stuck(isDown, isTaken)).toHaveLength(waiting);
    expect(found.count(isTaken)).toBeGreaterThan(1000);
  });
});
