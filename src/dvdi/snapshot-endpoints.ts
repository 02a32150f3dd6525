import { type Endpoint, endpoint } from './endpoint.ts';
import { ListingSnapshots, OfSnapshot, OfVolume, RollingBack, TakingSnapshot } from './operator-messages.ts';

/** What `docker-volume-ebs snapshot` calls. */
export const snapshotEndpoints: readonly Endpoint[] = [
  endpoint(
    '/Ebs.Snapshots',
    'list the snapshots',
    ListingSnapshots,
    async (driver, { name }) => ({ snapshots: await (await driver()).operator.snapshots.list(name) }),
    { mayBeEmpty: true },
  ),
  endpoint(
    '/Ebs.SnapshotReady',
    'prepare a snapshot of it',
    OfVolume,
    async (driver, { name }) => {
      await (await driver()).operator.snapshots.ready(name);
      return {};
    },
    { long: true },
  ),
  endpoint(
    '/Ebs.SnapshotTake',
    'take a snapshot of it',
    TakingSnapshot,
    async (driver, { name, snapshot, crashConsistent: crash = false }) =>
      (await driver()).operator.snapshots.take(name, snapshot, { crash }),
    { long: true },
  ),
  endpoint(
    '/Ebs.SnapshotRemove',
    'delete a snapshot of it',
    OfSnapshot,
    async (driver, { name, snapshot }) => (await driver()).operator.snapshots.remove(name, snapshot),
    { long: true },
  ),
  endpoint(
    '/Ebs.Rollback',
    'roll it back',
    RollingBack,
    async (driver, { name, snapshot, dryRun = false }) =>
      (await driver()).operator.snapshots.rollback(name, snapshot, { dryRun }),
    { long: true },
  ),
];
