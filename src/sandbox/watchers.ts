import type { CallRecord } from './calls.ts';
import type { CloudState } from './model.ts';

/** Somebody who is told what happens in a sandbox while it happens. */
export interface Watcher {
  /** EC2's state has changed, from one to the other; both are copies. */
  changed(before: CloudState, after: CloudState): void;
  /** An EC2 call was answered or refused. */
  called(call: CallRecord): void;
}

/** All who watch a sandbox. */
export class Watchers {
  readonly #watchers = new Set<Watcher>();

  /** Gives what ends it. */
  add(watcher: Watcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** The state before and after a change, as JSON. */
  changed(before: string, after: string): void {
    for (const watcher of this.#watchers) watcher.changed(JSON.parse(before), JSON.parse(after));
  }

  called(call: CallRecord): void {
    for (const watcher of this.#watchers) watcher.called(call);
  }
}
