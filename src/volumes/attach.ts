import type { Attachment, EbsVolume } from '../ebs/types.ts';
import { waitUntilCreated, waitUntilDetached } from '../ebs/volume-waits.ts';
import { DriverError, isCode } from '../errors.ts';
import { takeOver } from '../fencing/takeover.ts';
import { isOurs } from './detach.ts';
import type { Held } from './held.ts';
import { releaseLeftover } from './leftover.ts';
import { drop, keep, type Node, waiting } from './node.ts';

/** Each round begins with what EC2 said last; more of them than this means that somebody else keeps winning. */
const maxRounds = 4;
/** EC2 is read during an attach only to notice that it failed: the disk announces itself here. */
const attachCheckMs = 3000;

/**
 * Attaches a volume here, whatever its state: waits for one that is being made, releases a left-over attachment of our
 * own, takes it over from an owner that is proven gone.
 * @returns the volume in phase attached, its disk present. @throws DriverError WRONG_ZONE, ATTACHED_ELSEWHERE,
 * NODE_FULL, EC2_*.
 */
export async function acquire(node: Node, name: string, found: EbsVolume): Promise<Held> {
  refuseOtherZone(node, name, found);
  let volume = found;
  for (let round = 0; round < maxRounds; round++) {
    const attachment = volume.attachments.find(({ state }) => state !== 'detached');
    if (attachment !== undefined) volume = await makeFree(node, name, volume, attachment);
    else {
      const outcome = await attachFree(node, name, await whenMade(node, name, volume));
      if ('held' in outcome) return outcome.held;
      volume = outcome.volume;
    }
  }
  throw new DriverError('ATTACHED_ELSEWHERE', {
    volume: name,
    tried: `attach ${volume.id} to ${node.instanceId}`,
    why: 'it was attached or detached by somebody else each time it seemed free',
    todo: 'Find out which other instance wants it (get shows its owner), stop that, and try again',
  });
}

function refuseOtherZone(node: Node, name: string, volume: EbsVolume): void {
  if (volume.zone === node.zone) return;
  throw new DriverError('WRONG_ZONE', {
    volume: name,
    tried: `attach ${volume.id} to ${node.instanceId}`,
    why: `it is in ${volume.zone} and this node is in ${node.zone}; a disk cannot leave its zone`,
    todo: `Run the container on a node in ${volume.zone}, or copy the volume to ${node.zone} through a snapshot`,
  });
}

async function makeFree(node: Node, name: string, volume: EbsVolume, attachment: Attachment): Promise<EbsVolume> {
  if (attachment.instanceId === node.instanceId) return releaseLeftover(node, name, volume, attachment);
  return takeOver(
    {
      ec2: node.ec2,
      log: node.log,
      name,
      instanceId: node.instanceId,
      policy: node.settings.fencePolicy,
      waiting: (reason, work) => waiting(node, name, reason, work),
    },
    volume,
    attachment,
  );
}

async function whenMade(node: Node, name: string, volume: EbsVolume): Promise<EbsVolume> {
  if (volume.state === 'available' || volume.state === 'in-use') return volume;
  return waiting(node, name, `EC2 to make ${volume.id}`, () =>
    waitUntilCreated(node.ec2, volume, { timeoutMs: node.settings.attachTimeout * 1000 }),
  );
}

type AttachOutcome = { readonly held: Held } | { readonly volume: EbsVolume };

/** One AttachVolume: the compare-and-swap. Gives the volume as it is when somebody else has it, or the name was bad. */
async function attachFree(node: Node, name: string, volume: EbsVolume): Promise<AttachOutcome> {
  const attaching = await reserve(node, name, volume);
  try {
    const attachment = await sendAttach(node, attaching);
    const held = await keep(node, { ...attaching, attachTime: attachment.attachTime });
    await waitForDisk(node, held);
    return { held: await keep(node, { ...held, phase: 'attached' }) };
  } catch (error) {
    return await undo(node, attaching, error);
  }
}

