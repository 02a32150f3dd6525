/**
 * Explicit-state search, breadth first: every state that a model can reach, each once. States are rows of 16-bit cells in
 * one growing array, found again through an open-addressing hash table, so that ten million of them fit in a gigabyte.
 */

/** Takes one step of a model: the state after it, what was done, and which invariants the step itself breaks. */
export type Emit<S> = (next: S, did: string, broken?: readonly string[]) => void;

export interface Model<S> {
  /** 16-bit cells of a row. */
  readonly width: number;
  readonly initial: S;
  /** Writes a state to the row at `at`; equal states give equal rows. */
  encode(state: S, rows: Uint16Array, at: number): void;
  decode(rows: Uint16Array, at: number): S;
  /** All steps that can be taken from a state, in a fixed order. */
  steps(state: S, emit: Emit<S>): void;
}

export interface SearchOptions {
  /** The invariants whose first violation ends the search; steps that break others are taken. */
  readonly watched?: readonly string[];
  /** More states than this is an error: a model that grows without bound must not eat the machine. */
  readonly maxStates?: number;
  /** Which steps {@link Explored.stuck} may use; none are kept unless given. */
  readonly keeps?: (did: string) => boolean;
}

export interface Violation {
  /** All that the last step breaks, as "I2 I3". */
  readonly invariants: string;
  /** What was done, from the initial state on; as short as any. */
  readonly trace: readonly string[];
}

export interface Explored<S> {
  /** States seen; all of them when nothing was violated. */
  readonly states: number;
  readonly violation: Violation | undefined;
  /** How many of the states satisfy a predicate. */
  count(which: (state: S) => boolean): number;
  /** States satisfying `from` out of which kept steps never lead to one that satisfies `goal`. */
  stuck(from: (state: S) => boolean, goal: (state: S) => boolean): S[];
}

/** @throws Error when there are more than `maxStates`. */
export function explore<S>(model: Model<S>, options: SearchOptions = {}): Explored<S> {
  const { watched = [], maxStates = 30_000_000, keeps } = options;
  const seen = createStateSet(model.width, maxStates);
  const parents = new Numbers();
  const edges = { from: new Numbers(), to: new Numbers() };
  const scratch = new Uint16Array(model.width);
  const stateAt = (index: number): S => model.decode(seen.rows(), index * model.width);
  let expanding = 0;
  let violation: Violation | undefined;

  const visit: Emit<S> = (next, did, broken) => {
    if (violation !== undefined) return;
    if (broken?.some((each) => watched.includes(each))) {
      violation = { invariants: broken.join(' '), trace: [...traceTo(expanding), did] };
      return;
    }
    model.encode(next, scratch, 0);
    const index = seen.add(scratch);
    if (index === parents.length) parents.push(expanding);
    if (keeps?.(did)) {
      edges.from.push(expanding);
      edges.to.push(index);
    }
  };

  /** The steps are not kept: each is found again as the first one that leads from a state to the next of the path. */
  const traceTo = (index: number): string[] => {
    const path: number[] = [];
    for (let at = index; at >= 0; at = parents.at(at)) path.unshift(at);
    return path.slice(1).map((to, position) => stepBetween(path[position] ?? 0, to));
  };
  const stepBetween = (from: number, to: number): string => {
    const row = new Uint16Array(model.width);
    let found: string | undefined;
    model.steps(stateAt(from), (next, did) => {
      model.encode(next, row, 0);
      if (seen.find(row) === to) found ??= did;
    });
    return found ?? '?';
  };

  model.encode(model.initial, scratch, 0);
  parents.push(-1);
  for (seen.add(scratch); expanding < seen.size() && violation === undefined; expanding++) {
    model.steps(stateAt(expanding), visit);
  }

  return {
    states: seen.size(),
    violation,
    count: (which) => indices(seen.size()).filter((index) => which(stateAt(index))).length,
    stuck: (from, goal) => {
      const reaching = backwards(seen.size(), edges, (index) => goal(stateAt(index)));
      return indices(seen.size())
        .filter((index) => reaching[index] === 0 && from(stateAt(index)))
        .map(stateAt);
    },
  };
}

