import { isCode, toDriverError } from '../../errors.ts';
import { publish } from '../../events.ts';
import { operation } from '../../log.ts';
import type { Schedule } from '../options/schedule.ts';
import type { Node } from '../state/node.ts';
import { expired } from './retention.ts';
import { readSnapshot } from './snapshot-tags.ts';

/** A schedule that keeps fewer than before comes down to that slot by slot. */
const mostAtOnce = 20;
const lane = { lane: 'list' } as const;

/**
 * Deletes what the schedule of a volume keeps no longer. @returns why one could not be deleted, as a clause; undefined where all
 * were. Never fails. One that EC2 does not give up, as it is locked or an AMI's, is passed over from then on.
 */
export function createRetirement(
  node: Pick<Node, 'ec2' | 'log'>,
): (name: string, volumeId: string, schedule: Schedule) => Promise<string | undefined> {
  const { ec2, log } = node;
  const passedOver = new Set<string>();

  const deleteOne = async (name: string, snapshotId: string, slots: readonly string[]): Promise<string | undefined> => {
    try {
      await ec2.deleteSnapshot(snapshotId, lane);
      publish('snapshot', { kind: 'scheduled', outcome: 'deleted' });
      log.info({ volume: name, snapshotId, slots }, 'a snapshot that its schedule keeps no longer is deleted');
      return undefined;
    } catch (error) {
      if (isCode(error, 'EC2_NO_SUCH_SNAPSHOT')) return undefined;
      const { code, parts } = toDriverError(error, `delete its snapshot ${snapshotId}`);
      if (code === 'EC2_REJECTED') passedOver.add(snapshotId);
      publish('snapshot', { kind: 'scheduled', outcome: 'not-deleted' });
      log.warn({ volume: name, snapshotId, err: error }, 'a snapshot that its schedule keeps no longer stays');
      return code === 'EC2_REJECTED' ? undefined : parts.why;
    }
  };
  const retire = async (name: string, volumeId: string, schedule: Schedule): Promise<string | undefined> => {
    const all = (await ec2.snapshotsOf([volumeId], lane)).map((each) => readSnapshot(each));
    const gone = expired(schedule, volumeId, all).filter(({ id }) => !passedOver.has(id));
    for (const { id, slots } of gone.slice(0, mostAtOnce)) {
      const why = await deleteOne(name, id, slots);
      // What keeps one keeps the others: a permission, or EC2's pace.
      if (why !== undefined) return `its old snapshots are not deleted: ${why}`;
    }
    return undefined;
  };

  return (name, volumeId, schedule) =>
    operation
      .run({ op: 'retention', volume: name }, () => retire(name, volumeId, schedule))
      .catch((error: unknown) => {
        log.warn({ volume: name, err: error }, 'which snapshots its schedule keeps no longer is not known');
        return undefined;
      });
}
