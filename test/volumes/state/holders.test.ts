import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addHolder, type Holder, removeHolder } from '../../../src/volumes/state/holders.ts';

const now = new Date('2026-01-02T03:04:05.678Z');
const caller = fc.option(fc.constantFrom('a', 'b', 'c', ''), { nil: undefined });
const holders = fc
  .array(caller)
  .map((callers) => callers.reduce<readonly Holder[]>((list, id) => addHolder(list, id, now), []));

describe('holders', () => {
  it('adding one twice is adding it once, and makes it young again', () => {
    fc.assert(
      fc.property(holders, caller, (list, id) => {
        const once = addHolder(list, id, now);
        const later = new Date(now.getTime() + 1000);
        const twice = addHolder(once, id, later);
        expect(twice.map((holder) => holder.id)).toEqual(once.map((holder) => holder.id));
        expect(twice.find((holder) => holder.id === (id ?? null))?.since).toBe(later.toISOString());
      }),
    );
  });

  it('removing an unknown one changes nothing', () => {
    fc.assert(
      fc.property(holders, (list) => {
        expect(removeHolder(list, 'unknown')).toEqual(list);
      }),
    );
  });

  it('removing one undoes adding it and leaves the others in order', () => {
    fc.assert(
      fc.property(holders, caller, (list, id) => {
        const others = list.filter((holder) => holder.id !== (id ?? null));
        expect(removeHolder(addHolder(list, id, now), id)).toEqual(others);
      }),
    );
  });

  it('are a set, whatever the order of mounts and unmounts', () => {
    const step = fc.record({ add: fc.boolean(), id: caller });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const model = new Set<string | null>();
        let list: readonly Holder[] = [];
        for (const { add, id } of steps) {
          list = add ? addHolder(list, id, now) : removeHolder(list, id);
          if (add) model.add(id ?? null);
          else model.delete(id ?? null);
        }
        expect(new Set(list.map(({ id }) => id))).toEqual(model);
        expect(list).toHaveLength(model.size);
      }),
    );
  });

  it('all callers without an id are one', () => {
    const both = addHolder(addHolder([], undefined, now), undefined, now);
    expect(both).toEqual([{ id: null, since: '2026-01-02T03:04:05.678Z' }]);
    expect(removeHolder(both, undefined)).toEqual([]);
  });

  it('the list given is left as it is', () => {
    const before = Object.freeze([{ id: 'a', since: 'then' }]);
    addHolder(before, 'b', now);
    removeHolder(before, 'a');
    expect(before).toEqual([{ id: 'a', since: 'then' }]);
  });
});
