import type { EbsVolume } from '../../ebs/types.ts';
import { intentsOf } from '../../fencing/records.ts';
import type { Held } from '../state/held.ts';
import { keep, type Node } from '../state/node.ts';
import { isOurs, keyOf } from './attachment-key.ts';

/**
 * True when another node has announced that it takes this very attachment. Nothing is mounted under it any more then,
 * however old the announcement: its author may only have been held up, and would pull the disk from under the mount.
 */
export function isAnnounced(held: Held): boolean {
  return intentsOf(held.volume.tags, held).some(({ taker }) => taker !== held.instanceId);
}

/** Learns from a listing of EC2 that a volume held here is announced; it is released once nothing uses it. Runs in its queue. */
export async function heedAnnouncement(node: Node, name: string, listed: EbsVolume): Promise<void> {
  const held = node.held.get(name);
  if (held === undefined || held.volume.id !== listed.id || isAnnounced(held)) return;
  if (!listed.attachments.some((each) => isOurs(keyOf(held), each))) return;
  const told = { ...held, volume: { ...held.volume, tags: listed.tags } };
  if (!isAnnounced(told)) return;
  await keep(node, told);
  node.log.warn(
    { volume: name, volumeId: listed.id },
    'another node has announced that it takes this volume from here: it is given back once nothing uses it',
  );
  if (held.holders.length === 0) node.scheduleRelease(name, 0);
}
