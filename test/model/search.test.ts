import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { modelOf } from './model.ts';
import { explore, type Model } from './search.ts';
import { decode, encode, type State } from './state.ts';
import { joint, within } from './variants.ts';

/** The sliding puzzle on 3 by 3 squares; a move is named after the piece that moves, 0 is the empty square. */
function puzzle(begin: string, sought: string): Model<string> {
  const neighbours = (at: number) =>
    [at % 3 > 0 ? at - 1 : -1, at % 3 < 2 ? at + 1 : -1, at - 3, at + 3].filter((to) => to >= 0 && to < 9);
  return {
    width: 9,
    initial: begin,
    encode: (state, rows, at) => rows.set([...state].map(Number), at),
    decode: (rows, at) => rows.subarray(at, at + 9).join(''),
    steps: (state, emit) => {
      for (const at of neighbours(state.indexOf('0'))) {
        const piece = state[at] ?? '';
        const next = state.replace('0', 'x').replace(piece, '0').replace('x', piece);
        emit(next, piece, next === sought ? ['sought'] : []);
      }
    },
  };
}

/** A graph as a model: a state is a node's number. */
function graph(edges: readonly (readonly [number, number])[]): Model<number> {
  return {
    width: 2,
    initial: 0,
    encode: (state, rows, at) => rows.set([state, 7], at),
    decode: (rows, at) => rows[at] ?? 0,
    steps: (state, emit) => {
      for (const [from, to] of edges) if (from === state) emit(to, `${from} to ${to}`, to === 99 ? ['bad'] : []);
    },
  };
}

describe('the search', () => {
  it('finds the 181440 states of the sliding puzzle', () => {
    expect(explore(puzzle('123456780', '')).states).toBe(181_440);
  });

  it('solves the hardest one in 31 moves, and tells which', () => {
    const { violation } = explore(puzzle('867254301', '123456780'), { watched: ['sought'] });
    expect(violation?.trace).toHaveLength(31);
    const solved = violation?.trace.reduce(
      (state, piece) => state.replace('0', 'x').replace(piece, '0').replace('x', piece),
      '867254301',
    );
    expect(solved).toBe('123456780');
  });

  it('reaches what is reachable, and says from where a goal is not', () => {
    const anyEdge = fc.tuple(fc.nat(30), fc.nat(30));
    const closure = (edges: readonly (readonly [number, number])[], first: number): Set<number> => {
      const reached = new Set([first]);
      for (const from of reached) for (const [left, right] of edges) if (left === from) reached.add(right);
      return reached;
    };
    fc.assert(
      fc.property(fc.array(anyEdge, { maxLength: 60 }), fc.nat(30), (edges, goal) => {
        const found = explore(graph(edges), { keeps: () => true });
        const reached = [...closure(edges, 0)];
        expect(found.states).toBe(reached.length);
        const stuck = reached.filter((node) => !closure(edges, node).has(goal));
        expect(
          found
            .stuck(
              () => true,
              (node) => node === goal,
            )
            .sort(),
        ).toEqual(stuck.sort());
      }),
    );
  });

  it('takes a step that breaks only what is not watched', () => {
    const edges = [
      [0, 99],
      [99, 1],
    ] as const;
    expect(explore(graph(edges), { watched: ['other'] })).toMatchObject({ states: 3, violation: undefined });
    expect(explore(graph(edges), { watched: ['bad'] }).violation?.trace).toEqual(['0 to 99']);
  });

  it('refuses to grow beyond its bound', () => {
    expect(() => explore(puzzle('123456780', ''), { maxStates: 1000 })).toThrow('more than 1000 states');
  });
});

describe('the model', () => {
  const bounds = within({ boots: 1, releases: 1, attaches: 1, sleeps: 1, sameSecond: true, lateAttach: true });
  const model = modelOf(joint, { ...bounds, graceful: true });

  it('loses nothing of a state in its row', () => {
    const row = new Uint16Array(model.width);
    const checked: Model<State> = {
      ...model,
      steps: (state, emit) =>
        model.steps(state, (next, did, broken) => {
          encode(next, row, 0);
          if (emitted++ % 50 === 0) expect(decode(row, 0)).toEqual(next);
          emit(next, did, broken);
        }),
    };
    let emitted = 0;
    expect(() => explore(checked, { maxStates: 20_000 })).toThrow('more than');
    expect(emitted).toBeGreaterThan(20_000);
  });

  it('notices when EC2 gives a volume to two nodes', () => {
    const planted = modelOf({ ...joint, attachesTwice: true }, bounds);
    expect(explore(planted, { watched: ['I1'] }).violation).toEqual({
      invariants: 'I1',
      trace: ['B attaches and mounts'],
    });
  });

  it('notices a detach planted under a mount', () => {
    const planted: Model<State> = {
      ...model,
      steps: (state, emit) => {
        model.steps(state, emit);
        if (state.holder.phase === 'mounted' && state.leases === 2 && state.detaches.length === 0) {
          emit({ ...state, detaches: [state.holder.lease] }, 'somebody pulls the disk');
        }
      },
    };
    const { violation } = explore(planted, { watched: ['I2'] });
    expect(violation?.invariants).toBe('I2');
    expect(violation?.trace.slice(-2)).toEqual(['somebody pulls the disk', 'EC2 detaches the volume from A']);
  });
});