/** Journals the attempt before it is made, under a device name of its own. */
async function reserve(node: Node, name: string, volume: EbsVolume): Promise<Held> {
  await waiting(node, name, 'EC2 to tell what is attached to this instance', () => node.surveyed);
  const device = node.devices.reserve(await node.host.usedDeviceNames());
  if (device === undefined) {
    throw new DriverError('NODE_FULL', {
      volume: name,
      tried: `attach ${volume.id} to ${node.instanceId}`,
      why: 'every device name that EC2 takes is in use on this instance',
      todo: 'Run the container on another node, or stop one that uses a volume here',
    });
  }
  try {
    await node.journal.saveDevices(node.devices.recent());
    return await keep(node, {
      name,
      volume: { ...volume, attachments: [] },
      phase: 'attaching',
      instanceId: node.instanceId,
      device,
      attachTime: undefined,
      bootId: node.host.bootId,
      filesystem: undefined,
      directory: undefined,
      holders: [],
    });
  } catch (error) {
    node.devices.free(device);
    throw error;
  }
}

async function sendAttach(node: Node, { name, volume, instanceId, device }: Held): Promise<Attachment> {
  const key = { volumeId: volume.id, instanceId, device };
  return waiting(node, name, `EC2 to attach ${volume.id} as ${device}`, async () => {
    try {
      return await node.ec2.attachVolume(key);
    } catch (error) {
      // An answer that was lost: the call may have taken effect all the same, also as "in use", by ourselves.
      if (!isCode(error, 'EC2_VOLUME_IN_USE', 'EC2_UNAVAILABLE')) throw error;
      const now = await node.ec2.describeVolume(volume.id);
      const ours = now?.attachments.find((each) => isOurs(key, each));
      if (ours !== undefined) return ours;
      throw error;
    }
  });
}

/** The disk appears here before EC2 says "attached"; EC2 is read only to notice that it never will. */
async function waitForDisk(node: Node, held: Held): Promise<void> {
  const { name, volume, instanceId, device, attachTime } = held;
  const done = new AbortController();
  const timeoutMs = node.settings.attachTimeout * 1000;
  const failed = waitUntilDetached(
    node.ec2,
    { volumeId: volume.id, instanceId, device, attachTime },
    { signal: done.signal, timeoutMs, delayMs: attachCheckMs, intervalMs: attachCheckMs },
  ).then(() => {
    throw new DriverError('EC2_INCORRECT_STATE', {
      volume: name,
      tried: `attach ${volume.id} to ${instanceId} as ${device}`,
      why: 'EC2 accepted it and then gave it up',
      todo: 'Try again; if it repeats, look for the reason in the AttachVolume event in CloudTrail',
    });
  });
  try {
    await waiting(node, name, `${volume.id} to appear on this machine (${device})`, () =>
      Promise.race([node.host.waitForDevice(volume.id, device, done.signal), failed]),
    );
  } finally {
    done.abort();
    failed.catch(() => undefined);
  }
}

/** After a failed attach: nothing may stay behind that nobody asked for. */
async function undo(node: Node, attaching: Held, error: unknown): Promise<AttachOutcome> {
  const { name, volume } = attaching;
  if (isCode(error, 'EC2_DEVICE_NAME_IN_USE')) {
    // EC2 or the AMI has the name without telling: it stays reserved, and another is tried.
    const { device } = attaching;
    await drop(node, name);
    node.devices.take([device]);
    return { volume };
  }
  if (isCode(error, 'EC2_VOLUME_IN_USE', 'EC2_INCORRECT_STATE')) {
    const now = await node.ec2.describeVolume(volume.id);
    if (now !== undefined) {
      await drop(node, name);
      return { volume: now };
    }
  }
  // What may have taken effect stays in the journal, and the release settles it with EC2.
  if (isCode(error, 'EC2_UNAVAILABLE', 'STILL_WORKING', 'WRONG_DEVICE')) node.scheduleRelease(name, 0);
  else await drop(node, name);
  throw error;
}
