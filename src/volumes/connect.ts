import { setTimeout as sleep } from 'node:timers/promises';
import { visibilityMs } from '../ebs/volume-record.ts';
import { policyWarning } from '../fencing/policy.ts';
import { workerWarning } from '../fencing/swarm.ts';
import { operation, over } from '../log.ts';
import { createAnswering } from './copies/answering.ts';
import { createDepartures } from './copies/departures.ts';
import { createRemovals } from './copies/removals.ts';
import { createScheduler } from './copies/scheduler.ts';
import { createScratch } from './copies/scratch.ts';
import { createTrash } from './copies/trash.ts';
import { createFollower } from './growth/follower.ts';
import { createGrower } from './growth/grower.ts';
import { adoptUnrecorded } from './lifecycle/adopt.ts';
import { createKeeper } from './lifecycle/keeper.ts';
import { learnLimit } from './lifecycle/room.ts';
import { finishGiving } from './names/give-name.ts';
import { deleteLeft, finishReplacing } from './names/replace.ts';
import { createExpiry } from './requests/ttl.ts';
import { createDeviceNames } from './state/devices.ts';
import type { Held } from './state/held.ts';
import type { Identity } from './state/journal.ts';
import type { LocalState } from './state/local.ts';
import { createLookup } from './state/lookup.ts';
import type { Node } from './state/node.ts';
import { createQueue } from './state/queue.ts';

const firstRetryMs = 500;
const maxRetryMs = 10_000;

export interface Connection {
  /** Resolves once it is known who this instance is. */
  readonly node: Promise<Node>;
  /** Why it is not there yet, as a clause. */
  reason(): string;
  /** Resolves once the first try has failed: the reason is known then. */
  readonly failed: Promise<void>;
}

/**
 * Finds out who this node is and lets it look after what it holds; EC2 is asked in the background. Both keep trying
 * until they succeed or the signal is aborted.
 */
export function connect(local: LocalState, signal: AbortSignal): Connection {
  const { settings, world } = local;
  let reason = 'it has not been found out yet which instance this is';
  const failed = Promise.withResolvers<void>();
  const node = operation.run({ op: 'connect' }, async () => {
    const onFailure = (why: string) => {
      reason = why;
      failed.resolve();
    };
    const identity = await untilDone(local, signal, () => identify(local), onFailure);
    const { instanceId } = identity;
    const place = { ...settings, instanceId };
    await untilDone(local, signal, async () => world.lockInstance?.(place, local.log), onFailure);
    return openNode(local, identity, signal);
  });
  return { node, reason: () => reason, failed: failed.promise };
}

async function untilDone<T>(
  { log }: LocalState,
  signal: AbortSignal,
  work: () => Promise<T>,
  onFailure: (why: string) => void,
): Promise<T> {
  for (let delay = firstRetryMs; ; delay = Math.min(delay * 2, maxRetryMs)) {
    try {
      const done = await work();
      over(log, { op: 'connect' });
      return done;
    } catch (error) {
      signal.throwIfAborted();
      // A clause of other sentences.
      onFailure((error instanceof Error ? error.message : String(error)).replace(/\.$/, ''));
      log.warn({ op: 'connect', err: error, retryMs: delay }, 'this node is not ready yet: trying again');
      await sleep(delay, undefined, { signal });
    }
  }
}

/** An instance stays the same within a boot: a restart then needs no network to serve what is mounted. */
async function identify({ settings, world, host, journal, log }: LocalState): Promise<Identity> {
  const asked = `${settings.instanceId} ${settings.availabilityZone}`;
  const known = await journal.loadIdentity();
  if (known?.bootId === host.bootId && known.asked === asked) return known;
  const identity = { ...(await world.readIdentity(settings)), bootId: host.bootId, asked };
  await journal
    .saveIdentity(identity)
    .catch((error: unknown) =>
      log.warn(
        { op: 'identity', err: error },
        'which instance this is could not be written down: it is asked again at the next start',
      ),
    );
  return identity;
}

/** A disk image carries the journal of its instance along: those attachments are that one's, and not ours to end. */
async function forgetOthers({ held, journal, log }: LocalState, instanceId: string): Promise<void> {
  for (const [name, record] of [...held]) {
    if (record.instanceId === instanceId) continue;
    log.warn({ volume: name, recordOf: record.instanceId }, 'a record of another instance: forgotten');
    held.delete(name);
    await journal
      .forget(name)
      .catch((error: unknown) =>
        log.warn(
          { volume: name, err: error },
          'the record of another instance could not be taken off: it is forgotten at the next start',
        ),
      );
  }
}

