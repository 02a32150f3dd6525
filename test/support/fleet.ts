import { onTestFinished } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import { readEpoch, readIntents, readOwner } from '../../src/fencing/records.ts';
import type { Schedulers } from '../../src/fencing/schedulers.ts';
import type { FencePolicy } from '../../src/fencing/types.ts';
import { holdVolume, letVolumeGo } from '../../src/volumes/requests/hold.ts';
import { FakeAudit } from './fake-audit.ts';
import { FakeEc2 } from './fake-ec2.ts';
import { type FakeNode, type FakeNodeParts, fakeNode, verbs } from './fake-node.ts';
import { stopped, terminated } from './fake-takeover.ts';
import { pass, played } from './virtual-time.ts';

/** Attachments younger than ten minutes are left alone short of a proof. */
const aWhileMs = 660_000;

export interface FleetParts {
  readonly policy?: FencePolicy;
  /** Independent sources that stonith needs. */
  readonly suspicions?: number;
  /** Nodes besides i-a. */
  readonly others?: readonly string[];
  /** A node's schedulers; without, there is none. */
  readonly schedulers?: (id: string) => Schedulers;
}

/**
 * Whole nodes on one EC2 in memory, in virtual time: i-a has the volume "data" mounted for a container since eleven
 * minutes, the others want it. An instance that stops takes its node along.
 */
