import { cleanMark, tagKeys } from '../../ebs/tags.ts';
import { waitUntilDetached } from '../../ebs/volume-waits.ts';
import { DriverError, isCode } from '../../errors.ts';
import { publish, stopwatch } from '../../events.ts';
import type { BlockDevice, UserElsewhere } from '../../host/types.ts';
import { over } from '../../log.ts';
import type { Held } from '../state/held.ts';
import { drop, keep, mountpointOf, type Node, quarantine, waiting } from '../state/node.ts';
import { isOurs, keyOf } from './attachment-key.ts';
import { watchTags } from './watch-tags.ts';

/** EC2 is read during a detach only in case the disk's going is not noticed here. */
const detachCheckMs = 5000;
/** A detach that EC2 has accepted fails after this, and is begun again by whoever wants it. */
export const detachTimeoutMs = 60_000;
/** How long a disk that is not seen is looked for again. */
const secondLookMs = 2_000;
/** Throttled, the clean tag could keep the disk here for as long as a call is tried again. */
const tagPatienceMs = 20_000;

/**
 * Ends an attachment in phase detaching: unmount, then {@link detachIdle}.
 * @throws DriverError IN_USE_HERE while anything on this machine uses the disk; it is not detached then.
 */
export async function finishDetach(node: Node, held: Held): Promise<void> {
  const blockedBy = await makeIdle(node, held);
  if (blockedBy !== undefined) throw inUse(node, held, blockedBy);
  await detachIdle(node, held);
}

/** Takes our mount away and looks whether anything else has the disk; gives what still uses it, as a clause. */
export async function makeIdle(node: Node, held: Held): Promise<string | undefined> {
  return (await unmountOurs(node, held)) ?? (await stillUsed(node, held));
}

/**
 * Clean tag, detach, until the disk is gone; then drops the record, which is in phase detaching. Resumable: each part
 * succeeds when it was done before. Nothing is mounted under this attachment any more.
 */
export async function detachIdle(node: Node, held: Held): Promise<void> {
  const { volume, device, name } = held;
  if (held.instanceId !== node.instanceId) throw new Error(`the attachment of ${held.instanceId} is not ours to end`);
  if (held.removing && !held.leaving) await keep(node, { ...held, leaving: true });
  await waiting(node, name, `EC2 to detach ${volume.id} (${device})`, async () => {
    await watchTags(node, held);
    await tagClean(node, held);
    const seconds = stopwatch();
    const wasHere = (await node.host.findDevice(volume.id, device)) !== undefined;
    if (await sendDetach(node, held)) {
      await waitUntilGone(node, held);
      if (wasHere) node.names.freed(name, volume);
      publish('detach', { seconds: seconds() });
    } else await quarantine(node, held, 'its last attachment was not ended by this node');
  });
  await drop(node, name);
  node.tagLooks.delete(name);
  node.log.info({ volume: name, volumeId: volume.id, device }, 'released');
}

/**
 * The clean tag goes first: a crash before the detach then still leaves proof that this attachment is finished. Without
 * it the detach goes on all the same: a volume must not stay here for want of a permission to tag, or of a turn. One that
 * takes effect later still says the truth.
 */
async function tagClean(node: Node, { name, volume, instanceId, device, attachTime }: Held): Promise<void> {
  if (attachTime === undefined) return;
  const mark = cleanMark({ instanceId, device, attachTime });
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), tagPatienceMs);
  try {
    await node.ec2.createTags(volume.id, { [tagKeys.clean]: mark }, { signal: late.signal });
    over(node.log, { op: 'clean tag', volume: name });
  } catch (error) {
    node.log.warn(
      { op: 'clean tag', volume: name, volumeId: volume.id, err: error },
      'the clean tag could not be written; detaching all the same',
    );
  } finally {
    clearTimeout(timer);
  }
}

