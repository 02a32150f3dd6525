import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume } from '../../ebs/types.ts';
import { isCode } from '../../errors.ts';
import { publish } from '../../events.ts';
import type { Held } from '../state/held.ts';
import { rescueOf } from '../state/holders.ts';
import { drop, keep, mountpointOf, type Node, quarantine, rescuePathOf } from '../state/node.ts';
import { isOurs, keyOf } from './attachment-key.ts';
import { claim } from './claim.ts';
import { confirmName } from './confirm-name.ts';
import { detachIdle, finishDetach } from './detach.ts';
import { settleFormer } from './former-owner.ts';
import { lookAgain, unseenDisk } from './missing-disk.ts';
import { isAnnounced } from './yield.ts';

const lookMs = 1000;

/**
 * The reconciler of one volume: makes what is recorded, what the kernel has and what EC2 says agree, and finishes what was
 * begun. Runs in the volume's queue: at start, before every mount, after failures, and when a disk comes or goes.
 * @returns the record, in phase attached or mounted and true; undefined when nothing usable is held here.
 * @throws DriverError; the record then still says what is to be done.
 */
export async function agree(node: Node, name: string): Promise<Held | undefined> {
  const held = node.held.get(name);
  if (held === undefined) return undefined;
  if (held.phase === 'attaching') return settleAttaching(node, held);
  if (held.phase === 'detaching') {
    await finishDetach(node, await thawed(node, held));
    return undefined;
  }
  return compareWithKernel(node, await thawed(node, held));
}

/** A daemon before this one may have been ended in the middle of a snapshot. */
async function thawed(node: Node, held: Held): Promise<Held> {
  if (!held.freezing) return held;
  const { name, volume, device, filesystem } = held;
  const disk = await node.host.findDevice(volume.id, device);
  const target = mountpointOf(node.settings, name);
  if (disk !== undefined && (await node.host.thaw(disk, target, filesystem))) {
    node.log.warn({ volume: name, volumeId: volume.id }, 'its filesystem was frozen for a snapshot: thawed');
  }
  return keep(node, { ...held, freezing: undefined });
}

/** AttachVolume may or may not have taken effect: EC2 says. */
async function settleAttaching(node: Node, held: Held): Promise<Held | undefined> {
  const { disk, ours } = await untilTold(node, held);
  const usable = ours !== undefined && disk !== undefined && ours.state !== 'detaching' && ours.state !== 'busy';
  const named = usable ? await stillNamed(node, { ...held, attachTime: ours.attachTime }) : undefined;
  if (ours !== undefined && named !== undefined) {
    await settleFormer(node, held.name, named);
    const here = await keep(node, {
      ...held,
      volume: { ...held.volume, tags: named.tags },
      attachTime: ours.attachTime,
    });
    const now = { ...here, attachTime: ours.attachTime };
    return keep(node, { ...now, phase: 'attached', volume: await claim(node, now, undefined, Promise.resolve()) });
  }
  if (ours === undefined && disk === undefined) {
    await quarantine(node, held, 'whether EC2 attached it there is not known');
    await drop(node, held.name);
    return undefined;
  }
  // On its way, or stuck, and nobody waits for it: it ends here, and whoever wants the volume attaches it anew.
  await finishDetach(node, await keep(node, { ...held, phase: 'detaching', attachTime: ours?.attachTime }));
  return undefined;
}

/** The attachment, if there is one. A read without it proves nothing while it may be from before AttachVolume was sent. */
async function untilTold(node: Node, held: Held) {
  const began = performance.now();
  const sinceMs = Math.max(0, Date.now() - Date.parse(held.since ?? ''));
  for (;;) {
    const disk = await node.host.findDevice(held.volume.id, held.device);
    const volume = await node.ec2.describeVolume(held.volume.id);
    const ours = volume?.attachments.find((each) => isOurs(keyOf(held), each));
    const isOld = !(performance.now() - began + sinceMs < node.visibleMs);
    if (ours !== undefined || disk !== undefined || volume === undefined || isOld) return { disk, ours };
    await sleep(lookMs);
  }
}

/** The volume of an attachment that was found to have taken effect, if it has its name; see {@link confirmName}. */
async function stillNamed(node: Node, held: Held): Promise<EbsVolume | undefined> {
  try {
    const { volume } = await confirmName(node, held, Promise.resolve(undefined));
    // Nor is one mounted that is being removed from another zone.
    return volume?.id === held.volume.id && volume.tags[tagKeys.leaving] === undefined ? volume : undefined;
  } catch (error) {
    if (isCode(error, 'AMBIGUOUS_NAME', 'TAGS_LOST')) return undefined;
    throw error;
  }
}

async function compareWithKernel(node: Node, held: Held): Promise<Held | undefined> {
  const disk = (await node.host.findDevice(held.volume.id, held.device)) ?? (await lookAgain(node, held));
  if (disk === 'gone') return endGhost(node, held);
  if (disk === 'unseen') {
    // Nobody holds it: it is given back in the usual way, which harms no mount.
    if (held.holders.length === 0) return held;
    throw unseenDisk(held);
  }
  const target = mountpointOf(node.settings, held.name);
  const mounted = await node.host.mountedAt(target, disk);
  if (mounted.what === 'other') {
    node.log.error(
      { volume: held.name, volumeId: held.volume.id, target },
      'something else is mounted in its place: unmounting that',
    );
    await node.host.unmount(target);
  }
  if (mounted.what === 'disk') return held;
  if (isAnnounced(held)) {
    await endPath(node, held);
    await finishDetach(node, await keep(node, { ...unmounted(held), phase: 'detaching', holders: [] }));
    return undefined;
  }
  if (held.phase === 'attached') return held;
  node.log.warn(
    { volume: held.name, volumeId: held.volume.id },
    'its mount is gone; it will be mounted again on demand',
  );
  return keep(node, unmounted(held));
}

/**
 * The disk went without us: detached by force, or the volume deleted. What is still mounted must not write any more, and
 * its holders have lost it.
 */
async function endGhost(node: Node, held: Held): Promise<undefined> {
  const { name, volume, holders } = held;
  // Seen before the mount goes.
  const users = await usersOf(node, name);
  node.log.error(
    { volume: name, volumeId: volume.id, holders: holders.length, users },
    'its disk is gone from this machine: taking its mount away; containers that use it get I/O errors and must be restarted',
  );
  await node.ghosts.add({ name, volumeId: volume.id, at: new Date().toISOString(), users });
  await endPath(node, held);
  await node.host.abandonMount(mountpointOf(node.settings, name));
  const ended = await keep(node, { ...unmounted(held), phase: 'detaching', holders: [] });
  // Once it is journalled, that is once for each: what fails before is tried again.
  publish('ghost', { volume: name });
  await detachIdle(node, ended);
  node.log.warn(
    { volume: name, volumeId: volume.id, users },
    'the ghost has ended here: its mount and its attachment are gone',
  );
  return undefined;
}

async function usersOf({ host, settings }: Node, name: string): Promise<string[]> {
  try {
    return await (await host.lookAtUsers())(mountpointOf(settings, name));
  } catch {
    return [];
  }
}

/** Whoever rescues it loses it: its path leads nowhere before the disk is another's. */
async function endPath(node: Node, held: Held): Promise<void> {
  if (rescueOf(held) !== undefined) await node.host.letDiskGo(rescuePathOf(node.settings, held.name));
}

/** The record of a volume whose mount of ours is gone. */
export function unmounted(held: Held): Held {
  return { ...held, phase: 'attached', directory: undefined };
}
