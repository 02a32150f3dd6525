/** When the effect of an accepted call was there. */
export interface Moment {
  /**
   * `created`: the volume is available. `plugged`: its disk is on the machine; `attached`: EC2 says so, a little later.
   * `detached`: the volume is free.
   */
  readonly what: 'created' | 'plugged' | 'attached' | 'detached';
  readonly volume: string;
  /** Milliseconds since 1970, by this machine's clock. */
  readonly at: number;
}

/** Every moment since the start, in order: what a measurement subtracts as EC2's own time. */
export class Moments {
  readonly #moments: Moment[] = [];

  mark(what: Moment['what'], volume: string): void {
    this.#moments.push({ what, volume, at: Date.now() });
  }

  list(): readonly Moment[] {
    return this.#moments;
  }
}
