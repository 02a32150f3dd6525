import { describe, expect, it } from 'vitest';
import { safe, weakened } from './rollback.ts';
import { searchTrash, surpriseOf } from './trash.ts';

describe('a rollback, as production has it', () => {
  it.each(safe.filter(({ large }) => !large))('violates nothing, and ends: $name', (variant) => {
    expect(surpriseOf(variant, searchTrash(variant))).toBeUndefined();
  });

  it.each(weakened)('has a counterexample: $name', (variant) => {
    expect(surpriseOf(variant, searchTrash(variant))).toBeUndefined();
  });
});
