import { tagKeys } from '../../ebs/tags.ts';
import type { Attachment, EbsVolume } from '../../ebs/types.ts';
import { readIntents } from '../../fencing/records.ts';
import { filesystemTypes } from '../../host/types.ts';
import { operation } from '../../log.ts';
import { absentDirectory, planDirectory } from '../options/mount-plan.ts';
import { decodeName } from '../options/names.ts';
import type { Held } from '../state/held.ts';
import { adopted } from '../state/holders.ts';
import { nameOf } from '../state/lookup.ts';
import { keep, mountpointOf, type Node } from '../state/node.ts';
import { secondLook } from './detach.ts';
import { leftover, mayRelease } from './leftover.ts';
import { heedAnnouncement } from './yield.ts';

/**
 * Adopts what EC2 has attached to this instance and no record explains: a journal was lost, or could not be read. What
 * is mounted right now goes on being served; all else is released and never mounted. Also heeds what other nodes have
 * announced about volumes held here, and learns the names of the cluster: whoever asks for one while EC2 is away is answered.
 * @returns all volumes of the cluster.
 */
export async function adoptUnrecorded(node: Node): Promise<readonly EbsVolume[]> {
  const listed = await node.lookup.all();
  // Each in its own turn: one that is stuck, or fails each time, holds up no other.
  const turns = listed.map(async (volume) => {
    const attachment = volume.attachments.find(
      ({ instanceId, state }) => instanceId === node.instanceId && state !== 'detached',
    );
    if (attachment === undefined) return;
    // What was removed and is kept is still here where the removal, and its record, were cut short.
    const name = nameOf(volume) ?? decodeName(volume.tags[tagKeys.retained] ?? '');
    if (name === undefined || (nameOf(volume) === undefined && node.held.has(name))) return;
    if (node.held.has(name) && readIntents(volume.tags).length === 0) return;
    await operation.run({ op: 'adopt', volume: name }, () =>
      node.queue.run(name, async () => {
        if (node.held.has(name)) await heedAnnouncement(node, name, volume);
        else await adopt(node, name, volume, attachment);
      }),
    );
  });
  const failed = (await Promise.allSettled(turns)).find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
  return listed;
}

/**
 * The record of a volume that is mounted here without one, for verbs that come before {@link adoptUnrecorded}. Runs in
 * the volume's queue. @returns undefined when it is not mounted here.
 */
export async function adoptMounted(node: Node, name: string, volume: EbsVolume): Promise<Held | undefined> {
  const attachment = volume.attachments.find(
    ({ instanceId, state }) => instanceId === node.instanceId && state === 'attached',
  );
  if (attachment === undefined || node.held.has(name)) return undefined;
  const mounted = await asMounted(node, leftover(node, name, volume, attachment));
  return mounted === undefined ? undefined : keepFound(node, mounted);
}

async function adopt(node: Node, name: string, volume: EbsVolume, attachment: Attachment): Promise<void> {
  const removing = nameOf(volume) === undefined || undefined;
  const found = { ...leftover(node, name, volume, attachment), removing };
  const mounted = await asMounted(node, found);
  if (mounted === undefined && !(await mayRelease(node, volume, attachment, found))) {
    const { device } = attachment;
    if (node.foreign.get(name)?.volumeId !== volume.id) {
      node.log.warn({ volume: name, volumeId: volume.id, device }, 'attached here by somebody else: it is left alone');
    }
    node.foreign.set(name, { name, volumeId: volume.id, device });
    return;
  }
  const held = await keepFound(node, mounted ?? found);
  node.log.warn({ volume: name, volumeId: volume.id, phase: held.phase }, 'attached here without a record');
  if (held.phase === 'detaching') node.scheduleRelease(name, 0);
}

/** From now on its device name is in use by our own account, until the record is dropped. */
async function keepFound(node: Node, found: Held): Promise<Held> {
  const held = await keep(node, found);
  node.devices.take([held.device]);
  return held;
}

/** Mounted right now, so it may be in use: a holder of our own keeps it until an Unmount, or no container uses it. */
async function asMounted(node: Node, found: Held): Promise<Held | undefined> {
  const { name, volume } = found;
  const disk = (await node.host.findDevice(volume.id, found.device)) ?? (await secondLook(node, found));
  const target = mountpointOf(node.settings, name);
  if (disk === undefined || (await node.host.mountedAt(target, disk)).what !== 'disk') return undefined;
  const filesystem = filesystemTypes.find((type) => type === volume.tags[tagKeys.formatted]);
  const holders = [{ id: adopted, since: new Date().toISOString() }];
  const directory = await directoryOf(node, found, target);
  return { ...found, phase: directory === undefined ? 'attached' : 'mounted', directory, filesystem, holders };
}

/** Undefined where it cannot be told: the next mount tells why, and one bad tag does not hold up the whole node. */
async function directoryOf(node: Node, { name, volume }: Held, target: string): Promise<string | undefined> {
  try {
    const plan = planDirectory(name, volume.tags, node.settings);
    return await node.host.openSubdirectory(target, plan.subdirectory, plan.owner, absentDirectory(volume));
  } catch (error) {
    node.log.error(
      { volume: name, volumeId: volume.id, err: error },
      'it is mounted without a record, and its directory cannot be opened',
    );
    return undefined;
  }
}
