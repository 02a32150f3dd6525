import { type Endpoint, endpoint } from './endpoint.ts';
import { Anything } from './messages.ts';
import {
  Confirming,
  HolderEnding,
  Limited,
  Looking,
  OfVolume,
  Reasoned,
  Rescuing,
  Setting,
} from './operator-messages.ts';
import { trashEndpoints } from './trash-endpoints.ts';

/**
 * What an operator's commands call, beside the protocol on the same socket and in the same envelope. Answers are what the
 * driver gives, in its own case; what is not known is left out.
 */
export const operatorEndpoints: readonly Endpoint[] = [
  ...trashEndpoints,
  endpoint(
    '/Ebs.Status',
    "tell this node's status",
    Looking,
    async (driver, { checks = false }) => (await driver()).operator.status({ checks }),
    { mayBeEmpty: true },
  ),
  endpoint('/Ebs.Acknowledge', 'acknowledge the ghosts', Anything, async (driver) => ({
    ghosts: await (await driver()).operator.acknowledge(),
  })),
  endpoint(
    '/Ebs.Volumes',
    "list the cluster's volumes",
    Anything,
    async (driver) => (await driver()).operator.volumes(),
    { mayBeEmpty: true },
  ),
  endpoint('/Ebs.Drain', 'drain this node', Reasoned, async (driver, { reason }) =>
    (await driver()).operator.drain(reason),
  ),
  endpoint(
    '/Ebs.DrainStatus',
    'tell how far the drain is',
    Anything,
    async (driver) => (await driver()).operator.drainStatus(),
    { mayBeEmpty: true },
  ),
  endpoint(
    '/Ebs.DrainCancel',
    'end the drain',
    Anything,
    async (driver) => (await (await driver()).operator.cancelDrain()) ?? {},
  ),
  endpoint(
    '/Ebs.Set',
    'set its options',
    Setting,
    async (driver, { name, options, dryRun = false }) =>
      (await driver()).operator.setOptions(name, options, { dryRun }),
    { long: true },
  ),
  endpoint(
    '/Ebs.Modify',
    'modify it',
    Setting,
    async (driver, { name, options, dryRun = false }) => (await driver()).operator.modify(name, options, { dryRun }),
    { long: true },
  ),
  endpoint('/Ebs.Modification', 'tell how far its modification is', OfVolume, async (driver, { name }) =>
    (await driver()).operator.modification(name),
  ),
  endpoint(
    '/Ebs.Rescue',
    'rescue it',
    Rescuing,
    async (driver, { name, snapshot = true }) => (await driver()).operator.rescue(name, { snapshot }),
    { long: true },
  ),
  endpoint(
    '/Ebs.RescueEnd',
    'end its rescue',
    OfVolume,
    async (driver, { name }) => {
      await (await driver()).operator.endRescue(name);
      return {};
    },
    { long: true },
  ),
  endpoint(
    '/Ebs.EndHolder',
    'end a holder of it',
    HolderEnding,
    async (driver, { name, holder }) => {
      await (await driver()).operator.endHolder(name, holder);
      return {};
    },
    { long: true },
  ),
  endpoint(
    '/Ebs.FenceExplain',
    'explain what would happen to it',
    OfVolume,
    async (driver, { name }) => (await driver()).operator.fence.explain(name),
    { long: true },
  ),
  endpoint('/Ebs.FenceHistory', 'read the history of fencing', Limited, async (driver, { limit }) =>
    (await driver()).operator.fence.history(limit),
  ),
  endpoint(
    '/Ebs.FenceConfirm',
    'confirm that its owner is finished with it',
    Confirming,
    async (driver, { name, victim, reason, evenIfRunning = false }) => ({
      next: await (await driver()).operator.fence.confirm(name, victim, reason, { evenIfRunning }),
    }),
    { long: true },
  ),
  endpoint(
    '/Ebs.FencePause',
    'pause fencing',
    Reasoned,
    async (driver, { reason }) => ({ volumes: await (await driver()).operator.fence.pause(reason) }),
    { long: true },
  ),
  endpoint(
    '/Ebs.FenceResume',
    'resume fencing',
    Anything,
    async (driver) => ({ volumes: await (await driver()).operator.fence.resume() }),
    { long: true },
  ),
];
