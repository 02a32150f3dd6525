import { setTimeout as sleep } from 'node:timers/promises';
import type { Attachment, EbsVolume } from '../../ebs/types.ts';
import { attachmentOf } from '../../ebs/volume-record.ts';
import { waitUntilCreated, waitUntilDetached } from '../../ebs/volume-waits.ts';
import { DriverError, type ErrorCode, isCode } from '../../errors.ts';
import { publish, stopwatch } from '../../events.ts';
import { type Fenced, type Takeover, takeOver } from '../../fencing/takeover.ts';
import type { Held } from '../state/held.ts';
import { drop, keep, type Node, quarantine, waiting } from '../state/node.ts';
import { claim } from './claim.ts';
import { isOurs } from './detach.ts';
import { refuseWhileDraining } from './drain.ts';
import { releaseLeftover } from './leftover.ts';
import { nodeFull, roomHere, takeName } from './room.ts';

/** Each round begins with what EC2 said last; more of them than this means that somebody else keeps winning. */
const maxRounds = 4;
/** EC2 is read during an attach only to notice that it failed: the disk announces itself here. */
const attachCheckMs = 3000;
const staleMs = 1000;

/**
 * Attaches a volume here, whatever its state: waits for one that is being made, releases a left-over attachment of our
 * own, takes it over from an owner that is proven gone.
 * @returns the volume in phase attached, its disk present. @throws DriverError WRONG_ZONE, ATTACHED_ELSEWHERE,
 * NODE_FULL, EC2_*.
 */
export async function acquire(node: Node, name: string, found: EbsVolume): Promise<Held> {
  refuseForeign(node, name, found);
  let volume = found;
  let fenced: Fenced | undefined;
  let givenUp = false;
  for (let round = 0; round < maxRounds; round++) {
    const attachment = attachmentOf(volume);
    if (attachment !== undefined) ({ volume, fenced } = await makeFree(node, name, volume, attachment));
    else {
      const outcome = await attachFree(node, name, await whenMade(node, name, volume), fenced);
      if ('held' in outcome) return outcome.held;
      ({ volume, givenUp = false } = outcome);
      if (fenced !== undefined && attachmentOf(volume) !== undefined) {
        await node.fencing.audit.ended(fenced.subject, `lost: ${attachmentOf(volume)?.instanceId} was quicker`);
      }
    }
  }
  if (givenUp) throw neverAttached(node, name, volume);
  throw new DriverError('ATTACHED_ELSEWHERE', {
    volume: name,
    tried: `attach ${volume.id} to ${node.instanceId}`,
    why: 'it was attached or detached by somebody else each time it seemed free',
    todo: 'Find out which other instance wants it (get shows its owner), stop that, and try again',
  });
}

