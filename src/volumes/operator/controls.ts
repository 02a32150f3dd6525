import { toDriverError } from '../../errors.ts';
import type { Notice } from '../../host/notices.ts';
import { createVerifications } from '../copies/verifications.ts';
import { createVerifySchedule } from '../copies/verify-schedule.ts';
import { createDrain, type Drain } from '../lifecycle/drain.ts';
import { createHeed } from '../lifecycle/heed.ts';
import { endRescue, rescue } from '../lifecycle/rescue.ts';
import type { World } from '../state/local.ts';
import type { Node } from '../state/node.ts';
import { clusterVolumes } from './cluster.ts';
import { endHolder } from './end-holder.ts';
import { createFenceOperator } from './fence.ts';
import { modificationOf, modifyVolume } from './modify.ts';
import { createPermissionCheck } from './permission-check.ts';
import { rescueReport } from './rescue-steps.ts';
import { setOptions } from './set.ts';
import { createSnapshotOperator, type SnapshotOperator } from './snapshots.ts';
import type { Opened } from './status.ts';
import { createTrashOperator } from './trash.ts';
import type { TrashOperator } from './trash-types.ts';
import type { ClusterVolumes, FenceOperator, Operator } from './types.ts';
import { createVerifyOperator, type VerifyOperator } from './verify.ts';

/** What an operator's commands act on; it is there once this node knows who it is. */
export interface Controls {
  readonly drain: Drain;
  readonly fence: FenceOperator;
  readonly trash: TrashOperator;
  readonly snapshots: SnapshotOperator;
  readonly verify: VerifyOperator;
  volumes(): Promise<ClusterVolumes>;
  readonly setOptions: Operator['setOptions'];
  readonly endHolder: Operator['endHolder'];
  readonly modify: Operator['modify'];
  readonly modification: Operator['modification'];
  /** Both in the volume's turn. */
  rescue: Operator['rescue'];
  endRescue: Operator['endRescue'];
}

/** What steers this node from outside: operators, and notices of EC2. Ends its timers when the signal is aborted. */
export function openControls(
  node: Node,
  world: World,
  auditFile: string,
  signal: AbortSignal,
): Controls & Pick<Opened, 'notices' | 'verifications'> {
  const drain = createDrain(node);
  const verifications = createVerifications(node);
  createVerifySchedule(node, verifications, signal);
  const permissions = createPermissionCheck(node);
  const heed = createHeed(drain, node.log);
  let announced: readonly Notice[] = [];
  const watch =
    node.settings.notices === 'off'
      ? undefined
      : world.watchNotices?.({
          onNotices(notices) {
            announced = notices;
            heed(notices);
          },
          onFailure(error) {
            const { why } = toDriverError(error, 'read the notices of EC2').parts;
            node.log.warn(
              { op: 'notice', why },
              'notices of EC2 cannot be read: tried again (off with DVE_NOTICES=off)',
            );
          },
        });
  signal.addEventListener('abort', () => {
    drain.close();
    permissions.close();
    watch?.close();
  });
  return {
    drain,
    fence: createFenceOperator(node, { auditFile, permissions }),
    trash: createTrashOperator(node),
    snapshots: createSnapshotOperator(node),
    verify: createVerifyOperator(node, verifications),
    volumes: () => clusterVolumes(node),
    setOptions: (name, options, how) => node.queue.run(name, () => setOptions(node, name, options, how)),
    modify: (name, options, how) => node.queue.run(name, () => modifyVolume(node, name, options, how)),
    modification: (name) => modificationOf(node, name),
    rescue: async (name, options) => rescueReport(await node.queue.run(name, () => rescue(node, name, options))),
    endRescue: (name) => node.queue.run(name, () => endRescue(node, name)),
    endHolder: (name, holder) => node.queue.run(name, () => endHolder(node, name, holder)),
    notices: () => announced,
    verifications,
  };
}