/** True when a detach is under way, false when there is nothing left to detach. */
export async function sendDetach(node: Node, held: Held): Promise<boolean> {
  try {
    await node.ec2.detachVolume(keyOf(held));
    return true;
  } catch (error) {
    // The answer of a mutating call is authoritative.
    if (isCode(error, 'EC2_NOT_ATTACHED', 'EC2_NO_SUCH_VOLUME')) return false;
    if (!isCode(error, 'EC2_INCORRECT_STATE')) throw error;
    // "Already done" or "already under way": EC2's record tells which, and the disk here whether the record is stale.
    const volume = await node.ec2.describeVolume(held.volume.id);
    const ours = volume?.attachments.find((each) => isOurs(keyOf(held), each));
    if (ours?.state === 'detaching' || ours?.state === 'busy') return true;
    if (ours === undefined && (await node.host.findDevice(held.volume.id, held.device)) === undefined) return false;
    throw error;
  }
}

/** The disk leaves this machine when EC2 takes it: watched here, with a look at EC2 now and then. */
export async function waitUntilGone(node: Node, held: Held): Promise<void> {
  const done = new AbortController();
  const waits = [
    node.host.waitForDeviceGone(held.volume.id, held.device, done.signal),
    waitUntilDetached(
      node.ec2,
      { ...keyOf(held), attachTime: held.attachTime },
      { signal: done.signal, timeoutMs: detachTimeoutMs, delayMs: detachCheckMs, intervalMs: detachCheckMs },
    ).catch((error: unknown) => {
      if (!isCode(error, 'EC2_NO_SUCH_VOLUME')) throw error;
    }),
  ];
  try {
    await Promise.race(waits);
  } finally {
    done.abort();
    await Promise.allSettled(waits);
  }
}

/** Takes our mount away; gives what prevents it, as a clause. */
export async function unmountOurs(node: Node, held: Held): Promise<string | undefined> {
  const target = mountpointOf(node.settings, held.name);
  // A container that uses it without being a holder: docker cp has ended it with the container's own id.
  const use = await seenUse(node, held);
  if (use !== undefined) return use;
  try {
    await node.host.unmount(target);
  } catch (error) {
    if (!isCode(error, 'TARGET_BUSY')) throw error;
    return `a program still uses ${target} (fuser -vm names it)`;
  }
  return undefined;
}

/** The container that can be seen to have what we have mounted, as a clause; undefined proves nothing. */
export async function seenUse(
  node: Node,
  held: Held,
  userOf: UserElsewhere = (number, ourMountpoint) => node.host.mountedElsewhereBy(number, ourMountpoint),
): Promise<string | undefined> {
  const target = mountpointOf(node.settings, held.name);
  const disk = await node.host.findDevice(held.volume.id, held.device);
  const mounted = await node.host.mountedAt(target, disk);
  const user = mounted.what === 'disk' ? await userOf(mounted.number, target) : undefined;
  return user === undefined ? undefined : usedBy(held, user);
}

/**
 * What keeps the disk in use after our own mount is gone, as a clause. Any mount namespace counts, also those we cannot
 * see: a container whose Unmount came too early, or was never sent, keeps its disk. It is named where it can be seen; a
 * mount of btrfs goes by a device number of its own.
 */
export async function stillUsed(node: Node, held: Held): Promise<string | undefined> {
  // A disk that is not seen for a moment may be in use all the same.
  const disk = (await node.host.findDevice(held.volume.id, held.device)) ?? (await secondLook(node, held));
  const busy = disk !== undefined && (await node.host.isDeviceBusy(disk));
  if (!busy) return undefined;
  return usedBy(held, await node.host.mountedElsewhereBy(disk.number, mountpointOf(node.settings, held.name)));
}

/** The disk, if it is seen within two seconds. @throws DriverError HOST_FAILED */
export async function secondLook(
  { host }: Pick<Node, 'host'>,
  { volume, device }: Held,
): Promise<BlockDevice | undefined> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), secondLookMs);
  try {
    return await host.waitForDevice(volume.id, device, late.signal);
  } catch (error) {
    if (late.signal.aborted) return undefined;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** The clause for a disk that something else has mounted: `user`, where that can be seen. */
function usedBy({ volume }: Held, user = 'a container or program') {
  return `${user} still has ${volume.id} mounted`;
}

function inUse(node: Node, { name, volume, device }: Held, why: string): DriverError {
  return new DriverError('IN_USE_HERE', {
    volume: name,
    tried: `detach ${volume.id} (${device}) from ${node.instanceId}`,
    why,
    todo: `Stop what uses it on ${node.instanceId}, then try again`,
  });
}
