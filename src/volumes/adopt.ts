import type { EbsVolume } from '../ebs/types.ts';
import { type FilesystemType, filesystemTypes } from '../host/types.ts';
import type { Held } from './held.ts';
import { leftover } from './leftover.ts';
import { nameOf } from './lookup.ts';
import { keep, mountpointOf, type Node } from './node.ts';
import { planMount } from './plan.ts';

/**
 * Adopts what EC2 has attached to this instance and no record explains: a journal was lost, or could not be read. What
 * is mounted right now goes on being served; all else is released and never mounted (reference/fencing.md §5.16, 62).
 */
export async function adoptUnrecorded(node: Node): Promise<void> {
  for (const volume of await node.ec2.listVolumes()) {
    const attachment = volume.attachments.find(
      ({ instanceId, state }) => instanceId === node.instanceId && state !== 'detached',
    );
    if (attachment === undefined) continue;
    node.devices.take([attachment.device]);
    const name = nameOf(volume);
    if (name === undefined) continue;
    await node.queue.run(name, async () => {
      if (node.held.has(name)) return;
      const found = leftover(node, name, volume, attachment);
      const held = await keep(node, (await asMounted(node, volume, found)) ?? found);
      node.log.warn({ volume: name, volumeId: volume.id, phase: held.phase }, 'attached here without a record');
      if (held.phase === 'detaching') node.scheduleRelease(name, 0);
    });
  }
}

/** Mounted right now, so it may be in use: one anonymous holder keeps it until somebody unmounts it. */
async function asMounted(node: Node, volume: EbsVolume, found: Held): Promise<Held | undefined> {
  const { name } = found;
  const disk = await node.host.findDevice(volume.id, found.device);
  const target = mountpointOf(node.settings, name);
  if (disk === undefined || (await node.host.mountedAt(target, disk)).what !== 'disk') return undefined;
  const plan = planMount(name, volume.tags, node.settings);
  const directory = await node.host.openSubdirectory(target, plan.subdirectory, plan.owner);
  const filesystem: FilesystemType = filesystemTypes.find((type) => type === plan.formatted) ?? plan.fsType;
  const holders = [{ id: null, since: new Date().toISOString() }];
  return { ...found, phase: 'mounted', directory, filesystem, holders };
}