export async function fleet({ policy, suspicions = 2, others = ['i-b', 'i-c'], schedulers }: FleetParts = {}) {
  const ec2 = new FakeEc2();
  /** As they run now: a restart makes another. */
  const members = new Map<string, { node: FakeNode; audit: FakeAudit }>();
  const settings = { fenceSuspicions: suspicions, ...(policy === undefined ? {} : { fencePolicy: policy }) };

  const boot = async (id: string, parts: FakeNodeParts = {}): Promise<FakeNode> => {
    const audit = members.get(id)?.audit ?? new FakeAudit();
    const node = await fakeNode(ec2, { instanceId: id, settings, audit, ...parts });
    if (schedulers !== undefined) Object.assign(node.fencing, { schedulers: schedulers(id) });
    members.set(id, { node, audit });
    return node;
  };
  const nodeOf = (id: string): FakeNode => {
    const found = members.get(id);
    if (found === undefined) throw new Error(`there is no node ${id}`);
    return found.node;
  };
  const volumeOf = (name: string) => {
    const found = [...ec2.volumes.values()].find(({ tags }) => tags[tagKeys.name] === name);
    if (found === undefined) throw new Error(`there is no volume ${name}`);
    return found;
  };
  /** For a container that uses it from then on. */
  const mount = async (id: string, task = 'task', name = 'data', signal?: AbortSignal): Promise<string> => {
    const node = nodeOf(id);
    const directory = await node.queue.run(name, () => holdVolume(node, name, task, signal));
    node.host.mountedElsewhere.add(volumeOf(name).id);
    return directory;
  };
  /** Its container ends, and that is said. */
  const unmount = async (id: string, task = 'task', name = 'data'): Promise<void> => {
    const node = nodeOf(id);
    node.host.mountedElsewhere.delete(volumeOf(name).id);
    await node.queue.run(name, () => letVolumeGo(node, name, task));
  };
  /** Makes a volume and mounts it. */
  const hold = async (id: string, name: string) => {
    await verbs(nodeOf(id)).create(name);
    await played(mount(id, 'task', name));
    return volumeOf(name);
  };

  for (const id of ['i-a', ...others]) {
    ec2.addInstance(id);
    const launchTime = new Date(Date.now() - 86_400_000).toISOString();
    ec2.setInstance(id, { launchTime, tags: { [tagKeys.cluster]: 'default' } });
    await boot(id);
  }
  /** What runs on an instance ends with it, and what is mounted there, unless it hibernates. */
  const endStopped = () => {
    for (const [id, { node }] of members) {
      const { state, stateReason = '' } = ec2.instances.get(id) ?? {};
      if (state !== 'stopped' && state !== 'terminated') continue;
      node.kill();
      if (stateReason.includes('Hibernate')) continue;
      node.host.mounted.clear();
      node.host.mountedElsewhere.clear();
    }
  };
  onTestFinished(ec2.watch(endStopped));
  const volume = await hold('i-a', 'data');
  await pass(aWhileMs);
  ec2.calls.length = 0;

  return {
    ec2,
    volume,
    /** How it was attached to i-a at first. */
    first: { ...volume.attachments[0]! },
    nodeOf,
    auditOf: (id: string) => members.get(id)!.audit,
    mount,
    unmount,
    hold,
    /** The daemon of a node is killed; its machine and what is mounted there stay. */
    kill: (id: string) => nodeOf(id).kill(),
    /** Its daemon starts again on the same machine, in the same boot. */
    restart: (id: string, parts: FakeNodeParts = {}) => {
      nodeOf(id).kill();
      return boot(id, { ...nodeOf(id).machine, ...parts });
    },
    /** The instance has stopped long ago, for a reason of EC2's. */
    powerOff(id: string, stateReason: string = stopped.stateReason) {
      // EC2 tells no time of what it does itself.
      const stopAskedAt = stateReason.startsWith('Client.') ? stopped.stopAskedAt : undefined;
      ec2.setInstance(id, { ...stopped, stateReason, stopAskedAt });
      endStopped();
    },
    /** The instance was terminated long ago; EC2 does not detach its volumes unless asked to. */
    terminate(id: string) {
      ec2.setInstance(id, terminated);
      endStopped();
    },
    /** A stopped instance starts again: another boot, nothing mounted. */
    powerOn(id: string) {
      nodeOf(id).machine.host.reboot();
      ec2.setInstance(id, { state: 'running', stateReason: undefined, launchTime: new Date().toISOString() });
      return boot(id, nodeOf(id).machine);
    },
    /** All of EC2's checks of it fail, for ten minutes by now. */
    impair(id: string) {
      const check = { status: 'impaired', impairedSince: new Date(Date.now() - 600_000).toISOString() };
      ec2.health.set(id, { system: check, instance: check });
    },
    /** Reads are behind from now on: an instance that stops is shown as running until it has stopped. */
    hideStopping() {
      const look = ec2.describeInstance.bind(ec2);
      ec2.describeInstance = async (id) => {
        const seen = await look(id);
        return seen?.state === 'stopping' ? { ...seen, state: 'running', stateReason: undefined } : seen;
      };
    },
    /** What was asked of EC2 that an owner feels, as "detach i-a /dev/xvdba" or "stop i-a by force". */
    destructive: () =>
      ec2.calls.flatMap(({ method, args }) => {
        const forced = (args[1] as { force?: boolean } | undefined)?.force === true ? ' by force' : '';
        if (method === 'stopInstance') return [`stop ${args[0]}${forced}`];
        if (method !== 'detachVolume') return [];
        const key = args[0] as { instanceId: string; device: string };
        return [`detach ${key.instanceId} ${key.device}${forced}`];
      }),
    /** Who has it, how often it changed hands, who is recorded, who announced, and where it is mounted. */
    state: () => ({
      attachedTo: volume.attachments.map(({ instanceId, state }) => `${instanceId} ${state}`),
      epoch: readEpoch(volume.tags),
      owner: readOwner(volume.tags)?.instanceId,
      intents: readIntents(volume.tags).map(({ taker }) => taker),
      mountedOn: [...members].flatMap(([id, { node }]) =>
        [...node.host.mounted.values()].some(({ volumeId }) => volumeId === volume.id) ? [id] : [],
      ),
    }),
  };
}

export type Fleet = Awaited<ReturnType<typeof fleet>>;

/** The state of a fleet's volume that this node has, alone, as its owner number `epoch`. */
export const ownedBy = (id: string, epoch: number) => ({
  attachedTo: [`${id} attached`],
  epoch,
  owner: id,
  intents: [],
  mountedOn: [id],
});
