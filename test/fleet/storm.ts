import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { openEc2 } from '../../src/ebs/ec2.ts';
import type { EbsVolume, Ec2 } from '../../src/ebs/types.ts';
import { attachmentOf } from '../../src/ebs/volume-record.ts';
import { createAudit } from '../../src/fencing/audit.ts';
import { type Fencing, openFencing } from '../../src/fencing/fencing.ts';
import { takeOver } from '../../src/fencing/takeover.ts';
import { inVirtualTime } from './clock.ts';
import { boundMs, type Count, SimulatedEc2 } from './ec2.ts';

export interface Storm {
  readonly name: string;
  /** Instances whose daemons mount, all at once. */
  readonly nodes: number;
  /** All volumes together. */
  readonly volumes: number;
  /** Instances that are stopped and have the volumes, which are taken over from them; without, the volumes are free. */
  readonly stopped?: number;
}

export interface Figures {
  /** From the first call to the last mount, milliseconds. */
  readonly tookMs: number;
  /** The least time in which the account's buckets let these mounts through. */
  readonly boundMs: number;
  readonly sent: number;
  readonly refused: number;
  readonly byAction: ReadonlyMap<string, Count>;
  /** Mounts that were answered with an error, and asked for again by their callers. */
  readonly failed: number;
}

/** An attach as AWS does it: the disk is on the machine after this. */
const diskMs = 1600;
/** A caller that is answered with an error asks again after this. */
const callerMs = 1000;
const longestMs = 4 * 3_600_000;

const log = pino({ level: 'silent' });

/** Lets the production's calls, waits and takeovers of a whole fleet play in virtual time. The seed is any whole number. */
export function play({ nodes, volumes, stopped = 0 }: Storm, seed: number): Promise<Figures> {
  return inVirtualTime(seed, longestMs, async () => {
    const ec2 = new SimulatedEc2();
    for (let index = 0; index < stopped; index++) ec2.addStopped(`i-old${index}`);
    for (let index = 0; index < volumes; index++) {
      ec2.addVolume(`v${index}`, stopped > 0 ? `i-old${index % stopped}` : undefined);
    }
    const fleet = Array.from({ length: nodes }, (_, index) => new SimulatedNode(`i-${index}`, ec2));
    // The scheduler gives a stopped instance's volumes to others as it likes: those of one node have different owners.
    await Promise.all(Array.from({ length: volumes }, (_, index) => fleet[(index * 7) % nodes]?.mount(`v${index}`)));
    const counts = [...ec2.counts.values()];
    return {
      tookMs: performance.now(),
      boundMs: boundMs('AttachVolume', volumes),
      sent: counts.reduce((sum, { sent }) => sum + sent, 0),
      refused: counts.reduce((sum, { refused }) => sum + refused, 0),
      byAction: ec2.counts,
      failed: fleet.reduce((sum, { failed }) => sum + failed, 0),
    };
  });
}

/** A daemon as EC2 sees it: what it asks for at a mount, in the order of src/volumes/lifecycle/. */
class SimulatedNode {
  readonly #id: string;
  readonly #ec2: Ec2;
  readonly #fencing: Fencing;
  failed = 0;

  constructor(id: string, ec2: SimulatedEc2) {
    this.#id = id;
    this.#ec2 = openEc2({ cluster: 'default', region: 'us-east-1', client: ec2.client() });
    const settings = { fencePolicy: 'instance-not-running', fenceSuspicions: 2, fenceSettle: 60 } as const;
    this.#fencing = openFencing(
      { ...settings, cluster: 'default', mesosMasters: '', mesosAgent: 'http://127.0.0.1:5051', swarmSocket: '' },
      createAudit({ append: async () => undefined }, log),
    );
  }

  /** Until it is mounted; its caller asks again as often as it takes. */
  async mount(name: string): Promise<void> {
    for (;;) {
      try {
        return await this.#tryMount(name);
      } catch {
        this.failed += 1;
        await sleep(callerMs);
      }
    }
  }

  async #tryMount(name: string): Promise<void> {
    const [volume] = await this.#ec2.findVolumes(name);
    if (volume === undefined) throw new Error(`${name} is not found`);
    const attachment = attachmentOf(volume);
    if (attachment?.instanceId === this.#id) return;
    if (attachment !== undefined) await this.#takeOver(name, volume, attachment);
    await this.#ec2.attachVolume({ volumeId: volume.id, instanceId: this.#id, device: '/dev/xvdba' });
    const claimed = async () => {
      if (attachment === undefined) await this.#ec2.findVolumes(name);
      await this.#ec2.createTags(volume.id, { 'docker-volume-ebs:owner': `${this.#id} ${performance.now()}` });
    };
    await Promise.all([sleep(diskMs), claimed()]);
  }

  async #takeOver(name: string, volume: EbsVolume, attachment: NonNullable<ReturnType<typeof attachmentOf>>) {
    const fencing = this.#fencing;
    await takeOver(
      {
        ...fencing,
        ec2: this.#ec2,
        log,
        name,
        instanceId: this.#id,
        rules: fencing.rulesOf(volume.tags),
        room: async () => undefined,
        mayGoOn: async () => undefined,
        waiting: (_, work) => work(),
      },
      volume,
      attachment,
    );
  }
}
