import { DriverError } from '../errors.ts';
import type { Attachment, AttachmentKey, EbsVolume, Ec2 } from './types.ts';
import { type WaitOptions, waitForVolume } from './waits.ts';

type Reader = Pick<Ec2, 'describeVolume'>;

/** How long a new volume may be missing from EC2's answers before it counts as gone: answers lag behind. */
const appearsWithinMs = 15_000;
/** How long something must be seen without interruption before one stale answer cannot be the cause. */
const settledAfterMs = 3_000;

/**
 * Waits until a volume just created can be attached, from CreateVolume's answer on; one that another node has attached
 * meanwhile counts too. Gives it as EC2 shows it then.
 * @throws DriverError CREATE_VANISHED when EC2 has given it up; STILL_WORKING after the timeout.
 */
export async function waitUntilCreated(ec2: Reader, created: EbsVolume, options: WaitOptions): Promise<EbsVolume> {
  const tried = `create ${created.id}`;
  const missing = stopwatch();
  let seen = false;
  const until = (volume: EbsVolume | undefined): EbsVolume | undefined => {
    if (volume === undefined) {
      if (missing.running() < (seen ? settledAfterMs : appearsWithinMs)) return undefined;
      throw vanished(tried, created, 'it is gone again');
    }
    seen = true;
    missing.reset();
    if (volume.state === 'creating') return undefined;
    if (volume.state === 'available' || volume.state === 'in-use') return volume;
    throw vanished(tried, created, `EC2 shows it as ${volume.state}`);
  };
  if (created.state !== 'creating') return until(created) ?? created;
  return waitForVolume({
    ...options,
    tried,
    until,
    read: (signal) => ec2.describeVolume(created.id, { signal, lane: options.lane }),
  });
}

/** EC2 accepts a volume whose KMS key it cannot use and then drops it without a word (aws-ebs-csi-driver#3010). */
function vanished(tried: string, { encrypted, kmsKeyId }: EbsVolume, what: string): DriverError {
  return new DriverError('CREATE_VANISHED', {
    tried,
    why: `EC2 accepted it, but ${what}${encrypted ? ', most likely because EC2 may not use its KMS key' : ''}`,
    todo: encrypted
      ? `Check that the key ${kmsKeyId ?? '(the default one of the account)'} is enabled, and that its policy and the daemon's role allow kms:CreateGrant, kms:Decrypt and kms:GenerateDataKeyWithoutPlaintext`
      : 'Look for the reason in the CreateVolume event in CloudTrail, then create the volume again',
  });
}

/**
 * Waits until EC2 no longer shows the attachment, after DetachVolume was accepted. Gives the volume as it is then; a
 * newer attachment may be on it. Without an attach time, whatever is at that instance and device counts as this one.
 * @throws DriverError EC2_NO_SUCH_VOLUME when the volume is gone; STILL_WORKING after the timeout.
 */
export function waitUntilDetached(
  ec2: Reader,
  attachment: AttachmentKey & { readonly attachTime?: string | undefined },
  options: WaitOptions,
): Promise<EbsVolume> {
  const { volumeId, instanceId, device } = attachment;
  const tried = `detach ${volumeId} from ${instanceId} (${device})`;
  const missing = stopwatch();
  const until = (volume: EbsVolume | undefined): EbsVolume | undefined => {
    if (volume === undefined) return stillMissing(missing, tried);
    missing.reset();
    const held = volume.attachments.some(
      (seen) => seen.state !== 'detached' && isAt(seen, attachment) && !isNewer(seen.attachTime, attachment.attachTime),
    );
    return held ? undefined : volume;
  };
  return waitForVolume({
    ...options,
    tried,
    until,
    read: (signal) => ec2.describeVolume(volumeId, { signal, lane: options.lane }),
  });
}

const isAt = (attachment: Attachment, key: AttachmentKey): boolean =>
  attachment.instanceId === key.instanceId && attachment.device === key.device;

/** By a whole second: EC2 may give one attach time with and without its milliseconds, which must not look like two. */
const isNewer = (seen: string, known: string | undefined): boolean =>
  known !== undefined && Date.parse(seen) - Date.parse(known) >= 1000;

/** One answer without the volume may be stale; it is gone when it stays away. */
function stillMissing(missing: Stopwatch, tried: string): undefined {
  if (missing.running() < settledAfterMs) return undefined;
  throw new DriverError('EC2_NO_SUCH_VOLUME', {
    tried,
    why: 'EC2 lists no such volume any more',
    todo: 'Look for the volume in the EC2 console: it may have been deleted there',
  });
}

type Stopwatch = ReturnType<typeof stopwatch>;

/** Tells for how many milliseconds something has been so: from the first `running` after the last `reset`. */
function stopwatch() {
  let since: number | undefined;
  return {
    running: (): number => {
      since ??= performance.now();
      return performance.now() - since;
    },
    reset: (): undefined => {
      since = undefined;
    },
  };
}
