import { tagKeys } from '../../ebs/tags.ts';
import { DriverError, shellWord } from '../../errors.ts';
import { type DiskContent, type FilesystemType, filesystemTypes } from '../../host/types.ts';
import { encodeName } from '../options/names.ts';
import type { Held } from '../state/held.ts';
import { rescueOf, rescuer } from '../state/holders.ts';
import { noSuchVolume } from '../state/lookup.ts';
import { findVolume, keep, type Node, rescuePathOf, waiting } from '../state/node.ts';
import { adoptMounted } from './adopt.ts';
import { agree, unmounted } from './agree.ts';
import { acquire } from './attach.ts';
import { makeIdle } from './detach.ts';
import { refuseWhileDraining } from './drain.ts';
import { findDisk } from './mount.ts';
import { release } from './release.ts';
import { heldUnrecorded, type StillHeld, stillHeld } from './still-held.ts';

/** A volume that is held here for a person to look at, or mend. */
export interface Rescue {
  readonly name: string;
  readonly volumeId: string;
  /** A path that means its disk and no other, as long as it is there. */
  readonly path: string;
  /** The filesystem that its tag says, or that its disk shows; undefined where neither does. */
  readonly filesystem: FilesystemType | undefined;
  readonly content: DiskContent;
  /** RFC 3339. */
  readonly since: string;
  /** What was on it before; undefined where none was wanted. */
  readonly snapshotId: string | undefined;
}

/**
 * Holds a volume here for a person: attached, not mounted, under a path of its own, with a snapshot of what was on it
 * before if one is wanted. Again, it comes to the same. Nothing is written to the disk. Runs in the volume's queue.
 * @throws DriverError IN_USE_HERE while somebody uses it; what a mount throws when it cannot be attached here.
 */
export async function rescue(node: Node, name: string, options: { readonly snapshot: boolean }): Promise<Rescue> {
  const goesOn = rescueOf(node.held.get(name)) !== undefined;
  if (!goesOn) await refuseWhileDraining(node, name, undefined);
  node.cancelRelease(name);
  try {
    const held = await holdForRescue(node, name);
    const saved = options.snapshot ? await snapshotOnce(node, held) : held;
    return await opened(node, saved);
  } catch (error) {
    const held = node.held.get(name);
    if (!goesOn && held !== undefined && rescueOf(held) !== undefined) {
      await node.host.letDiskGo(rescuePathOf(node.settings, name));
      await keep(node, { ...held, holders: [] });
    }
    throw error;
  } finally {
    if (node.held.get(name)?.holders.length === 0) node.scheduleRelease(name, 0);
  }
}

async function holdForRescue(node: Node, name: string): Promise<Held> {
  const here = await agree(node, name);
  if (here !== undefined && rescueOf(here) !== undefined) return here;
  if (here !== undefined && here.holders.length > 0) throw inUse(name, await stillHeld(node, here));
  const held = here ?? (await attached(node, name));
  const usedBy = await makeIdle(node, held);
  if (usedBy !== undefined) throw inUse(name, { why: usedBy, first: `Stop what uses it on ${node.instanceId}` });
  const holders = [{ id: rescuer, since: new Date().toISOString() }];
  node.log.warn(
    { op: 'rescue', volume: name, volumeId: held.volume.id },
    'held for a rescue: it is not mounted meanwhile',
  );
  return keep(node, { ...unmounted(held), holders });
}

async function attached(node: Node, name: string): Promise<Held> {
  const volume = await findVolume(node, name);
  if (volume === undefined) throw noSuchVolume(name, 'rescue it');
  if ((await adoptMounted(node, name, volume)) !== undefined) throw inUse(name, heldUnrecorded(node));
  const acquired = await acquire(node, name, volume);
  return (await agree(node, name)) ?? acquired;
}

