import { tagKeys } from '../../ebs/tags.ts';
import type { VolumeStatus } from '../../ebs/types.ts';
import type { Held } from '../state/held.ts';
import type { Node } from '../state/node.ts';

/** How much of what a volume was made from is on its disk. */
export type Initialized = NonNullable<VolumeStatus['initialized']>;

/** Whoever asks at night waits no longer for what is only told beside the volumes. */
const patienceMs = 1500;
/** A call each: one volume that is not told of is no harm. */
const mostAsked = 10;

/**
 * Asks EC2 how far volumes are that were made from a snapshot or another volume, when a person asks; one that is known to be
 * complete is not asked for again.
 * @returns by name, those that are not complete.
 */
export function createInitializedReader(): (node: Node) => Promise<ReadonlyMap<string, Initialized>> {
  const complete = new Set<string>();
  return async ({ ec2, held }) => {
    const open = [...held.values()].filter((each) => isMade(each) && !complete.has(each.volume.id)).slice(0, mostAsked);
    const options = { lane: 'list', signal: AbortSignal.timeout(patienceMs) } as const;
    const told = await Promise.all(
      open.map(async ({ name, volume: { id } }): Promise<[string, Initialized][]> => {
        const status = await ec2.describeVolumeStatus(id, options).catch(() => undefined);
        const initialized = status?.initialized;
        if (initialized === undefined) return [];
        if (initialized.share < 1) return [[name, initialized]];
        complete.add(id);
        return [];
      }),
    );
    return new Map(told.flat());
  };
}

const isMade = ({ volume: { snapshotId, tags } }: Held): boolean =>
  snapshotId !== undefined || tags[tagKeys.from] !== undefined;
