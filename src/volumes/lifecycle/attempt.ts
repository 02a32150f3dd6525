import { setTimeout as sleep } from 'node:timers/promises';
import type { Attachment, EbsVolume } from '../../ebs/types.ts';
import { waitUntilDetached } from '../../ebs/volume-waits.ts';
import { DriverError, type ErrorCode, isCode } from '../../errors.ts';
import { publish, stopwatch } from '../../events.ts';
import type { Fenced } from '../../fencing/takeover.ts';
import type { Held } from '../state/held.ts';
import { refuseLeaving } from '../state/leaving.ts';
import { noSuchVolume } from '../state/lookup.ts';
import { drop, keep, type Node, quarantine, waiting } from '../state/node.ts';
import { isOurs } from './attachment-key.ts';
import { claim } from './claim.ts';
import { confirmName, type Look } from './confirm-name.ts';
import { finishDetach } from './detach.ts';
import { refuseForeign } from './foreign.ts';
import { settleFormer } from './former-owner.ts';
import { nodeFull, takeName } from './room.ts';

/** EC2 is read during an attach only to notice that it failed: the disk announces itself here. */
const attachCheckMs = 3000;
const staleMs = 1000;
/** Pauses before an AttachVolume that was refused for a modification is repeated; the last one is repeated. */
const modifyingMs = [1000, 2000, 4000, 8000, 10_000];
const surveyFailed = 'what is attached to this instance could not be read anew';

/** `refusal`: why EC2 did not attach it, in EC2's own words; undefined where it did, and the name was not its own. */
type AttachOutcome = { readonly held: Held } | NotAttached;
interface NotAttached {
  readonly volume: EbsVolume;
  readonly refusal: DriverError | undefined;
}

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
  'EC2_VOLUME_MODIFYING',
];

/**
 * One AttachVolume: the compare-and-swap, for a volume that seems free; and under it a look whether it still has the name.
 * @returns the volume in phase attached, its disk present; the volume as it is when somebody else has it, when the device
 * name was bad, or when EC2 gave the attachment up; another volume that has the name now.
 * @param seenFree true when EC2 has just shown the volume with its name and the end of another's attachment. Nobody can
 * have taken the name off since: that takes an attachment, which is held for longer than reads lag. No look is made then.
 * @param how for whoever wants the attachment as a lock: the look under it, and what its record says from the first step on.
 * @throws DriverError NO_SUCH_VOLUME when no volume has the name any more; AMBIGUOUS_NAME; NODE_FULL, STILL_WORKING, EC2_*.
 */
export async function attachFree(
  node: Node,
  name: string,
  volume: EbsVolume,
  fenced: Fenced | undefined,
  seenFree = false,
  how: { readonly look: Look; readonly giving?: true } = { look: confirmName },
): Promise<AttachOutcome> {
  const attaching = await reserve(node, name, volume, how.giving);
  const seconds = stopwatch();
  const attachment = await sendAttach(node, attaching).catch(async (error: unknown) => {
    // What may have taken effect stays in the journal, and the keeper settles it with EC2.
    if (isCode(error, ...refusals)) await drop(node, name);
    else node.scheduleRelease(name, 0);
    throw error;
  });
  if ('volume' in attachment) {
    await drop(node, name);
    return attachment;
  }
  try {
    const held = { ...attaching, attachTime: attachment.attachTime };
    await keep(node, held);
    if (fenced !== undefined) await node.fencing.audit.ended(fenced.subject, `attached to ${node.instanceId}`);
    const outcome = await settle(node, held, fenced, seenFree ? async () => ({ volume }) : how.look);
    if ('held' in outcome) publish('attach', { seconds: seconds() });
    return outcome;
  } catch (error) {
    node.scheduleRelease(name, 0);
    throw error;
  }
}

/** From AttachVolume's answer to a disk that is here, under a name that is its own. */
async function settle(
  node: Node,
  held: Held & { readonly attachTime: string },
  fenced: Fenced | undefined,
  look: Look,
): Promise<AttachOutcome> {
  const disk = waitForDisk(node, held);
  const named = look(node, held, disk).then(async ({ volume }) => {
    if (volume?.id !== held.volume.id) return { volume };
    refuseForeign(node, held.name, volume);
    if (!held.giving) refuseLeaving(held.name, volume, `attach ${volume.id}`);
    // A takeover has judged whom it took it from, and waited.
    if (fenced === undefined) await settleFormer(node, held.name, volume);
    return { volume: await claim(node, { ...held, volume }, fenced, disk) };
  });
  const [givenUp, { volume }] = await Promise.all([disk, named]);
  if (givenUp !== undefined) {
    await quarantine(node, held, 'EC2 gave up an attachment under it');
    await drop(node, held.name);
    return { volume: givenUp, refusal: neverAttached(node, held.name, givenUp) };
  }
  if (volume?.id === held.volume.id) return { held: await keep(node, { ...held, volume, phase: 'attached' }) };
  node.log.warn(
    { volume: held.name, volumeId: held.volume.id, now: volume?.id },
    'it had lost its name before it was attached here: it is given back',
  );
  await finishDetach(node, await keep(node, { ...held, phase: 'detaching' }));
  if (volume === undefined) throw noSuchVolume(held.name, 'attach it');
  return { volume, refusal: undefined };
}

