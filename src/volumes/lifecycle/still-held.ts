import { shellWord } from '../../errors.ts';
import type { Held } from '../state/held.ts';
import type { Node } from '../state/node.ts';
import { seenUse, stillUsed } from './detach.ts';

/** Why a volume that has holders cannot be had, as a clause, and what to do first, as an imperative clause. */
export interface StillHeld {
  readonly why: string;
  readonly first: string;
}

/**
 * Who holds a volume here. A container is told to be stopped only where one is seen: its Unmount may be under way, and one
 * that was removed while the driver was away never sends it.
 */
export async function stillHeld(node: Node, held: Held): Promise<StillHeld> {
  const { name, holders } = held;
  const who = holders.map(({ id }) => (id === null ? 'a caller without an id' : `mount ${id.slice(0, 12)}`)).join(', ');
  const why = `it is mounted on this node for ${who}`;
  const look = held.phase === 'mounted' ? seenUse(node, held) : stillUsed(node, held);
  const use = await look.catch(() => undefined);
  if (use !== undefined) return { why: `${why}: ${use}`, first: `Stop what uses it on ${node.instanceId}` };
  const ends = holders.map(
    ({ id }) => `docker-volume-ebs unmount ${shellWord(name)} --holder ${shellWord(id ?? 'anonymous')}`,
  );
  const asked = holders.some(({ id }) => id !== null)
    ? ` (docker ps -a --filter volume=${shellWord(name)} shows them)`
    : '';
  return {
    why: `${why}, and nothing is seen to use it`,
    first:
      `Wait a moment if its container has just ended. If no container has it any more${asked}, ` +
      `type ${ends.join(' and ')} on ${node.instanceId}`,
  };
}

/** The same of a mount that was found here without a record: whose it is nobody knows. */
export const heldUnrecorded = ({ instanceId }: Node): StillHeld => ({
  why: 'it is mounted on this node for somebody whose record is lost',
  first: `Stop the container that uses it on ${instanceId}, or wait a minute if none does any more`,
});
