import type { CallRecord } from '../../sandbox/calls.ts';
import type { Sandbox } from '../../sandbox/sandbox.ts';
import { whatHappened, whatItDoes } from './story.ts';

/** A sentence about what happened. */
export interface Told {
  /** RFC 3339. */
  readonly at: string;
  readonly text: string;
}

/** Somebody who listens; `changed` without words: EC2's state is another. */
export interface Listener {
  readonly told?: (told: Told) => void;
  readonly called?: (call: CallRecord) => void;
  readonly changed?: () => void;
}

const kept = 200;

/** What happens in a sandbox from now on: its last sentences and calls, and all of it to those who listen. */
export class Chronicle {
  readonly told: Told[] = [];
  readonly calls: CallRecord[] = [];
  readonly #listeners = new Set<Listener>();

  /** @param docker whether Docker on this machine is served */
  constructor(sandbox: Pick<Sandbox, 'watch' | 'state'>, docker: boolean) {
    sandbox.watch({
      changed: (before, after) => {
        for (const text of whatHappened(before, after, docker)) this.tell(text);
        for (const { changed } of this.#listeners) changed?.();
      },
      called: (call) => {
        const text = whatItDoes(call, sandbox.state());
        if (text !== undefined) this.tell(text);
        keep(this.calls, call);
        for (const { called } of this.#listeners) called?.(call);
      },
    });
  }

  /** Gives what ends it. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Says what happened now. */
  tell(text: string): void {
    const told = { at: new Date().toISOString(), text };
    keep(this.told, told);
    for (const listener of this.#listeners) listener.told?.(told);
  }
}

function keep<T>(list: T[], one: T): void {
  list.push(one);
  if (list.length > kept) list.shift();
}
