import { setTimeout as sleep } from 'node:timers/promises';
import type { EbsVolume, VolumeModification, VolumeShape } from '../../ebs/types.ts';
import { DriverError, isCode } from '../../errors.ts';
import { type Node, waiting } from '../state/node.ts';

/** Pauses before a ModifyVolume that was refused for the rate of calls, which proves that it took no effect. */
const throttledMs = [1000, 2000, 4000, 8000];
const lookMs = 1000;

export type Change = Partial<VolumeShape>;

/** What ModifyVolume came to: begun now, under way or done already, or nothing to do. */
export interface Modified {
  readonly modification: VolumeModification | undefined;
  /** Whether this call sent a ModifyVolume that took effect. */
  readonly sent: boolean;
}

/**
 * Has EC2 change a volume, once: what was asked for already is not asked for again, and a ModifyVolume whose answer was
 * lost is settled by what EC2 lists of its modifications. Asking again after any failure is safe.
 * @param volume as EC2 has just described it. @param change what it is to be, in absolute values.
 * @throws DriverError EC2_VOLUME_MODIFYING, EC2_MODIFIED_TOO_OFTEN, EC2_*.
 */
export async function modify(node: Node, name: string, volume: EbsVolume, change: Change): Promise<Modified> {
  const last = await node.ec2.describeModification(volume.id);
  if (last !== undefined && isUnderWay(last) && leadsTo(last.target, change))
    return { modification: last, sent: false };
  // The last is no longer of interest: EC2 may have made another of it since.
  if (leadsTo(volume, change)) return { modification: undefined, sent: false };
  return waiting(node, name, `EC2 to take a modification of ${volume.id}`, () =>
    send(node, volume, differing(volume, change), last),
  );
}

/** What of a change differs from what the volume is. */
export function differing(volume: VolumeShape, change: Change): Change {
  return Object.fromEntries(
    Object.entries(change).filter(([key, value]) => volume[key as keyof VolumeShape] !== value),
  );
}

/** True while EC2 works on it: the size may count already, and no other modification is taken. */
export const isUnderWay = ({ state }: VolumeModification): boolean => state === 'modifying' || state === 'optimizing';

function leadsTo(shape: VolumeShape, change: Change): boolean {
  const keys = ['sizeGib', 'type', 'iops', 'throughput'] as const;
  return keys.every((key) => change[key] === undefined || change[key] === shape[key]);
}

async function send(
  node: Node,
  volume: EbsVolume,
  change: Change,
  last: VolumeModification | undefined,
): Promise<Modified> {
  for (let tries = 0; ; tries += 1) {
    try {
      const modification = await node.ec2.modifyVolume(volume.id, change);
      node.log.info({ volumeId: volume.id, change }, 'EC2 modifies it');
      return { modification, sent: true };
    } catch (error) {
      const pause = throttledMs[tries];
      if (isCode(error, 'EC2_THROTTLED') && pause !== undefined) await sleep(pause);
      else if (isCode(error, 'EC2_UNAVAILABLE')) return await settle(node, volume, change, last, error);
      else if (isCode(error, 'EC2_VOLUME_MODIFYING')) return await joined(node, volume, change, error);
      else throw error;
    }
  }
}

/** The answer was lost: EC2's list tells whether it took effect, with some delay. */
async function settle(
  node: Node,
  { id }: EbsVolume,
  change: Change,
  last: VolumeModification | undefined,
  lost: DriverError,
): Promise<Modified> {
  for (let waited = 0; waited <= node.visibleMs; waited += lookMs) {
    const now = await node.ec2.describeModification(id).catch(() => undefined);
    const isNew = now !== undefined && now.startedAt !== last?.startedAt;
    if (isNew && leadsTo(now.target, change)) return { modification: now, sent: true };
    await sleep(lookMs);
  }
  throw new DriverError('EC2_UNAVAILABLE', {
    tried: lost.parts.tried,
    why: `${lost.parts.why}; EC2 lists no such modification, but may still take it`,
    todo: 'Ask for the same values again: what EC2 has taken meanwhile is found, and not asked for twice',
    cause: lost,
  });
}

/** Another is under way: that may be the very one, asked for a moment ago, which the list did not show yet. */
async function joined(node: Node, { id }: EbsVolume, change: Change, refusal: DriverError): Promise<Modified> {
  const now = await node.ec2.describeModification(id);
  if (now !== undefined && isUnderWay(now) && leadsTo(now.target, change)) return { modification: now, sent: false };
  const progress = now === undefined ? '' : ` (${now.state}, ${now.progress}% done)`;
  throw new DriverError(refusal.code, { ...refusal.parts, why: `${refusal.parts.why}${progress}`, cause: refusal });
}
