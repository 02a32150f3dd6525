import { tagKeys } from '../ebs/tags.ts';
import type { Attachment, AttachmentKey, EbsVolume } from '../ebs/types.ts';
import { waitUntilDetached } from '../ebs/volume-waits.ts';
import { DriverError, isCode, toDriverError } from '../errors.ts';
import type { Held } from './held.ts';
import { drop, keep, mountpointOf, type Node, waiting } from './node.ts';

/** How a release ended: the volume is free, or something on this machine still uses it. */
export type ReleaseOutcome = 'done' | { readonly blockedBy: string };

const retryMs = [1000, 2000, 5000, 10_000];
/** EC2 is read during a detach only in case the disk's going is not noticed here. */
const detachCheckMs = 5000;
const detachTimeoutMs = 60_000;

/**
 * Gives a volume back to EC2: unmount, clean tag, detach, each journalled before. Resumable at any step, and a no-op
 * for a volume that is not held here or that somebody holds. Runs in the volume's queue.
 */
export async function release(node: Node, name: string): Promise<ReleaseOutcome> {
  const held = node.held.get(name);
  if (held === undefined || held.holders.length > 0) return 'done';
  if (held.phase === 'attaching') return settleAttaching(node, held);
  if (held.phase === 'detaching') return finishDetach(node, held);
  const blockedBy = (await unmountOurs(node, held)) ?? (await stillUsed(node, held));
  if (blockedBy !== undefined) return { blockedBy };
  return finishDetach(node, await keep(node, { ...unmounted(held), phase: 'detaching' }));
}

/** Takes our mount away; gives what prevents it, as a clause. */
export async function unmountOurs(node: Node, held: Held): Promise<string | undefined> {
  const target = mountpointOf(node.settings, held.name);
  try {
    await node.host.unmount(target);
    return undefined;
  } catch (error) {
    if (!isCode(error, 'TARGET_BUSY')) throw error;
    return `a program still uses ${target}`;
  }
}

/** Any mount namespace counts: a container whose Unmount came too early, or was never sent, keeps its disk. */
async function stillUsed(node: Node, held: Held): Promise<string | undefined> {
  const disk = await node.host.findDevice(held.volume.id, held.device);
  const busy = disk !== undefined && (await node.host.isDeviceBusy(disk));
  return busy ? `a container or program still has ${disk.path} (${held.volume.id}) mounted` : undefined;
}

/** The record of a volume whose mount of ours is gone. */
export function unmounted(held: Held): Held {
  return { ...held, phase: 'attached', directory: undefined };
}

/** AttachVolume may or may not have taken effect: EC2 says. */
async function settleAttaching(node: Node, held: Held): Promise<ReleaseOutcome> {
  const volume = await node.ec2.describeVolume(held.volume.id);
  const ours = volume?.attachments.find((each) => isOurs(keyOf(held), each));
  if (ours === undefined) {
    await drop(node, held.name);
    return 'done';
  }
  return finishDetach(node, await keep(node, { ...held, phase: 'detaching', attachTime: ours.attachTime }));
}

function keyOf({ volume, instanceId, device }: Held): AttachmentKey {
  return { volumeId: volume.id, instanceId, device };
}

/** True for the attachment that this key names, as long as EC2 keeps it. */
export function isOurs(key: AttachmentKey, attachment: Attachment): boolean {
  return (
    attachment.instanceId === key.instanceId && attachment.device === key.device && attachment.state !== 'detached'
  );
}

/** The clean tag goes first: a crash before the detach then still leaves proof that this attachment is finished. */
async function finishDetach(node: Node, held: Held): Promise<ReleaseOutcome> {
  const { volume, device, attachTime, name } = held;
  await waiting(node, name, `EC2 to detach ${volume.id} (${device})`, async () => {
    if (attachTime !== undefined) await tagClean(node, volume, attachTime);
    if (await sendDetach(node, held)) await waitUntilGone(node, held);
  });
  await drop(node, name);
  node.log.info({ volume: name, volumeId: volume.id, device }, 'released');
  return 'done';
}

async function tagClean(node: Node, volume: EbsVolume, attachTime: string): Promise<void> {
  try {
    await node.ec2.createTags(volume.id, { [tagKeys.clean]: attachTime });
  } catch (error) {
    if (!isCode(error, 'EC2_NO_SUCH_VOLUME')) throw error;
  }
}

