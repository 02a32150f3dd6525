/** One EC2 call as it went. */
export interface CallRecord {
  readonly time: string;
  readonly action: string;
  readonly volume: string | undefined;
  readonly instance: string | undefined;
  /** The instance whose credentials signed it. */
  readonly caller: string | undefined;
  /** "OK", an error code, or "dropped". */
  readonly result: string;
}

/** All EC2 calls since the start or the last reset. */
export class CallLog {
  #calls: CallRecord[] = [];
  readonly #added: (call: CallRecord) => void;

  /** `added` is told of each call. */
  constructor(added: (call: CallRecord) => void = () => {}) {
    this.#added = added;
  }

  add(call: CallRecord): void {
    this.#calls.push(call);
    this.#added(call);
  }

  reset(): void {
    this.#calls = [];
  }

  /** The calls in order. */
  list(): readonly CallRecord[] {
    return this.#calls;
  }

  /** How many calls each action had, refused ones too. */
  counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { action } of this.#calls) counts[action] = (counts[action] ?? 0) + 1;
    return counts;
  }
}
