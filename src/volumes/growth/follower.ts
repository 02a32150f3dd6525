import type { BlockDevice } from '../../host/types.ts';
import { over } from '../../log.ts';
import { createLooks } from '../lifecycle/sweep.ts';
import type { Held } from '../state/held.ts';
import type { Node } from '../state/node.ts';
import { follow } from './follow.ts';

/** A filesystem follows its enlarged disk within 10 s. */
const lookMs = 4000;
/** What kept a filesystem from growing may have been mended. */
const againMs = 60_000;

/**
 * Looks at the sizes of the disks of mounted volumes again and again, and has filesystems grow. The kernel tells them
 * without a question to the disk (sysfs); EC2 is not asked.
 */
export function createFollower(node: Node): { start(): void; stop(): void } {
  /** The disk of each mounted volume, the size up to which it was followed, and when that was tried. */
  const followed = new Map<string, { readonly disk: BlockDevice; readonly bytes: number; readonly at: number }>();
  let timer: NodeJS.Timeout | undefined;

  const followInTurn = createLooks(node, 'grow', async (name) => {
    const held = node.held.get(name);
    const disk = held && (await node.host.findDevice(held.volume.id, held.device));
    if (held === undefined || disk === undefined || !mayGrow(node, held)) return;
    await follow(node, held);
    followed.set(name, { disk, bytes: disk.sizeBytes, at: performance.now() });
  });
  const needsLook = async ({ name, volume, filesystemBytes }: Held): Promise<boolean> => {
    const last = followed.get(name);
    if (last === undefined || last.disk.volumeId !== volume.id) return true;
    const bytes = await node.host.diskBytes(last.disk);
    if (bytes !== undefined && bytes !== last.bytes) return true;
    const stays = bytes === undefined || filesystemBytes === undefined || node.sizes.get(name)?.refused !== undefined;
    return stays && performance.now() - last.at >= againMs;
  };
  const look = async (held: Held): Promise<void> => {
    try {
      if (await needsLook(held)) await followInTurn(held.name);
      over(node.log, { op: 'grow', volume: held.name });
    } catch (error) {
      node.log.warn(
        { op: 'grow', volume: held.name, err: error },
        'the size of its disk is not known: it is looked at again',
      );
    }
  };
  const lookAtAll = () => {
    const mounted = [...node.held.values()].filter((held) => mayGrow(node, held));
    forgetOthers(followed, mounted);
    forgetOthers(node.sizes, mounted);
    for (const held of mounted) void look(held);
  };

  return {
    start() {
      timer = setInterval(lookAtAll, lookMs / node.haste).unref();
    },
    stop() {
      clearInterval(timer);
    },
  };
}

/** Mounted for callers, and its filesystem takes writes as far as is known. */
export const mayGrow = ({ faults }: Node, { name, phase, removing }: Held): boolean =>
  phase === 'mounted' && !removing && !faults.has(name);

/** Forgets what is known of volumes that are none of these. */
export function forgetOthers(known: Map<string, unknown>, mounted: readonly Held[]): void {
  const names = new Set(mounted.map(({ name }) => name));
  for (const name of known.keys()) if (!names.has(name)) known.delete(name);
}
