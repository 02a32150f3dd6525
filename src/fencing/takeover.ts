import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Attachment, EbsVolume, Ec2 } from '../ebs/types.ts';
import { waitUntilDetached } from '../ebs/volume-waits.ts';
import { DriverError, isCode } from '../errors.ts';
import { type Decision, decide, type FencePolicy } from './decide.ts';

type Refusal = Extract<Decision, { kind: 'refuse' }>;

/** How long a running owner gets to let go: a planned move reaches the new node before the old one has finished. */
const handoverMs = 10_000;
const handoverCheckMs = 2000;
/** Between the two looks at a stopped owner. */
const recheckMs = 5000;
const detachTimeoutMs = 60_000;

export interface TakeoverContext {
  readonly ec2: Ec2;
  readonly log: Logger;
  /** The volume's name, for messages. */
  readonly name: string;
  /** This node. */
  readonly instanceId: string;
  readonly policy: FencePolicy;
  /** Does work and says meanwhile what the volume waits for. */
  waiting<T>(reason: string, work: () => Promise<T>): Promise<T>;
}

/**
 * Frees a volume that another instance has: waits for a detach under way, gives a running owner a moment to let go,
 * takes it from an owner that is proven to be finished with it.
 * @returns the volume as EC2 shows it afterwards: free, or with a newer attachment that must be judged anew.
 * @throws DriverError ATTACHED_ELSEWHERE with the owner and what to do.
 */
export async function takeOver(
  context: TakeoverContext,
  volume: EbsVolume,
  attachment: Attachment,
): Promise<EbsVolume> {
  const owner = attachment.instanceId ?? 'a resource that AWS manages';
  if (attachment.state === 'detaching' && attachment.instanceId !== undefined) {
    const letGo = await handover(context, attachment, `${owner} to let go of ${volume.id} (detaching)`);
    if (letGo !== undefined) return letGo;
  }
  const first = await decided(context, volume, attachment, owner);
  if ('volume' in first) return first.volume;
  const { decision } = first;
  if (decision.kind === 'refuse') throw refused(context, volume, decision);
  if (decision.evidence === 'stopped') {
    const second = await context.waiting(`a second look at ${owner}, which is stopped`, async () => {
      await sleep(recheckMs);
      return judgeAfresh(context, attachment);
    });
    if ('volume' in second) return second.volume;
    if (second.decision.kind === 'refuse') throw refused(context, volume, second.decision);
  }
  return fence(context, attachment, decision.reason);
}

type Judgement = { readonly volume: EbsVolume } | { readonly decision: Decision };

/** The decision, a refusal only after the owner has had its moment to let go. */
async function decided(
  context: TakeoverContext,
  volume: EbsVolume,
  attachment: Attachment,
  owner: string,
): Promise<Judgement> {
  const decision = await judge(context, volume, attachment);
  if (decision.kind === 'take' || attachment.instanceId === undefined) return { decision };
  const letGo = await handover(context, attachment, `${owner} to let go of ${volume.id}`);
  return letGo === undefined ? judgeAfresh(context, attachment) : { volume: letGo };
}

async function judge(context: TakeoverContext, volume: EbsVolume, attachment: Attachment): Promise<Decision> {
  const { instanceId } = attachment;
  const owner = instanceId === undefined ? undefined : await context.ec2.describeInstance(instanceId);
  const decision = decide(context.policy, { volume, attachment, owner });
  context.log.info(
    { volume: context.name, volumeId: volume.id, op: 'fence', attachment, ownerState: owner?.state, decision },
    'fencing decision',
  );
  return decision;
}

/** A fresh look at both: the volume comes back when it is no longer the attachment that was judged. */
async function judgeAfresh(context: TakeoverContext, attachment: Attachment): Promise<Judgement> {
  const volume = await context.ec2.describeVolume(attachment.volumeId);
  if (volume === undefined) throw disappeared(context, attachment.volumeId);
  const same = volume.attachments.find(
    ({ instanceId, device, attachTime }) =>
      instanceId === attachment.instanceId && device === attachment.device && attachTime === attachment.attachTime,
  );
  if (same === undefined) return { volume };
  return { decision: await judge(context, volume, same) };
}

/** Waits a moment for the owner to detach by itself; undefined if it does not. */
async function handover(
  context: TakeoverContext,
  attachment: Attachment,
  reason: string,
): Promise<EbsVolume | undefined> {
  const { instanceId } = attachment;
  if (instanceId === undefined) return undefined;
  try {
    return await context.waiting(reason, () =>
      waitUntilDetached(
        context.ec2,
        { ...attachment, instanceId },
        { timeoutMs: handoverMs, intervalMs: handoverCheckMs, delayMs: handoverCheckMs },
      ),
    );
  } catch (error) {
    if (isCode(error, 'STILL_WORKING')) return undefined;
    throw error;
  }
}

/** The detach names volume, instance and device: if the owner has come back with a new attachment, it fails. */
async function fence(context: TakeoverContext, attachment: Attachment, reason: string): Promise<EbsVolume> {
  const { volumeId, device } = attachment;
  const instanceId = attachment.instanceId ?? '';
  context.log.warn(
    { volume: context.name, volumeId, op: 'fence', owner: instanceId, device, reason },
    'taking the volume over',
  );
  return context.waiting(`EC2 to detach ${volumeId} from ${instanceId}, because ${reason}`, async () => {
    try {
      await context.ec2.detachVolume({ volumeId, instanceId, device });
    } catch (error) {
      // Another node may have been quicker, or EC2 itself (a terminated owner): the wait below sees what is so.
      if (!isCode(error, 'EC2_NOT_ATTACHED', 'EC2_INCORRECT_STATE')) throw error;
    }
    return waitUntilDetached(context.ec2, { ...attachment, instanceId }, { timeoutMs: detachTimeoutMs });
  });
}

function refused(context: TakeoverContext, volume: EbsVolume, decision: Refusal): DriverError {
  return new DriverError('ATTACHED_ELSEWHERE', {
    volume: context.name,
    tried: `attach ${volume.id} to ${context.instanceId}`,
    why: decision.reason,
    todo: decision.todo,
  });
}

function disappeared(context: TakeoverContext, volumeId: string): DriverError {
  return new DriverError('EC2_NO_SUCH_VOLUME', {
    volume: context.name,
    tried: `take over ${volumeId}`,
    why: 'EC2 lists no such volume any more',
    todo: 'Look for it in the EC2 console: it may have been deleted there',
  });
}
