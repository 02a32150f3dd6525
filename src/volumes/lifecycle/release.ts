import { keep, type Node } from '../state/node.ts';
import { agree, unmounted } from './agree.ts';
import { detachIdle, makeIdle } from './detach.ts';

/** How it stands with a volume after {@link release}: given back, held by somebody, or kept by something. */
type ReleaseOutcome = 'done' | 'held' | { readonly blockedBy: string };

/**
 * Gives a volume that nobody holds back to EC2: unmount, clean tag, detach, each journalled before. Resumable at any
 * step. Runs in the volume's queue.
 */
export async function release(node: Node, name: string): Promise<ReleaseOutcome> {
  const held = await agree(node, name);
  if (held === undefined) return 'done';
  if (held.holders.length > 0) return 'held';
  const blockedBy = await makeIdle(node, held);
  if (blockedBy !== undefined) return { blockedBy };
  await detachIdle(node, await keep(node, { ...unmounted(held), phase: 'detaching' }));
  return 'done';
}
