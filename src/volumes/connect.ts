import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Settings } from '../config.ts';
import { openEc2 } from '../ebs/ec2.ts';
import { readIdentity } from '../host/identity.ts';
import type { Host } from '../host/types.ts';
import { createDeviceNames } from './devices.ts';
import type { Held } from './held.ts';
import type { Journal } from './journal.ts';
import { createLookup } from './lookup.ts';
import type { Node } from './node.ts';
import { createQueue } from './queue.ts';
import { reconcile } from './reconcile.ts';
import { createReleaser } from './release.ts';

const firstRetryMs = 500;
const maxRetryMs = 10_000;

/** What is known of this machine before anything is asked of the network. */
export interface LocalState {
  readonly settings: Settings;
  readonly log: Logger;
  readonly host: Host;
  readonly journal: Journal;
  readonly held: Map<string, Held>;
  readonly waits: Map<string, string>;
}

export interface Connection {
  /** Resolves once identity and EC2 are known and the records are reconciled; never rejects but by the signal. */
  readonly node: Promise<Node>;
  /** Why it is not there yet, as a clause. */
  reason(): string;
}

/** Finds out who this node is and what EC2 says of it, and keeps trying until it succeeds or the signal is aborted. */
export function connect(local: LocalState, signal: AbortSignal): Connection {
  let reason = 'it has not been asked yet who this instance is';
  const untilDone = async <T>(work: () => Promise<T>): Promise<T> => {
    for (let delay = firstRetryMs; ; delay = Math.min(delay * 2, maxRetryMs)) {
      try {
        return await work();
      } catch (error) {
        signal.throwIfAborted();
        reason = error instanceof Error ? error.message : String(error);
        local.log.warn({ op: 'connect', err: error, retryMs: delay }, 'not ready yet');
        await sleep(delay, undefined, { signal });
      }
    }
  };
  const connected = async (): Promise<Node> => {
    const node = await untilDone(() => openNode(local, signal));
    reason = 'the volumes attached here are still being checked';
    await untilDone(() => reconcile(node));
    return node;
  };
  return { node: connected(), reason: () => reason };
}

async function openNode(local: LocalState, signal: AbortSignal): Promise<Node> {
  const { settings, log, host, journal, held, waits } = local;
  const { instanceId, availabilityZone, region } = await readIdentity(settings, process.env);
  log.setBindings({ node: instanceId });
  const ec2 = openEc2({ cluster: settings.cluster, region: process.env['AWS_REGION'] ? undefined : region });
  const devices = createDeviceNames(await journal.loadDevices());
  devices.take([...held.values()].map(({ device }) => device));
  const instance = await ec2.describeInstance(instanceId);
  devices.take((instance?.disks ?? []).map(({ device }) => device));
  const node: Node = {
    settings,
    log,
    instanceId,
    zone: availabilityZone,
    host,
    ec2,
    lookup: createLookup(ec2),
    journal,
    queue: createQueue(),
    held,
    waits,
    devices,
    scheduleRelease: (name, delayMs) => releaser.schedule(name, delayMs),
    cancelRelease: (name) => releaser.cancel(name),
  };
  const releaser = createReleaser(node);
  signal.addEventListener('abort', () => releaser.stop());
  return node;
}
