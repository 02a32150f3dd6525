import type { SandboxNode } from '../../../sandbox/sandbox.ts';
import type { NodeStatus } from '../../../volumes/types.ts';
import { callDriver } from '../../dvdi-client.ts';
import type { Look } from './view.ts';

const everyMs = 1000;

/** What the drivers of the running nodes say of themselves, asked every second: it costs no EC2 call. */
export class Looks {
  readonly seen = new Map<string, Look>();
  readonly #nodes: () => readonly SandboxNode[];
  readonly #changed: () => void;
  readonly #asked = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(nodes: () => readonly SandboxNode[], changed: () => void) {
    this.#nodes = nodes;
    this.#changed = changed;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#look(), everyMs);
    this.#look();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const nodes = this.#nodes();
    for (const id of this.seen.keys()) if (!nodes.some(({ instanceId }) => instanceId === id)) this.seen.delete(id);
    for (const { instanceId, socket } of nodes) {
      // A driver that has not answered the last question is not asked another.
      if (this.#asked.has(instanceId)) this.#note(instanceId, undefined);
      else void this.#ask(instanceId, socket);
    }
  }

  async #ask(instanceId: string, socket: string): Promise<void> {
    this.#asked.add(instanceId);
    const status = await callDriver(socket, 'Ebs.Status').catch(() => undefined);
    this.#asked.delete(instanceId);
    this.#note(instanceId, status as NodeStatus | undefined);
  }

  #note(instanceId: string, answer: NodeStatus | undefined): void {
    const look: Look = { answers: answer !== undefined, status: answer ?? this.seen.get(instanceId)?.status };
    const same = JSON.stringify(this.seen.get(instanceId)) === JSON.stringify(look);
    this.seen.set(instanceId, look);
    if (!same) this.#changed();
  }
}
