import type { DrainReport, Explanation } from '../volumes/types.ts';
import { type Endpoint, endpoint } from './endpoint.ts';
import { Anything, Confirming, HolderEnding, Limited, Named, Reasoned, Rescuing, Setting } from './messages.ts';
import { clusterAnswer, countersAnswer, rescueAnswer, statusAnswer } from './seen.ts';

/** What an operator's commands call, beside the protocol on the same socket and in the same envelope. */
export const operatorEndpoints: readonly Endpoint[] = [
  endpoint(
    '/Ebs.Status',
    "tell this node's status",
    Anything,
    async (driver) => statusAnswer(await (await driver()).operator.status()),
    { mayBeEmpty: true },
  ),
  endpoint(
    '/Ebs.Volumes',
    "list the cluster's volumes",
    Anything,
    async (driver) => clusterAnswer(await (await driver()).operator.volumes()),
    { mayBeEmpty: true },
  ),
  endpoint('/Ebs.Drain', 'drain this node', Reasoned, async (driver, { Reason }) =>
    reported(await (await driver()).operator.drain(Reason)),
  ),
  endpoint(
    '/Ebs.DrainStatus',
    'tell how far the drain is',
    Anything,
    async (driver) => reported(await (await driver()).operator.drainStatus()),
    { mayBeEmpty: true },
  ),
  endpoint('/Ebs.DrainCancel', 'end the drain', Anything, async (driver) => {
    const ended = await (await driver()).operator.cancelDrain();
    return ended === undefined ? {} : { Reason: ended.reason, Since: ended.since };
  }),
  endpoint(
    '/Ebs.Set',
    'set its options',
    Setting,
    async (driver, { Name, Options, DryRun: dryRun = false }) => {
      const { volumeId, changes, effective } = await (await driver()).operator.setOptions(Name, Options, { dryRun });
      const told = changes.map(({ option, was = '', is = '' }) => ({ Option: option, Was: was, Is: is }));
      return { VolumeId: volumeId, Changes: told, Effective: effective };
    },
    { long: true },
  ),
  endpoint(
    '/Ebs.Rescue',
    'rescue it',
    Rescuing,
    async (driver, { Name, Snapshot: snapshot = true }) =>
      rescueAnswer(await (await driver()).operator.rescue(Name, { snapshot })),
    { long: true },
  ),
  endpoint(
    '/Ebs.RescueEnd',
    'end its rescue',
    Named,
    async (driver, { Name }) => {
      await (await driver()).operator.endRescue(Name);
      return {};
    },
    { long: true },
  ),
  endpoint(
    '/Ebs.EndHolder',
    'end a holder of it',
    HolderEnding,
    async (driver, { Name, Holder }) => {
      await (await driver()).operator.endHolder(Name, Holder);
      return {};
    },
    { long: true },
  ),
  endpoint(
    '/Ebs.FenceExplain',
    'explain what would happen to it',
    Named,
    async (driver, { Name }) => explained(await (await driver()).operator.fence.explain(Name)),
    { long: true },
  ),
  endpoint('/Ebs.FenceHistory', 'read the history of fencing', Limited, async (driver, { Limit }) => {
    const { entries, counters } = await (await driver()).operator.fence.history(Limit);
    return {
      Entries: entries.map(({ at, text, entry }) => ({ At: at, Text: text, Entry: entry })),
      Counters: countersAnswer(counters),
    };
  }),
  endpoint(
    '/Ebs.FenceConfirm',
    'confirm that its owner is finished with it',
    Confirming,
    async (driver, { Name, Victim, Reason, EvenIfRunning: evenIfRunning = false }) => ({
      Next: await (await driver()).operator.fence.confirm(Name, Victim, Reason, { evenIfRunning }),
    }),
    { long: true },
  ),
  endpoint(
    '/Ebs.FencePause',
    'pause fencing',
    Reasoned,
    async (driver, { Reason }) => ({ Volumes: await (await driver()).operator.fence.pause(Reason) }),
    { long: true },
  ),
  endpoint(
    '/Ebs.FenceResume',
    'resume fencing',
    Anything,
    async (driver) => ({ Volumes: await (await driver()).operator.fence.resume() }),
    { long: true },
  ),
];

function reported({ draining, volumes }: DrainReport): object {
  return {
    ...(draining === undefined
      ? {}
      : { Draining: { Reason: draining.reason, By: draining.by, Since: draining.since } }),
    Volumes: volumes.map(({ name, volumeId, state, holders, why }) => ({
      Name: name,
      VolumeId: volumeId,
      State: state,
      Holders: holders,
      Why: why ?? '',
    })),
  };
}

function explained({ owner, ...explanation }: Explanation): object {
  return {
    Name: explanation.name,
    VolumeId: explanation.volumeId,
    Policy: explanation.policy,
    Outcome: explanation.outcome,
    Reason: explanation.reason,
    Todo: explanation.todo ?? '',
    ...(owner === undefined
      ? {}
      : { Owner: { InstanceId: owner.instanceId, Device: owner.device, AttachTime: owner.attachTime } }),
    For: explanation.evidenceFor,
    Against: explanation.evidenceAgainst,
    Steps: explanation.steps,
    Paused: explanation.paused ?? '',
    Denied: explanation.denied,
  };
}
