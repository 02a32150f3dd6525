import type { Held } from '../state/held.ts';
import { rescueOf } from '../state/holders.ts';
import { keep, type Node, rescuePathOf } from '../state/node.ts';
import { agree, unmounted } from './agree.ts';
import { detachIdle, makeIdle } from './detach.ts';

/** How it stands with a volume after {@link release}: given back, held by somebody, or kept by something. */
type ReleaseOutcome = 'done' | 'held' | { readonly blockedBy: string };

/**
 * Gives a volume that nobody holds back to EC2: unmount, clean tag, detach, each journalled before. Resumable at any
 * step. Runs in the volume's queue.
 * @param leaving is called between the unmount and the detach, while nothing uses the disk and it is still this node's.
 */
export async function release(node: Node, name: string, leaving?: Node['leaving']): Promise<ReleaseOutcome> {
  const outcome = await idle(node, name);
  const held = node.held.get(name);
  if (outcome !== 'done' || held === undefined) return outcome;
  await leaving?.(held);
  await detachIdle(node, await keep(node, { ...unmounted(node.held.get(name) ?? held), phase: 'detaching' }));
  return 'done';
}

/**
 * The first half of {@link release}: nothing on this machine uses the volume any more, and it stays attached, if it is.
 * Runs in the volume's queue.
 */
export async function idle(node: Node, name: string): Promise<ReleaseOutcome> {
  const held = await agree(node, name);
  if (held === undefined) return 'done';
  if (held.holders.length > 0) {
    if (rescueOf(held) !== undefined) await renewPath(node, held);
    return 'held';
  }
  const blockedBy = await makeIdle(node, held);
  if (blockedBy !== undefined) return { blockedBy };
  if (held.phase === 'mounted') await keep(node, unmounted(held));
  return 'done';
}

/** The path of a rescued disk may have ended with the daemon before us: it ends with the process that holds the disk. */
async function renewPath(node: Node, { name, volume, device }: Held): Promise<void> {
  const disk = await node.host.findDevice(volume.id, device);
  if (disk !== undefined) await node.host.holdDisk(disk, rescuePathOf(node.settings, name));
}
