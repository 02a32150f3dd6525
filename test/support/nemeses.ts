import {
  DescribeInstancesCommand,
  DetachVolumeCommand,
  RunInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { tagKeys } from '../../src/ebs/tags.ts';
import type { SandboxNode } from '../../src/sandbox/sandbox.ts';
import { eventually, type TestSandbox } from './sandbox.ts';

/** How far EC2's clock is ahead where it tells an instance's health: what is attached now is no young attachment. */
const aheadMs = 7_200_000;

/** What an owner may suffer and outlive: nobody may take its volumes while it does. */
const troubles = ['daemonKilled', 'suspended', 'partitioned', 'hibernated', 'impaired'] as const;
export type Trouble = (typeof troubles)[number];

/** How an owner may lose its volumes: its end, or an operator who pulls them from under it. */
const endings = ['powerCut', 'stopped', 'terminated', 'suspected', 'robbed'] as const;
export type Ending = (typeof endings)[number];

/** What is to happen in a round. */
export interface Plan {
  /** Of two volumes, the one whose owner is struck. */
  readonly first: 0 | 1;
  /** None: it is well until its end. */
  readonly trouble: Trouble | undefined;
  /** None: it recovers. */
  readonly ending: Ending | undefined;
  /** Which of two other nodes ask for each volume. */
  readonly takers: readonly ('first' | 'second' | 'both')[];
  /** How long after its stop the owner starts again, and asks too; without, once its volumes are taken. */
  readonly returnsAfterMs: number | undefined;
}

/** Draws a round; always as many numbers from `random`, which gives 0 up to 1. */
export function dealRound(random: () => number): Plan {
  const [first, troubled, trouble, recovers, ending, one, other, returns, after] = Array.from({ length: 9 }, random);
  const pick = <T>(list: readonly T[], at = 0): T => list[Math.floor(at * list.length)]!;
  const suffered = troubled! < 0.6 ? pick(troubles, trouble) : undefined;
  const end = suffered === 'hibernated' ? 'terminated' : pick(endings, ending);
  const asking = ['first', 'second', 'both', 'both'] as const;
  return {
    first: pick([0, 1] as const, first),
    trouble: suffered,
    ending: suffered !== undefined && recovers! < 0.3 ? undefined : end,
    takers: [pick(asking, one), pick(asking, other)],
    returnsAfterMs: returns! < 0.5 ? after! * 7000 : undefined,
  };
}

/** The instances of a sandbox and what may befall them. Each verb is done once EC2 and the machine have got there. */
export class Nemeses {
  readonly #box: TestSandbox;
  /** Those that were launched, also once they do not run. */
  readonly #nodes = new Map<string, SandboxNode>();

  constructor(box: TestSandbox) {
    this.#box = box;
  }

  node(id: string): SandboxNode {
    const node = this.#nodes.get(id);
    if (node === undefined) throw new Error(`no instance ${id} was launched`);
    return node;
  }

  /** Launches an instance that may hibernate, of the cluster. @returns its id once its daemon answers */
  async launch(): Promise<string> {
    const { Instances } = await this.#box.ec2.send(
      new RunInstancesCommand({
        MinCount: 1,
        MaxCount: 1,
        ImageId: 'ami-0123456789abcdef0',
        HibernationOptions: { Configured: true },
        TagSpecifications: [{ ResourceType: 'instance', Tags: [{ Key: tagKeys.cluster, Value: 'default' }] }],
      }),
    );
    const id = Instances?.[0]?.InstanceId ?? '';
    await this.#answers(id);
    this.#nodes.set(id, this.#box.node(id));
    return id;
  }

  async #answers(id: string): Promise<void> {
    await this.becomes(id, 'running');
    await eventually(async () => (await this.#box.call(id, 'List').catch(() => undefined))?.status === 200);
  }

  async stateOf(id: string): Promise<string | undefined> {
    const { Reservations } = await this.#box.ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    return Reservations?.[0]?.Instances?.[0]?.State?.Name;
  }

  async becomes(id: string, state: string): Promise<void> {
    await eventually(async () => (await this.stateOf(id)) === state);
  }

  async #stop(id: string, how: { readonly Force?: boolean; readonly Hibernate?: boolean } = {}): Promise<void> {
    await this.#box.ec2.send(new StopInstancesCommand({ InstanceIds: [id], ...how }));
    await this.becomes(id, 'stopped');
  }

  async powerCut(id: string): Promise<void> {
    await this.#stop(id, { Force: true });
  }

  async stop(id: string): Promise<void> {
    await this.#stop(id);
  }

  async terminate(id: string): Promise<void> {
    await this.#box.ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    await this.becomes(id, 'terminated');
  }

  /** A new boot, or where it hibernates the old one. */
  async start(id: string): Promise<void> {
    await this.#box.ec2.send(new StartInstancesCommand({ InstanceIds: [id] }));
    await this.#answers(id);
  }

  /** An operator pulls a volume from under whoever has it. */
  async rob(volumeId: string): Promise<void> {
    await this.#box.ec2.send(new DetachVolumeCommand({ VolumeId: volumeId, Force: true }));
    await eventually(
      async () => (await this.#box.volumes()).find((each) => each.VolumeId === volumeId)?.State === 'available',
    );
  }

  /** EC2's checks of it fail, from outside and from inside: two independent sources. */
  async impair(id: string): Promise<void> {
    await this.#box.fault({ kind: 'health', instance: id, system: 'impaired', guest: 'impaired', ms: aheadMs });
  }

  async begin(trouble: Trouble, id: string): Promise<void> {
    switch (trouble) {
      case 'daemonKilled':
        process.kill(this.#box.node(id).pid, 'SIGKILL');
        return void (await eventually(async () => this.#box.node(id).pid === 0));
      case 'suspended':
        return this.#box.sandbox.suspend(id);
      case 'partitioned':
        return this.#box.fault({ kind: 'partition', instance: id });
      case 'hibernated':
        return this.#stop(id, { Hibernate: true });
      case 'impaired':
        return this.impair(id);
    }
  }

  /** Ends an instance's trouble, if it runs; its daemon answers then. */
  async heal(trouble: Trouble | undefined, id: string): Promise<void> {
    await this.#box.clearFaults();
    if (trouble === 'hibernated') return this.start(id);
    if (trouble === 'suspended') await this.#box.sandbox.resume(id);
    if (trouble === 'daemonKilled') await this.#box.sandbox.startDaemon(id);
  }
}
