import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsSnapshot, EbsVolume } from '../../ebs/types.ts';
import { visibilityMs } from '../../ebs/volume-record.ts';
import { DriverError, isCode } from '../../errors.ts';
import type { Node } from '../state/node.ts';
import { type Consistency, consistencies, type Wanted } from './snapshot-tags.ts';

const lookMs = 1000;

/** What errors say that was tried. */
export const tried = 'take a snapshot of it';

/** A snapshot that EC2 has begun: what it holds is fixed. */
export interface Taken {
  readonly snapshotId: string;
  readonly name: string;
  readonly volumeId: string;
  readonly consistency: Consistency;
  /** How long writers stood still; undefined where they did not. */
  readonly frozenSeconds: number | undefined;
  /** Of a schedule: the slots that it stands for. */
  readonly slots?: readonly string[] | undefined;
}

/** A snapshot of a volume that has just been begun. */
export const taken = (
  { id: volumeId }: Pick<EbsVolume, 'id'>,
  { name, slots }: Wanted,
  snapshotId: string,
  consistency: Consistency,
  frozenSeconds?: number,
): Taken => ({ snapshotId, name, volumeId, consistency, frozenSeconds, slots });

/** A snapshot that is there. */
export function asTaken({ id, tags }: EbsSnapshot, wanted: Wanted, volume: Pick<EbsVolume, 'id'>): Taken {
  const consistency = consistencies.find((known) => known === tags[tagKeys.consistency]) ?? 'crash';
  const name = tags[tagKeys.snapshotName] ?? wanted.name;
  return taken(volume, { ...wanted, name, slots: tags[tagKeys.slots]?.split(' ') }, id, consistency);
}

/** EC2 has no token for a snapshot: a lost answer is looked for by the request, and never asked for again. */
export async function settled(
  { ec2 }: Node,
  volume: string,
  { request }: Wanted,
  lost: DriverError,
): Promise<EbsSnapshot> {
  for (let waited = 0; waited <= visibilityMs; waited += lookMs) {
    const [found] = await ec2.findSnapshots(tagKeys.snapshotRequest, request).catch(() => []);
    if (found !== undefined) return found;
    await sleep(lookMs);
  }
  const why = `${lost.parts.why}; EC2 shows no snapshot of this request`;
  const todo = 'See with docker-volume-ebs snapshot ls whether it has come all the same, and take another if not';
  throw new DriverError('EC2_UNAVAILABLE', { volume, tried, why, todo, cause: lost });
}

/** The tag of a new snapshot promises the least: here is what is known better. EC2 may not know a new id for some seconds. */
export async function telling(
  { ec2, log }: Node,
  name: string,
  { snapshotId, consistency, volumeId }: Taken,
): Promise<void> {
  log.info({ op: 'snapshot', volume: name, volumeId, snapshotId, consistency }, 'snapshot taken');
  if (consistency === 'crash') return;
  for (let waited = 0; ; waited += lookMs) {
    try {
      return await ec2.createTags(snapshotId, { [tagKeys.consistency]: consistency });
    } catch (error) {
      if (!isCode(error, 'EC2_NO_SUCH_SNAPSHOT') || waited >= visibilityMs) {
        log.warn({ op: 'snapshot', volume: name, snapshotId, err: error }, 'its tag says crash, and it is better');
        return;
      }
      await sleep(lookMs);
    }
  }
}
