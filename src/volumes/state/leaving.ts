import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume, Tags } from '../../ebs/types.ts';
import { DriverError } from '../../errors.ts';

/** Who removes a volume from another zone, and since when (RFC 3339). */
export interface Leaving {
  readonly by: string;
  readonly since: string;
}

/** The value of the tag. */
export const leavingMark = ({ by, since }: Leaving): string => `${by} ${since}`;

/** What the tag says; undefined where there is none, or one that this driver did not write. Pure. */
export function readLeaving(tags: Tags): Leaving | undefined {
  const [by = '', since = '', ...more] = tags[tagKeys.leaving]?.split(' ') ?? [];
  return by === '' || more.length > 0 || Number.isNaN(Date.parse(since)) ? undefined : { by, since };
}

/**
 * Refuses a volume that is being removed from another zone: what is written to it now would be in no copy.
 * @throws DriverError STILL_WORKING.
 */
export function refuseLeaving(name: string, { id, zone, tags }: EbsVolume, tried: string): void {
  if (tags[tagKeys.leaving] === undefined) return;
  const { by, since } = readLeaving(tags) ?? { by: 'somebody', since: 'an unknown time' };
  throw new DriverError('STILL_WORKING', {
    volume: name,
    tried,
    why: `${by} is removing ${id} from another zone since ${since}: a last snapshot is taken, and then it is deleted`,
    todo: `To keep it, run docker-volume-ebs undelete ${name} on a node in ${zone}; else wait until it is gone`,
  });
}