/** Journals the attempt before it is made, under a device name of its own. */
async function reserve(node: Node, name: string, volume: EbsVolume, giving: true | undefined): Promise<Held> {
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
      ...(giving && { giving }),
    });
  } catch (error) {
    node.devices.free(device, undefined);
    throw error;
  }
}

/** Our attachment, or the volume as it is when it cannot be had now, or not under this name. */
export async function sendAttach(node: Node, attaching: Held): Promise<Attachment | NotAttached> {
  const { name, volume, instanceId, device } = attaching;
  const reason = `EC2 to attach ${volume.id} as ${device}`;
  const { limit } = node.survey.capacity;
  const card = limit?.cards === undefined ? undefined : node.devices.chooseCard(device, limit.cards);
  const onThrottled = () => node.waits.set(name, `${reason}, which throttles these calls of the account for now`);
  return waiting(node, name, reason, async () => {
    try {
      return await onceModified(node, attaching, () =>
        node.ec2.attachVolume({ volumeId: volume.id, instanceId, device, card }, { onThrottled }),
      );
    } catch (error) {
      if (isCode(error, 'NODE_FULL')) throw nodeFull(node, name, volume, node.devices.inUse() - 1, error);
      if (!isCode(error, 'EC2_DEVICE_NAME_IN_USE')) return afterError(node, attaching, error);
      // The AMI has it without telling EC2; or others have attached disks since the survey, several perhaps.
      await quarantine(node, attaching, 'EC2 says that it is in use');
      await node.survey.again().catch((failed: unknown) => node.log.warn({ volume: name, err: failed }, surveyFailed));
      return { volume, refusal: error.about(name) };
    }
  });
}

/**
 * AttachVolume, repeated while EC2 refuses it because the volume is being modified. That ends by itself, in seconds to
 * minutes; to ask how far it is would cost another permission and as many calls.
 */
async function onceModified(node: Node, { name, volume }: Held, attach: () => Promise<Attachment>) {
  const since = performance.now();
  for (let tries = 0; ; tries += 1) {
    try {
      return await attach();
    } catch (error) {
      const waited = performance.now() - since;
      if (!isCode(error, 'EC2_VOLUME_MODIFYING') || waited >= node.settings.mountTimeout * 1000) throw error;
      const reason = `EC2 to finish modifying ${volume.id}: until then it attaches it nowhere`;
      const pause = modifyingMs[Math.min(tries, modifyingMs.length - 1)];
      await waiting(node, name, reason, () => sleep(pause));
    }
  }
}

/** "In use" may be by ourselves, and so may silence: an answer was lost, and the call took effect all the same. */
async function afterError(
  node: Node,
  { name, volume, instanceId, device }: Held,
  error: unknown,
): Promise<Attachment | NotAttached> {
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
  return { volume: now, refusal: error.about(name) };
}

/**
 * The disk appears here before EC2 says "attached"; EC2 is read only to notice that it never will.
 * @returns undefined when the disk is here; the volume when EC2 accepted the attachment and then gave it up.
 */
export async function waitForDisk(node: Node, held: Held): Promise<EbsVolume | undefined> {
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
  }).catch((error: unknown) => {
    throw isCode(error, 'STILL_WORKING') ? neverAppeared(held, error) : error;
  });
  // One read without it may be stale.
  return waitUntilDetached(node.ec2, attachment, { signal, timeoutMs, delayMs: staleMs });
}

/** EC2 has accepted the attachment, and the machine never sees the disk; `late` says what EC2 shows. */
function neverAppeared({ name, volume, instanceId, device }: Held, late: DriverError): DriverError {
  return new DriverError('STILL_WORKING', {
    volume: name,
    tried: `attach ${volume.id} to ${instanceId} as ${device}`,
    why: `its disk did not appear on this machine: ${late.parts.why}`,
    todo:
      'Try again: it is then attached under another name. If it does not appear again and EC2 showed "attaching", the instance ' +
      'has most likely no place left (on most types network interfaces and instance-store disks take places, too) or its AMI ' +
      'uses that name: free a place, or use another node. If EC2 showed "attached", look for the NVMe driver in the ' +
      "machine's kernel log (dmesg)",
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
