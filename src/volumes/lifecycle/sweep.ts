import { operation } from '../../log.ts';
import type { Held } from '../state/held.ts';
import { keep, type Node } from '../state/node.ts';
import { agree, unmounted } from './agree.ts';
import { stillUsed, unmountOurs } from './detach.ts';
import { mountHeld } from './mount.ts';

/** A container gets its mount within seconds of its last Mount call; before this its holders are not judged. */
const youngMs = 30_000;
const startMs = 10_000;

/** `ended`: the volume has lost its last holder by this. Otherwise why it keeps them, as a clause. */
type SweepOutcome = 'ended' | { readonly keptBy: string };

/**
 * Ends holders whose containers are gone: dockerd, once killed, never sends their Unmount. Only
 * ids of Docker are judged, each of which stands for a container with a mount namespace of its own; a caller without an
 * id may use the directory at any time, so that only a drain judges it. Runs in the volume's queue.
 */
export async function sweepHolders(node: Node, name: string): Promise<SweepOutcome> {
  const before = node.held.get(name);
  const early = before === undefined ? 'nobody' : tooEarly(node, before);
  if (early !== undefined) return { keptBy: early };
  const held = await agree(node, name);
  if (held === undefined || held.holders.length === 0) return { keptBy: 'nobody' };
  const blockedBy = held.phase === 'mounted' ? await unmountOurs(node, held) : undefined;
  if (blockedBy !== undefined) return { keptBy: blockedBy };
  const usedBy = await stillUsed(node, held);
  if (usedBy !== undefined) {
    // In use where we cannot look (a plugin's own PID namespace hides containers): our mount goes back.
    if (held.phase === 'mounted') await mountHeld(node, await keep(node, unmounted(held)));
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
function tooEarly(node: Node, { phase, holders }: Held): string | undefined {
  if (phase !== 'mounted' && phase !== 'attached') return `what was begun with it (${phase})`;
  if (holders.length === 0) return 'nobody';
  if (node.drain.now === undefined && holders.some(({ id }) => id === null)) {
    return 'a caller without an id, who may use it at any time';
  }
  const now = Date.now();
  const young = holders.some(({ since }) => now - Date.parse(since) <= youngMs);
  return young || mayBeStarting(node) ? 'a container that may be about to start with it' : undefined;
}

/**
 * dockerd mounts the volumes of a container one after another, however long one takes, and starts it after the last.
 * While draining, a Mount in hand will be refused, and starts nothing.
 */
function mayBeStarting({ mountCalls, drain }: Node): boolean {
  const inHand = drain.now === undefined ? mountCalls.inHand : 0;
  return inHand > 0 || performance.now() - mountCalls.lastEnd < startMs;
}