/** EC2 fixes what a snapshot holds when it answers; a crash before its id is journalled leads to a second one. */
async function snapshotOnce(node: Node, held: Held): Promise<Held> {
  const { name, volume } = held;
  const [holder] = held.holders;
  if (holder === undefined || holder.snapshotId !== undefined) return held;
  const snapshotId = await waiting(node, name, `a snapshot of ${volume.id}`, () =>
    node.ec2.createSnapshot(volume.id, `docker-volume-ebs: ${name} before a rescue`.slice(0, 255), {
      [tagKeys.displayName]: volume.tags[tagKeys.displayName] ?? name,
      [tagKeys.cluster]: node.settings.cluster,
      [tagKeys.rescued]: volume.tags[tagKeys.name] ?? encodeName(name),
    }),
  );
  node.log.info({ op: 'rescue', volume: name, volumeId: volume.id, snapshotId }, 'snapshot taken before a rescue');
  return keep(node, { ...held, holders: [{ ...holder, snapshotId }] });
}

async function opened(node: Node, held: Held): Promise<Rescue> {
  const { name, volume } = held;
  const disk = await findDisk(node, held);
  const path = rescuePathOf(node.settings, name);
  await node.host.holdDisk(disk, path);
  const made = filesystemTypes.find((type) => type === volume.tags[tagKeys.formatted]);
  const content = await node.host.readContent(disk, 'samples', made);
  const found = content.kind === 'filesystem' ? filesystemTypes.find((type) => type === content.type) : undefined;
  const { since = '', snapshotId } = rescueOf(held) ?? {};
  return { name, volumeId: volume.id, path, filesystem: made ?? found, content, since, snapshotId };
}

/**
 * Gives a rescued volume back, to whoever mounts it next. Runs in the volume's queue.
 * @throws DriverError INVALID_REQUEST unless it is rescued here; IN_USE_HERE while a program has its disk.
 */
export async function endRescue(node: Node, name: string): Promise<void> {
  const held = node.held.get(name);
  const tried = 'end its rescue';
  if (held === undefined || rescueOf(held) === undefined) {
    const todo = 'Look where it is with docker-volume-ebs ls, and end the rescue on that node';
    throw new DriverError('INVALID_REQUEST', {
      volume: name,
      tried,
      why: `it is not rescued on ${node.instanceId}`,
      todo,
    });
  }
  const disk = await node.host.findDevice(held.volume.id, held.device);
  if (disk !== undefined && (await node.host.isDeviceBusy(disk))) {
    throw new DriverError('IN_USE_HERE', {
      volume: name,
      tried,
      why: 'a program has its disk for itself: a check that still runs, or a mount by hand',
      todo: 'Let the check come to its end, or unmount it, and end the rescue then',
    });
  }
  await node.host.letDiskGo(rescuePathOf(node.settings, name));
  await keep(node, { ...held, holders: [] });
  node.log.info({ op: 'rescue', volume: name, volumeId: held.volume.id }, 'its rescue is ended: it is given back');
  try {
    await release(node, name);
  } finally {
    if (node.held.has(name)) node.scheduleRelease(name, 0);
  }
}

function inUse(name: string, { why, first }: StillHeld): DriverError {
  const todo = `${first}, then run docker-volume-ebs rescue ${shellWord(name)} again`;
  return new DriverError('IN_USE_HERE', { volume: name, tried: 'rescue it', why, todo });
}

/** What a caller is told who wants a volume that is rescued here. */
export function refuseRescued(node: Node, held: Held | undefined, tried: string): void {
  const rescued = rescueOf(held);
  if (held === undefined || rescued === undefined) return;
  throw new DriverError('IN_USE_HERE', {
    volume: held.name,
    tried,
    why: `it is being rescued on ${node.instanceId} since ${rescued.since} (docker-volume-ebs rescue)`,
    todo: `Once its filesystem is in order, run docker-volume-ebs rescue ${shellWord(held.name)} --end on ${node.instanceId}, and try again`,
  });
}