async function openNode(local: LocalState, identity: Identity, signal: AbortSignal): Promise<Node> {
  const { settings, log, world, journal, held } = local;
  await forgetOthers(local, identity.instanceId);
  // Where the settings say it, each line has it already.
  if (settings.instanceId === '') log.setBindings({ node: identity.instanceId });
  const risk = policyWarning(settings.fencePolicy);
  if (risk !== undefined) log.warn({ op: 'fence' }, risk);
  void warnOfWorker(local, signal);
  const { visibleMs = visibilityMs, haste = 1 } = world;
  const ec2 = world.openEc2(settings.cluster, identity.region, log);
  const devices = createDeviceNames(await journal.loadDevices());
  const leftScratch = await journal.loadScratch();
  devices.take([...held.values(), ...leftScratch].flatMap(({ device }) => device ?? []));
  const surveyed = Promise.withResolvers<void>();
  let failure = '';
  let surveyDone = false;
  const node: Node = {
    ...local,
    ec2,
    devices,
    mountCalls: { inHand: 0, lastEnd: Number.NEGATIVE_INFINITY, lastOf: new Map(), began: performance.now() },
    drain: { now: undefined },
    foreign: new Map(),
    instanceId: identity.instanceId,
    zone: identity.availabilityZone,
    lookup: createLookup(ec2, local.names, { visibleMs }),
    queue: createQueue(),
    survey: {
      done: surveyed.promise,
      isDone: () => surveyDone,
      failure: () => failure,
      again: () => survey(node),
      capacity: { type: undefined, limit: undefined },
    },
    visibleMs,
    haste,
    scheduleRelease: (name, delayMs) => keeper.schedule(name, delayMs),
    cancelRelease: (name) => keeper.cancel(name),
    finishRemoval: (volumeId, snapshotId) => removals.finish(volumeId, snapshotId),
    expires: (volume) => expiry.made(volume),
    leaving: (held) => scheduler.leaving(held),
    scratch: {
      use: (wanted, onStep, work) => scratch.use(wanted, onStep, work),
      denied: (spec) => scratch.denied(spec),
      found: (listed) => scratch.found(listed),
      all: () => scratch.all(),
    },
    departures: {
      remove: (name, volume) => departures.remove(name, volume),
      has: (name) => departures.has(name),
    },
    trash: {
      added: (item, at) => trash.added(item, at),
      takenOut: (id) => trash.takenOut(id),
      size: () => trash.size(),
      sweep: () => trash.sweep(),
    },
  };
  const keeper = createKeeper(node);
  const follower = createFollower(node);
  const grower = createGrower(node);
  const scheduler = createScheduler(node);
  const answering = createAnswering(node);
  signal.addEventListener('abort', () => {
    keeper.stop();
    follower.stop();
    grower.stop();
    scheduler.stop();
    answering.stop();
  });
  for (const record of held.values()) resume(node, record);
  keeper.start();
  follower.start();
  grower.start();
  scheduler.start();
  answering.start();
  const removals = createRemovals(node, signal);
  const trash = createTrash(node, signal);
  const scratch = createScratch(node, leftScratch, signal);
  const departures = createDepartures(node, signal);
  const expiry = createExpiry(node, signal);
  if (settings.onRemove === 'snapshot') void surveyed.promise.then(() => removals.resume());
  const failed = (why: string) => {
    failure = ` (${why})`;
  };
  untilDone(local, signal, () => survey(node), failed)
    .then(() => {
      surveyDone = true;
      surveyed.resolve();
    })
    .then(() => void learnLimit(node))
    .then(() =>
      untilDone(
        local,
        signal,
        () => adoptUnrecorded(node),
        () => undefined,
      ),
    )
    .then((listed) => {
      trash.found(listed);
      scratch.found(listed);
      departures.found(listed);
      expiry.found(listed);
      return deleteLeft(node, listed);
    })
    .catch(() => undefined);
  return node;
}

/** Goes on with what was held, or begun, when the daemon ended. */
function resume(node: Node, { name, removing, giving, replacing }: Held): void {
  // What has lost its name, or was being given one, is kept attached until every read shows that.
  node.scheduleRelease(name, removing || giving || replacing ? node.visibleMs : 0);
  const goOn = (op: string, work: () => Promise<void>, failed: string) =>
    void operation
      .run({ op, volume: name }, () => node.queue.run(name, work))
      .catch((error: unknown) => node.log.warn({ volume: name, err: error }, failed));
  if (giving) goOn('undelete', () => finishGiving(node, name), 'it was not given its name');
  if (replacing) goOn('rollback', () => finishReplacing(node, name), 'its rollback was not ended: its next mount does');
}

/** A volume's own policy may be stonith under preempt, too. */
async function warnOfWorker({ settings, log }: LocalState, signal: AbortSignal): Promise<void> {
  const { fencePolicy, swarmSocket } = settings;
  if (swarmSocket === '' || (fencePolicy !== 'stonith' && fencePolicy !== 'preempt')) return;
  const warning = await workerWarning(swarmSocket, signal);
  if (warning !== undefined) log.warn({ op: 'fence' }, warning);
}

/** The device names that EC2 has in use on this instance. Waits for no volume's queue: mounts in theirs wait for it. */
async function survey({ ec2, instanceId, devices, survey }: Node): Promise<void> {
  const instance = await ec2.describeInstance(instanceId);
  if (instance === undefined) return;
  devices.listed(instance.disks);
  survey.capacity.type = instance.type;
}
