import { type Endpoint, endpoint } from './endpoint.ts';
import {
  CommandEnding,
  ListingSnapshots,
  OfSnapshot,
  OfVerification,
  OfVolume,
  RollingBack,
  TakingSnapshot,
  Verifying,
} from './operator-messages.ts';

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
  endpoint('/Ebs.VerifyPlan', 'tell what its verification takes', Verifying, async (driver, { snapshot, ...options }) =>
    (await driver()).operator.verify.plan(snapshot, options),
  ),
  endpoint('/Ebs.Verify', 'verify it', Verifying, async (driver, { snapshot, ...options }) =>
    (await driver()).operator.verify.begin(snapshot, options),
  ),
  endpoint('/Ebs.Verification', 'tell how far its verification is', OfVerification, async (driver, { snapshotId }) =>
    (await driver()).operator.verify.look(snapshotId),
  ),
  endpoint('/Ebs.VerifyCommandEnded', 'end the verification', CommandEnding, async (driver, { snapshotId, failed }) => {
    await (await driver()).operator.verify.commandEnded(snapshotId, failed);
    return {};
  }),
];