/** True when a detach is under way, false when there is nothing left to detach. */
async function sendDetach(node: Node, held: Held): Promise<boolean> {
  try {
    await node.ec2.detachVolume(keyOf(held));
    return true;
  } catch (error) {
    // These may all mean "already done" or "already under way": only EC2's record of the volume decides.
    if (!isCode(error, 'EC2_NOT_ATTACHED', 'EC2_INCORRECT_STATE', 'EC2_NO_SUCH_VOLUME')) throw error;
    const volume = await node.ec2.describeVolume(held.volume.id);
    const ours = volume?.attachments.find((each) => isOurs(keyOf(held), each));
    if (ours === undefined) return false;
    if (ours.state === 'detaching' || ours.state === 'busy') return true;
    throw error;
  }
}

/** The disk leaves this machine when EC2 takes it: watched here, with a look at EC2 now and then. */
async function waitUntilGone(node: Node, held: Held): Promise<void> {
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

/**
 * Releases an attachment of this instance that no record explains, or that an earlier boot made: it is never mounted.
 * @returns the volume, free. @throws DriverError IN_USE_HERE while something on this machine uses the disk.
 */
export async function releaseLeftover(
  node: Node,
  name: string,
  volume: EbsVolume,
  attachment: Attachment,
): Promise<EbsVolume> {
  const disk = await node.host.findDevice(volume.id, attachment.device);
  if (disk !== undefined && (await node.host.isDeviceBusy(disk))) {
    throw new DriverError('IN_USE_HERE', {
      volume: name,
      tried: `release the attachment ${attachment.device} that this daemon did not make in this boot`,
      why: `${disk.path} (${volume.id}) is mounted or otherwise in use on ${node.instanceId}`,
      todo: `Unmount it there (findmnt -S ${disk.path}), then try again`,
    });
  }
  node.devices.take([attachment.device]);
  await keep(node, leftover(node, name, volume, attachment));
  await release(node, name);
  return { ...volume, state: 'available', attachments: [] };
}

/** The record of an attachment found, not made: it can only be detached. */
export function leftover(node: Node, name: string, volume: EbsVolume, attachment: Attachment): Held {
  return {
    name,
    volume,
    phase: 'detaching',
    instanceId: node.instanceId,
    device: attachment.device,
    attachTime: attachment.attachTime,
    bootId: node.host.bootId,
    filesystem: undefined,
    directory: undefined,
    holders: [],
  };
}

/** Timers that release volumes nobody holds: after the linger, and again while something prevents it. */
export interface Releaser {
  schedule(name: string, delayMs: number): void;
  cancel(name: string): void;
  stop(): void;
}

/** A releaser for a node. Its attempts run in the volumes' queue and never throw. */
export function createReleaser(node: Node): Releaser {
  const timers = new Map<string, NodeJS.Timeout>();
  let stopped = false;
  const cancel = (name: string) => {
    clearTimeout(timers.get(name));
    timers.delete(name);
  };
  const schedule = (name: string, delayMs: number, attempt = 0) => {
    if (stopped) return;
    cancel(name);
    timers.set(name, setTimeout(() => void run(name, attempt), delayMs).unref());
  };
  const again = (name: string, attempt: number, reason: string) => {
    node.waits.set(name, reason);
    schedule(name, retryMs[Math.min(attempt, retryMs.length - 1)] ?? 0, attempt + 1);
  };
  const run = (name: string, attempt: number) =>
    node.queue.run(name, async () => {
      // A mount that came before us has cancelled this timer, which had already fired.
      if (stopped || timers.get(name) === undefined) return;
      timers.delete(name);
      try {
        const outcome = await release(node, name);
        if (outcome === 'done') node.waits.delete(name);
        else again(name, attempt, outcome.blockedBy);
      } catch (error) {
        const failure = toDriverError(error, 'release it').about(name);
        node.log.warn({ volume: name, op: 'release', err: failure }, 'release failed; it will be tried again');
        again(name, attempt, `another try to release it, since: ${failure.message}`);
      }
    });
  return {
    schedule: (name, delayMs) => schedule(name, delayMs),
    cancel,
    stop() {
      stopped = true;
      for (const name of [...timers.keys()]) cancel(name);
    },
  };
}
