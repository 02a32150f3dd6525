import type { FilesystemType, MountEntry } from '../host/types.ts';
import type { Held } from './held.ts';
import { nameOf } from './lookup.ts';
import { keep, mountpointOf, type Node } from './node.ts';
import { planMount } from './plan.ts';
import { leftover, unmounted } from './release.ts';

/**
 * Makes the record, the kernel and EC2 agree, once, at start: mounts that live are adopted with their holders, all else
 * that is attached here is released. Attachments of an earlier boot are never mounted (reference/fencing.md §5.3, C1).
 */
export async function reconcile(node: Node): Promise<void> {
  const mounts = await node.host.mounts();
  for (const held of [...node.held.values()]) await settle(node, held, mounts);
  await adoptUnrecorded(node, mounts);
}

async function settle(node: Node, held: Held, mounts: readonly MountEntry[]): Promise<void> {
  const { name } = held;
  if (held.bootId !== node.host.bootId) {
    node.log.info({ volume: name, volumeId: held.volume.id }, 'attached in an earlier boot: releasing it');
    await keep(node, { ...unmounted(held), phase: 'detaching', holders: [] });
  } else if (held.phase === 'mounted' && !isMounted(node, name, mounts)) {
    node.log.warn({ volume: name, volumeId: held.volume.id }, 'its mount is gone; it will be mounted again on demand');
    await keep(node, unmounted(held));
  }
  const now = node.held.get(name);
  if (now !== undefined && now.holders.length === 0) node.scheduleRelease(name, 0);
}

/** Attachments of this instance that no record explains: a journal was lost, or another boot's went with its disk. */
async function adoptUnrecorded(node: Node, mounts: readonly MountEntry[]): Promise<void> {
  const recorded = new Set([...node.held.values()].map(({ volume }) => volume.id));
  const volumes = await node.ec2.listVolumes();
  for (const volume of volumes) {
    const attachment = volume.attachments.find(
      ({ instanceId, state }) => instanceId === node.instanceId && state !== 'detached',
    );
    if (attachment === undefined) continue;
    node.devices.take([attachment.device]);
    if (recorded.has(volume.id)) continue;
    const name = nameOf(volume);
    if (name === undefined || node.held.has(name)) continue;
    const found = leftover(node, name, volume, attachment);
    await keep(node, isMounted(node, name, mounts) ? await asMounted(node, found) : found);
    node.log.warn(
      { volume: name, volumeId: volume.id, phase: node.held.get(name)?.phase },
      'attached here without a record',
    );
    if (node.held.get(name)?.phase === 'detaching') node.scheduleRelease(name, 0);
  }
}

/** Mounted right now, so it may be in use: one anonymous holder keeps it until somebody unmounts it. */
async function asMounted(node: Node, found: Held): Promise<Held> {
  const plan = planMount(found.name, found.volume.tags, node.settings);
  const target = mountpointOf(node.settings, found.name);
  const directory = await node.host.openSubdirectory(target, plan.subdirectory, plan.owner);
  const filesystem = (plan.formatted ?? plan.fsType) as FilesystemType;
  const holders = [{ id: null, since: new Date().toISOString() }];
  return { ...found, phase: 'mounted', directory, filesystem, holders };
}

/** True when something is mounted at the volume's mountpoint in this mount namespace. */
export function isMounted(node: Pick<Node, 'settings'>, name: string, mounts: readonly MountEntry[]): boolean {
  const target = mountpointOf(node.settings, name);
  return mounts.some(({ mountpoint }) => mountpoint === target);
}
