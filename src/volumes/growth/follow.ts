import { toDriverError } from '../../errors.ts';
import { publish } from '../../events.ts';
import { fills } from '../../host/grow.ts';
import { isReadOnly } from '../lifecycle/faults.ts';
import type { Held } from '../state/held.ts';
import { keep, mountpointOf, type Node, waiting } from '../state/node.ts';

const gibibyte = 2 ** 30;

/**
 * Makes a mounted volume fill its disk, whoever has enlarged that: its record says the disk's size from then on, and its
 * filesystem is grown. Never fails: a filesystem that stays smaller is used as it is, and what keeps it so is noted for
 * status and metrics. Runs in the volume's queue, where nothing freezes, unmounts or detaches it meanwhile.
 * @returns the record as it is then.
 */
export async function follow(node: Node, held: Held): Promise<Held> {
  try {
    const disk = held.phase === 'mounted' ? await node.host.findDevice(held.volume.id, held.device) : undefined;
    if (disk === undefined) return held;
    const sized = await withDiskSize(node, held, disk.sizeBytes);
    if (fills(sized.filesystemBytes, disk.sizeBytes) || sized.filesystem === undefined || isReadOnly(node, sized)) {
      node.sizes.set(held.name, { diskBytes: disk.sizeBytes, refused: undefined });
      return sized;
    }
    const { filesystem } = sized;
    const target = mountpointOf(node.settings, held.name);
    await waiting(node, held.name, 'its filesystem to grow to its disk', () =>
      node.host.growFilesystem(disk, target, filesystem),
    );
    return await grown(node, sized, disk.sizeBytes);
  } catch (error) {
    await refused(node, held, error);
    return node.held.get(held.name) ?? held;
  }
}

/** The record with the size that the kernel has seen, which EC2's own description may lag behind. */
async function withDiskSize(node: Node, held: Held, bytes: number): Promise<Held> {
  const sizeGib = Math.floor(bytes / gibibyte);
  return sizeGib <= held.volume.sizeGib ? held : keep(node, { ...held, volume: { ...held.volume, sizeGib } });
}

async function grown(node: Node, held: Held, diskBytes: number): Promise<Held> {
  const before = held.filesystemBytes;
  const now = await keep(node, { ...held, filesystemBytes: diskBytes });
  node.sizes.set(held.name, { diskBytes, refused: undefined });
  // Without the size of before it may have filled the disk all along.
  if (before !== undefined) {
    publish('growth', { outcome: 'grown' });
    const { name, volume } = held;
    node.log.info(
      { volume: name, volumeId: volume.id, before, now: diskBytes },
      'its filesystem has grown to its disk',
    );
  }
  return now;
}

async function refused(node: Node, { name, volume, device }: Held, error: unknown): Promise<void> {
  const failure = toDriverError(error, 'grow its filesystem').about(name);
  const known = node.sizes.get(name);
  const diskBytes = (await node.host.findDevice(volume.id, device).catch(() => undefined))?.sizeBytes ?? 0;
  node.sizes.set(name, { diskBytes, refused: failure.parts.why });
  if (known?.refused === failure.parts.why) return;
  publish('growth', { outcome: 'refused' });
  node.log.warn({ volume: name, volumeId: volume.id, err: failure }, 'its filesystem stays smaller than its disk');
}
