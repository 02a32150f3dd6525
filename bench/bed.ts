import { setTimeout as sleep } from 'node:timers/promises';
import { callDriver } from '../src/cli/dvdi-client.ts';
import type { Sandbox, SandboxNode } from '../src/sandbox/sandbox.ts';
import { ec2Time, type Sample } from './sample.ts';

/** Nothing happens any more when EC2 hears nothing for this long. */
const quietMs = 600;
const lookMs = 10;
const waitMs = 120_000;

/** A running sandbox to measure in. Its own looks at EC2's state are no EC2 calls. */
export interface Bed {
  readonly sandbox: Sandbox;
  node(which?: number): SandboxNode;
  /** Calls a verb of a node's driver, as "Mount". @throws Error with the driver's message */
  call(node: SandboxNode, verb: string, body?: object): Promise<Record<string, unknown>>;
  mount(node: SandboxNode, name: string, id?: string): Promise<unknown>;
  unmount(node: SandboxNode, name: string, id?: string): Promise<unknown>;
  /** Times `work`, and counts the nodes' calls until `after` has passed too. */
  measure(work: () => Promise<unknown>, after?: () => Promise<unknown>): Promise<Sample>;
  /** Waits until EC2 has heard nothing for a while: at its start a daemon asks once what it has. */
  quiet(): Promise<void>;
  /** Waits for something in the sandbox's memory. @throws Error when it has not come in two minutes */
  until(what: string, isSo: () => boolean): Promise<void>;
  /** Waits until every attachment made so far has ended. */
  detached(): Promise<void>;
}

export function bedIn(sandbox: Sandbox): Bed {
  const nodeCalls = () => sandbox.callList().filter(({ caller }) => caller !== undefined);
  const call: Bed['call'] = (node, verb, body) => callDriver(node.socket, `VolumeDriver.${verb}`, body);
  const bed: Bed = {
    sandbox,
    node(which = 0) {
      const found = sandbox.nodes()[which];
      if (found === undefined) throw new Error(`the sandbox has no running node ${which}`);
      return found;
    },
    call,
    mount: (node, name, id = 'bench') => call(node, 'Mount', { Name: name, ID: id }),
    unmount: (node, name, id = 'bench') => call(node, 'Unmount', { Name: name, ID: id }),
    async measure(work, after = async () => {}) {
      const before = nodeCalls().length;
      const from = Date.now();
      const start = performance.now();
      await work();
      const wallMs = performance.now() - start;
      const to = Date.now();
      await after();
      const calls = nodeCalls().slice(before);
      return { wallMs, calls, ec2Ms: ec2Time(calls, sandbox.moments(), { from, to }) };
    },
    async quiet() {
      for (let before = -1, now = 0; before !== now; now = sandbox.callList().length) {
        before = now;
        await sleep(quietMs);
      }
    },
    async until(what, isSo) {
      const deadline = Date.now() + waitMs;
      while (!isSo()) {
        if (Date.now() > deadline) throw new Error(`waited ${waitMs / 1000} s in vain for ${what}`);
        await sleep(lookMs);
      }
    },
    async detached() {
      const count = (what: string) => sandbox.moments().filter((moment) => moment.what === what).length;
      await bed.until('every volume to be detached', () => count('detached') >= count('plugged'));
      await bed.quiet();
    },
  };
  return bed;
}

/** Does `work` for 0 to `count` - 1, up to `width` of them at a time. */
export async function inParallel(count: number, width: number, work: (index: number) => Promise<unknown>) {
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const index = next;
      next += 1;
      await work(index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, count) }, worker));
}
