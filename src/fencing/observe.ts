import { tagKeys } from '../ebs/tags.ts';
import type { Attachment, EbsVolume, Ec2, Instance } from '../ebs/types.ts';
import { isSame, ownerOf, readPause } from './records.ts';
import type { Observation, OwnerRecord, Rules, Testimony } from './types.ts';

export interface ObserveContext {
  readonly ec2: Pick<Ec2, 'describeInstance' | 'describeHealth' | 'findTagged'>;
  /** This node. */
  readonly instanceId: string;
  /** The volume's name, for messages. */
  readonly name: string;
  readonly rules: Rules;
  readonly schedulers: {
    testimony(owner: OwnerRecord | undefined, instance: Instance | undefined): Promise<readonly Testimony[]>;
  };
}

/** Nobody waits longer for what only tells more. */
const checksMs = 3_000;

/** Takeovers go before other work when EC2's budget is short. */
export const lane = { lane: 'takeover' } as const;

/**
 * Everything the policy can use about a volume that another instance has. Changes nothing.
 * @param attachment one of the volume's, as EC2 showed it.
 * @throws DriverError EC2_* when any part cannot be read: unknown is never evidence.
 */
export async function observe(
  { ec2, instanceId, name, rules, schedulers }: ObserveContext,
  volume: EbsVolume,
  attachment: Attachment,
): Promise<Observation> {
  const ownerId = attachment.instanceId;
  const suspicious = rules.policy === 'stonith' && ownerId !== undefined;
  // Its answer also carries EC2's clock, by which the age of an attachment is told, and what happened within the hour.
  const mayAct = suspicious || (rules.policy === 'preempt' && ownerId !== undefined);
  const [owner, paused, health] = await Promise.all([
    ownerId === undefined ? undefined : ec2.describeInstance(ownerId, lane),
    readPaused(ec2),
    mayAct ? ec2.describeHealth(ownerId, lane) : undefined,
  ]);
  const testimony = suspicious ? await schedulers.testimony(ownerOf(volume.tags, attachment), owner) : [];
  return {
    volume,
    attachment,
    owner,
    health,
    testimony,
    paused,
    taker: instanceId,
    name,
  };
}

/**
 * The same with EC2's checks of an owner that runs, which people want to know where no policy asks for them. What EC2 does
 * not tell soon, or does not let this node know, is left out.
 */
export async function withChecks({ ec2 }: Pick<ObserveContext, 'ec2'>, seen: Observation): Promise<Observation> {
  if (seen.health !== undefined || seen.owner?.state !== 'running') return seen;
  const signal = AbortSignal.timeout(checksMs);
  const health = await ec2.describeHealth(seen.owner.id, { ...lane, signal }).catch(() => undefined);
  return { ...seen, health };
}

/** Why an operator has paused fencing in the cluster, on whatever volume it is said; undefined when it goes on. */
export async function readPaused(ec2: Pick<Ec2, 'findTagged'>): Promise<string | undefined> {
  const volumes = await ec2.findTagged(tagKeys.paused, lane);
  return volumes.flatMap(({ tags }) => readPause(tags) ?? [])[0];
}

/** The attachment as the volume shows it now; undefined when it is over. */
export function stillThere(volume: EbsVolume, attachment: Attachment): Attachment | undefined {
  return volume.attachments.find((each) => each.state !== 'detached' && isSame(attachment, each));
}