const indices = (length: number): number[] => Array.from({ length }, (_, index) => index);

/** Marks with 1 every state from which steps lead to a goal. */
function backwards(
  size: number,
  edges: { from: Numbers; to: Numbers },
  isGoal: (index: number) => boolean,
): Uint8Array {
  const first = new Int32Array(size).fill(-1);
  const next = new Int32Array(edges.to.length);
  for (let edge = 0; edge < edges.to.length; edge++) {
    next[edge] = first[edges.to.at(edge)]!;
    first[edges.to.at(edge)] = edge;
  }
  const reaching = new Uint8Array(size);
  const queue = indices(size).filter(isGoal);
  for (const index of queue) reaching[index] = 1;
  for (let head = 0; head < queue.length; head++) {
    for (let edge = first[queue[head]!]!; edge >= 0; edge = next[edge]!) {
      const before = edges.from.at(edge);
      if (reaching[before] === 1) continue;
      reaching[before] = 1;
      queue.push(before);
    }
  }
  return reaching;
}

/** A growing list of 32-bit integers. */
class Numbers {
  length = 0;
  #items = new Int32Array(1024);

  push(item: number): void {
    if (this.length === this.#items.length) {
      const larger = new Int32Array(this.length * 2);
      larger.set(this.#items);
      this.#items = larger;
    }
    this.#items[this.length++] = item;
  }

  at(index: number): number {
    return this.#items[index]!;
  }
}

function createStateSet(width: number, maxStates: number) {
  let rows = new Uint16Array(width * 4096);
  let table = new Int32Array(16_384).fill(-1);
  let size = 0;

  const slotOf = (row: Uint16Array, at: number): number => {
    const mask = table.length - 1;
    let slot = hash(row, at, width) & mask;
    for (let index = table[slot]!; index >= 0; index = table[slot]!) {
      if (same(rows, index * width, row, at, width)) return slot;
      slot = (slot + 1) & mask;
    }
    return slot;
  };
  const grow = (): void => {
    if (size >= maxStates) throw new Error(`more than ${maxStates} states`);
    if ((size + 1) * width > rows.length) {
      const larger = new Uint16Array(Math.ceil((rows.length * 1.6) / width) * width);
      larger.set(rows);
      rows = larger;
    }
    if (size * 2 < table.length) return;
    table = new Int32Array(table.length * 2).fill(-1);
    for (let index = 0; index < size; index++) table[slotOf(rows, index * width)] = index;
  };

  return {
    size: () => size,
    rows: () => rows,
    /** The index of the state in this row, -1 for an unknown one. */
    find: (row: Uint16Array) => table[slotOf(row, 0)]!,
    /** The index of the state in this row, which is the next free one when it is new. */
    add(row: Uint16Array): number {
      const known = table[slotOf(row, 0)]!;
      if (known >= 0) return known;
      grow();
      table[slotOf(row, 0)] = size;
      rows.set(row, size * width);
      return size++;
    },
  };
}

/** Murmur-like mixing: neighbouring states must not fall into neighbouring slots. */
function hash(row: Uint16Array, at: number, width: number): number {
  let mixed = 0x9747b28c;
  for (let cell = at; cell < at + width; cell++) {
    mixed = Math.imul(mixed ^ row[cell]!, 0x5bd1e995);
    mixed ^= mixed >>> 15;
  }
  mixed = Math.imul(mixed, 0x27d4eb2d);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}

function same(left: Uint16Array, at: number, right: Uint16Array, rightAt: number, width: number): boolean {
  for (let cell = 0; cell < width; cell++) {
    if (left[at + cell] !== right[rightAt + cell]) return false;
  }
  return true;
}
