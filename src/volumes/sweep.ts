import { agree, unmounted } from './agree.ts';
import { stillUsed, unmountOurs } from './detach.ts';
import type { Held } from './held.ts';
import { mountHeld } from './mount.ts';
import { keep, type Node } from './node.ts';

/** A container gets its mount within seconds of its last Mount call; before this its holders are not judged. */
const youngMs = 30_000;
const startMs = 10_000;

/**
 * Ends holders whose containers are gone: dockerd, once killed, never sends their Unmount. Only
 * ids of Docker are judged, each of which stands for a container with a mount namespace of its own; a caller without an
 * id may use the directory at any time. Runs in the volume's queue.
 * @returns true when the volume has lost its last holder by this.
 */
export async function sweepHolders(node: Node, name: string): Promise<boolean> {
  const before = node.held.get(name);
  if (before === undefined || !mayBeDead(before) || mayBeStarting(node)) return false;
  const held = await agree(node, name);
  if (held === undefined || held.holders.length === 0) return false;
  if (held.phase === 'mounted' && (await unmountOurs(node, held)) !== undefined) return false;
  if ((await stillUsed(node, held)) !== undefined) {
    // In use where we cannot look (a plugin's own PID namespace hides containers): our mount goes back.
    if (held.phase === 'mounted') await mountHeld(node, await keep(node, unmounted(held)));
    return false;
  }
  node.log.warn(
    { volume: name, volumeId: held.volume.id, holders: held.holders },
    'nothing on this machine uses it any more, though its holders never said so: releasing it',
  );
  await keep(node, { ...unmounted(held), holders: [] });
  return true;
}

/** dockerd mounts the volumes of a container one after another, however long one takes, and starts it after the last. */
function mayBeStarting({ mountCalls }: Node): boolean {
  return mountCalls.inHand > 0 || Date.now() - mountCalls.lastEnd < startMs;
}

function mayBeDead({ phase, holders }: Held): boolean {
  if (phase !== 'mounted' && phase !== 'attached') return false;
  const now = Date.now();
  return holders.length > 0 && holders.every(({ id, since }) => id !== null && now - Date.parse(since) > youngMs);
}
