import { shellWord } from '../../errors.ts';
import { operation } from '../../log.ts';
import type { Held } from '../state/held.ts';
import { rescueOf } from '../state/holders.ts';
import { keep, type Node } from '../state/node.ts';
import { agree, unmounted } from './agree.ts';
import { seenUse, stillUsed, unmountOurs } from './detach.ts';

/** A container gets its mount within seconds of the last Mount call; before this its holders are not judged. */
const youngMs = 30_000;
const startMs = 10_000;

/** `ended`: the volume has lost its last holder by this. Otherwise why it keeps them, as a clause. */
type SweepOutcome = 'ended' | { readonly keptBy: string };

/**
 * The held volumes whose holders may be judged now and that no process is seen to use. All processes are looked at once
 * for all volumes, and not at all while every engine runs.
 */
export async function abandoned(node: Node): Promise<string[]> {
  const judged: Held[] = [];
  for (const held of node.held.values()) if ((await tooEarly(node, held)) === undefined) judged.push(held);
  if (judged.length === 0) return [];
  const userOf = await node.host.lookElsewhere();
  const names: string[] = [];
  for (const held of judged) {
    // What cannot be looked at here is told of in its own turn.
    const use = held.phase === 'mounted' ? await seenUse(node, held, userOf).catch(() => undefined) : undefined;
    if (use === undefined) names.push(held.name);
  }
  return names;
}

/**
 * Ends holders whose containers are gone: an engine, once killed, never sends their Unmount. While the process that asked
 * for the mount runs, it alone can tell: it may be filling the volume (dockerd copies an image's directory into a new one,
 * file by file) without a container or an open file to be seen. A caller without an id may use the directory at any time
 * after it has ended, so that only a drain judges it. Runs in the volume's queue.
 */
export async function sweepHolders(node: Node, name: string): Promise<SweepOutcome> {
  const before = node.held.get(name);
  const early = before === undefined ? 'nobody' : await tooEarly(node, before);
  if (early !== undefined) return { keptBy: early };
  const held = await agree(node, name);
  if (held === undefined || held.holders.length === 0) return { keptBy: 'nobody' };
  const blockedBy = held.phase === 'mounted' ? await unmountOurs(node, held) : undefined;
  if (blockedBy !== undefined) return { keptBy: blockedBy };
  const usedBy = await stillUsed(node, held);
  if (usedBy !== undefined) {
    await keep(node, unmounted(held));
    return { keptBy: usedBy };
  }
  node.log.warn(
    { volume: name, volumeId: held.volume.id, holders: held.holders },
    'nothing on this machine uses it any more, though its holders never said so: releasing it',
  );
  await keep(node, { ...unmounted(held), holders: [] });
  return 'ended';
}

/**
 * Looks at volumes again and again, each in its own turn: one that is stuck delays no other, and is not queued for twice.
 * @param op what the log calls such a look.
 * @returns asks for a look at a volume, unless one is still to come or under way; it ends with it, and fails with it.
 */
export function createLooks(
  { queue }: Pick<Node, 'queue'>,
  op: string,
  look: (name: string) => Promise<void>,
): (name: string) => Promise<void> {
  const asked = new Set<string>();
  return async (name) => {
    if (asked.has(name)) return;
    asked.add(name);
    try {
      await operation.run({ op, volume: name }, () => queue.run(name, () => look(name)));
    } finally {
      asked.delete(name);
    }
  };
}

/** Why its holders cannot be judged yet, as a clause; undefined when they can. */
async function tooEarly(node: Node, { name, phase, holders }: Held): Promise<string | undefined> {
  if (phase !== 'mounted' && phase !== 'attached') return `what was begun with it (${phase})`;
  if (holders.length === 0) return 'nobody';
  if (rescueOf({ holders }) !== undefined)
    return `a rescue (docker-volume-ebs rescue ${shellWord(name)} --end ends it)`;
  if (node.drain.now === undefined && holders.some(({ id }) => id === null)) {
    return 'a caller without an id, who may use it at any time';
  }
  const { lastOf, began } = node.mountCalls;
  const young = performance.now() - (lastOf.get(name) ?? began) <= youngMs;
  if (young || mayBeStarting(node)) return 'a container that may be about to start with it';
  return engineOf(node, holders);
}

/** An engine that still runs and has not ended its mount, as a clause. */
async function engineOf({ host }: Node, holders: Held['holders']): Promise<string | undefined> {
  for (const { engine } of holders) {
    if (engine !== undefined && (await host.isRunning(engine))) {
      const who = engine.pid === 0 ? 'an engine that cannot be seen from here' : `process ${engine.pid}`;
      return `${who}, which asked for its mount and has not said that it is done`;
    }
  }
  return undefined;
}

/**
 * dockerd mounts the volumes of a container one after another, however long one takes, and starts it after the last.
 * While draining, a Mount in hand will be refused, and starts nothing.
 */
function mayBeStarting({ mountCalls, drain }: Node): boolean {
  const inHand = drain.now === undefined ? mountCalls.inHand : 0;
  return inHand > 0 || performance.now() - mountCalls.lastEnd < startMs;
}