/** Refuses a volume that cannot come here, whoever has it. @throws DriverError WRONG_ZONE; ATTACHED_ELSEWHERE for Multi-Attach. */
export function refuseForeign(node: Node, name: string, volume: EbsVolume): void {
  refuseOtherZone(node, name, volume);
  refuseMultiAttach(node, name, volume);
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

/** EC2 lets several instances attach such a volume: its AttachVolume is no compare-and-swap, and keeps nobody out. */
function refuseMultiAttach(node: Node, name: string, { id, multiAttach, attachments }: EbsVolume): void {
  if (!multiAttach) return;
  const owners = attachments.map(({ instanceId }) => instanceId).join(' and ');
  throw new DriverError('ATTACHED_ELSEWHERE', {
    volume: name,
    tried: `attach ${id} to ${node.instanceId}`,
    why: `it is a Multi-Attach volume, attached to ${owners || 'no instance now'}: others may attach it at any time, and its filesystem has one writer`,
    todo: 'Detach it everywhere and turn Multi-Attach off',
  });
}

function neverAttached(node: Node, name: string, { id, encrypted, kmsKeyId }: EbsVolume): DriverError {
  return new DriverError('EC2_REJECTED', {
    volume: name,
    tried: `attach ${id} to ${node.instanceId}`,
    why: `EC2 accepts that and gives it up again each time${encrypted ? ', most likely because it may not use the KMS key of the volume' : ''}`,
    todo: encrypted
      ? `See that the key ${kmsKeyId ?? '(the default one of the account)'} is enabled and that the daemon's role may use it, then try again`
      : 'Look for the reason in the AttachVolume event in CloudTrail, then try again',
  });
}

async function makeFree(node: Node, name: string, volume: EbsVolume, attachment: Attachment): Promise<Takeover> {
  if (attachment.instanceId === node.instanceId) {
    return { volume: await releaseLeftover(node, name, volume, attachment), fenced: undefined };
  }
  const { ec2, log, instanceId, fencing } = node;
  return takeOver(
    {
      ...fencing,
      ec2,
      log,
      name,
      instanceId,
      rules: fencing.rulesOf(volume.tags),
      room: () => roomHere(node, name, volume),
      mayGoOn: () => refuseWhileDraining(node, name, undefined),
      waiting: (reason, work) => waiting(node, name, reason, work),
    },
    volume,
    attachment,
  );
}

async function whenMade(node: Node, name: string, volume: EbsVolume): Promise<EbsVolume> {
  if (volume.state === 'error') {
    throw new DriverError('EC2_INCORRECT_STATE', {
      volume: name,
      tried: `attach ${volume.id}`,
      why: 'EC2 shows it as "error": its data cannot be read any more',
      todo: 'Look at the AWS Health events of the volume, and restore its latest snapshot',
    });
  }
  if (volume.state === 'available' || volume.state === 'in-use') return volume;
  return waiting(node, name, `EC2 to make ${volume.id}`, () =>
    waitUntilCreated(node.ec2, volume, { timeoutMs: node.settings.attachTimeout * 1000 }),
  );
}

type AttachOutcome = { readonly held: Held } | { readonly volume: EbsVolume; readonly givenUp?: boolean };

/** Refusals that prove that this AttachVolume took no effect. After any other error it may have. */
const refusals: readonly ErrorCode[] = [
  'EC2_DENIED',
  'EC2_REJECTED',
  'EC2_LIMIT',
  'EC2_THROTTLED',
  'EC2_NO_SUCH_VOLUME',
  'EC2_NO_SUCH_INSTANCE',
  'NODE_FULL',
  'WRONG_ZONE',
];

/** One AttachVolume: the compare-and-swap. Gives the volume as it is when somebody else has it, or the name was bad. */
async function attachFree(
  node: Node,
  name: string,
  volume: EbsVolume,
  fenced: Fenced | undefined,
): Promise<AttachOutcome> {
  const attaching = await reserve(node, name, volume);
  const seconds = stopwatch();
  try {
    const attachment = await sendAttach(node, attaching);
    if ('volume' in attachment) {
      await drop(node, name);
      return attachment;
    }
    const held = { ...attaching, attachTime: attachment.attachTime };
    await keep(node, held);
    if (fenced !== undefined) await node.fencing.audit.ended(fenced.subject, `attached to ${node.instanceId}`);
    const disk = waitForDisk(node, held);
    const [givenUp, claimed] = await Promise.all([disk, claim(node, held, fenced, disk)]);
    if (givenUp === undefined) {
      publish('attach', { seconds: seconds() });
      return { held: await keep(node, { ...held, volume: claimed, phase: 'attached' }) };
    }
    await quarantine(node, held, 'EC2 gave up an attachment under it');
    await drop(node, name);
    return { volume: givenUp, givenUp: true };
  } catch (error) {
    // What may have taken effect stays in the journal, and the keeper settles it with EC2.
    if (isCode(error, ...refusals)) await drop(node, name);
    else node.scheduleRelease(name, 0);
    throw error;
  }
}

/** Journals the attempt before it is made, under a device name of its own. */
async function reserve(node: Node, name: string, volume: EbsVolume): Promise<Held> {
  const device = await takeName(node, name, volume);
  try {
    await node.journal.saveDevices(node.devices.uses());
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
    node.devices.free(device, undefined);
    throw error;
  }
}

/** Our attachment, or the volume as it is when it cannot be had now, or not under this name. */
async function sendAttach(node: Node, attaching: Held): Promise<Attachment | { readonly volume: EbsVolume }> {
  const { name, volume, instanceId, device } = attaching;
  const reason = `EC2 to attach ${volume.id} as ${device}`;
  const onThrottled = () => node.waits.set(name, `${reason}, which throttles these calls of the account for now`);
  return waiting(node, name, reason, async () => {
    try {
      return await node.ec2.attachVolume({ volumeId: volume.id, instanceId, device }, { onThrottled });
    } catch (error) {
      if (isCode(error, 'NODE_FULL')) throw nodeFull(node, name, volume, node.devices.inUse() - 1, error);
      if (!isCode(error, 'EC2_DEVICE_NAME_IN_USE')) return afterError(node, attaching, error);
      // EC2 or the AMI has it without telling.
      await quarantine(node, attaching, 'EC2 says that it is in use');
      return { volume };
    }
  });
}

/** "In use" may be by ourselves, and so may silence: an answer was lost, and the call took effect all the same. */
async function afterError(
  node: Node,
  { volume, instanceId, device }: Held,
  error: unknown,
): Promise<Attachment | { readonly volume: EbsVolume }> {
  if (!isCode(error, 'EC2_VOLUME_IN_USE', 'EC2_INCORRECT_STATE', 'EC2_UNAVAILABLE')) throw error;
  const now = await node.ec2.describeVolume(volume.id).catch((failed: unknown) => {
    // What the look is refused for proves nothing about the attachment.
    throw isCode(failed, ...refusals) ? error : failed;
  });
  const ours = now?.attachments.find((each) => isOurs({ volumeId: volume.id, instanceId, device }, each));
  if (ours !== undefined) return ours;
  if (now === undefined || error.code === 'EC2_UNAVAILABLE') throw error;
  // A read that shows the volume free is behind: look again a little later.
  if (now.attachments.length === 0) await sleep(staleMs);
  return { volume: now };
}

/**
 * The disk appears here before EC2 says "attached"; EC2 is read only to notice that it never will.
 * @returns undefined when the disk is here; the volume when EC2 accepted the attachment and then gave it up.
 */
async function waitForDisk(node: Node, held: Held): Promise<EbsVolume | undefined> {
  const { name, volume, device } = held;
  const done = new AbortController();
  const here = node.host.waitForDevice(volume.id, device, done.signal).then(() => undefined);
  const givenUp = untilGivenUp(node, held, done.signal);
  try {
    return await waiting(node, name, `${volume.id} to appear on this machine (${device})`, () =>
      Promise.race([here, givenUp]),
    );
  } finally {
    done.abort();
    await Promise.allSettled([here, givenUp]);
  }
}

async function untilGivenUp(node: Node, held: Held, signal: AbortSignal): Promise<EbsVolume> {
  const { volume, instanceId, device, attachTime } = held;
  const attachment = { volumeId: volume.id, instanceId, device, attachTime };
  const timeoutMs = node.settings.attachTimeout * 1000;
  await waitUntilDetached(node.ec2, attachment, {
    signal,
    timeoutMs,
    delayMs: attachCheckMs,
    intervalMs: attachCheckMs,
  });
  // One read without it may be stale.
  return waitUntilDetached(node.ec2, attachment, { signal, timeoutMs, delayMs: staleMs });
}
