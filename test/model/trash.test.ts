import { describe, expect, it } from 'vitest';
import { safe, searchTrash, surpriseOf, weakened } from './trash.ts';

describe('the protocols of the trash, as production has them', () => {
  it.each(safe.filter(({ large }) => !large))('violate nothing, and end: $name', (variant) => {
    expect(surpriseOf(variant, searchTrash(variant))).toBeUndefined();
  });

  it.each(weakened)('have a counterexample: $name', (variant) => {
    expect(surpriseOf(variant, searchTrash(variant))).toBeUndefined();
  });
});
