import type { EC2Client, Filter, Instance, Volume } from '@aws-sdk/client-ec2';
import { bucketOf, Throttle } from '../../src/sandbox/throttle.ts';

/** How long a call takes to EC2 and back, and what EC2 takes for a detach, in milliseconds. */
const roundTripMs = 60;
const detachMs = 2000;

export interface Count {
  sent: number;
  refused: number;
}

type Input = Readonly<Record<string, unknown>> & {
  readonly Filters?: readonly Filter[];
  readonly VolumeId?: string;
  readonly InstanceId?: string;
  readonly Device?: string;
  readonly Resources?: readonly string[];
  readonly Tags?: readonly { readonly Key: string; readonly Value: string }[];
};

type Handler = (args: object) => Promise<{ readonly output: unknown; readonly response: object }>;

/** What of the SDK's command a client uses. */
interface Command {
  readonly input: Input;
  readonly middlewareStack: { resolve(handler: Handler, context: object): Handler };
}

/** EC2 as far as mounts and takeovers see it: volumes, instances, the account's token buckets (those of the sandbox). */
export class SimulatedEc2 {
  readonly volumes = new Map<string, Volume>();
  readonly instances = new Map<string, Instance>();
  readonly counts = new Map<string, Count>();
  /** By instance, the volumes that it has. */
  readonly #disks = new Map<string, Set<string>>();
  readonly #throttle = new Throttle();

  addVolume(name: string, ownerId?: string): void {
    const id = `vol-${String(this.volumes.size).padStart(17, '0')}`;
    const tags = { Name: name, 'docker-volume-ebs:cluster': 'default', 'docker-volume-ebs:name': name };
    this.volumes.set(id, {
      VolumeId: id,
      AvailabilityZone: 'us-east-1a',
      State: 'available',
      CreateTime: new Date(Date.now() - 86_400_000),
      VolumeType: 'gp3',
      Size: 1,
      Attachments: [],
      Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
    });
    if (ownerId !== undefined) this.#attach(id, ownerId, '/dev/xvdba', new Date(Date.now() - 3_600_000));
  }

  /** An instance that its user stopped so long ago that no late writes are waited for. */
  addStopped(id: string): void {
    const asked = new Date(Date.now() - 600_000).toISOString().slice(0, 19).replace('T', ' ');
    this.instances.set(id, {
      InstanceId: id,
      InstanceType: 'm5.large',
      State: { Name: 'stopped' },
      StateReason: { Code: 'Client.UserInitiatedShutdown' },
      StateTransitionReason: `User initiated (${asked} GMT)`,
      LaunchTime: new Date(Date.now() - 7_200_000),
      Placement: { AvailabilityZone: 'us-east-1a' },
    });
  }

  /** The SDK's client of one node. */
  client(): EC2Client {
    const send = async (command: Command, { abortSignal }: { readonly abortSignal?: AbortSignal }) => {
      const output = await this.#call(command.constructor.name.replace(/Command$/, ''), command.input, abortSignal);
      const response = { headers: { date: new Date(Date.now()).toUTCString() } };
      return (await command.middlewareStack.resolve(async () => ({ output, response }), {})({})).output;
    };
    return { send } as unknown as EC2Client;
  }

  #call(action: string, input: Input, signal: AbortSignal | undefined): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const leave = () => reject(signal?.reason);
      signal?.addEventListener('abort', leave, { once: true });
      const answer = (settle: () => void) => {
        signal?.removeEventListener('abort', leave);
        settle();
      };
      setTimeout(() => {
        const outcome = this.#serve(action, input);
        setTimeout(
          () => answer(() => (outcome instanceof Error ? reject(outcome) : resolve(outcome))),
          roundTripMs / 2,
        );
      }, roundTripMs / 2);
    });
  }

  #serve(action: string, input: Input): object {
    const count = this.counts.get(action) ?? { sent: 0, refused: 0 };
    this.counts.set(action, count);
    count.sent += 1;
    const query = Object.fromEntries([
      ...(input.Filters === undefined ? [] : [['Filter', {}]]),
      ...(input['MaxResults'] === undefined ? [] : [['MaxResults', String(input['MaxResults'])]]),
    ]);
    if (!this.#throttle.take(action, query, performance.now())) {
      count.refused += 1;
      return refusal('RequestLimitExceeded', 503);
    }
    return this.#does[action]?.(input) ?? refusal('InvalidAction', 400);
  }

  readonly #does: Readonly<Record<string, (input: Input) => object>> = {
    DescribeVolumes: ({ Filters = [] }) => ({ Volumes: this.#select(Filters).map((volume) => ({ ...volume })) }),
    DescribeInstances: ({ Filters = [] }) => ({
      Reservations: [{ Instances: (Filters[0]?.Values ?? []).flatMap((id) => this.#instance(id)) }],
    }),
    CreateTags: ({ Resources = [], Tags = [] }) => {
      for (const id of Resources) {
        const volume = this.volumes.get(id);
        const others = volume?.Tags?.filter(({ Key }) => Tags.every((tag) => tag.Key !== Key)) ?? [];
        if (volume !== undefined) volume.Tags = [...others, ...Tags];
      }
      return {};
    },
    AttachVolume: ({ VolumeId = '', InstanceId = '', Device = '' }) => {
      if ((this.volumes.get(VolumeId)?.Attachments ?? []).length > 0) return refusal('VolumeInUse', 400);
      return this.#attach(VolumeId, InstanceId, Device, new Date(Date.now()));
    },
    DetachVolume: ({ VolumeId = '' }) => this.#detach(VolumeId),
  };

  #select([first, second]: readonly Filter[]): Volume[] {
    const { Name = '', Values = [] } = second ?? first ?? {};
    if (Name === 'volume-id') return Values.flatMap((id) => this.volumes.get(id) ?? []);
    if (Name === 'tag:docker-volume-ebs:name') {
      return Values.flatMap((name) => this.volumes.get(`vol-${name.slice(1).padStart(17, '0')}`) ?? []);
    }
    return [];
  }

  /** With its own view of its disks, which tells together with its state that it has ended since. */
  #instance(id: string): Instance[] {
    const found = this.instances.get(id);
    if (found === undefined) return [];
    const disks = [...(this.#disks.get(id) ?? [])].flatMap((volumeId) => this.volumes.get(volumeId)?.Attachments ?? []);
    const BlockDeviceMappings = disks.map(({ VolumeId, Device, AttachTime }) => ({
      DeviceName: Device,
      Ebs: { VolumeId, AttachTime, Status: 'attached' as const },
    }));
    return [{ ...found, BlockDeviceMappings }] as Instance[];
  }

  #attach(VolumeId: string, InstanceId: string, Device: string, AttachTime: Date): object {
    const attachment = { VolumeId, InstanceId, Device, AttachTime, State: 'attached', DeleteOnTermination: false };
    Object.assign(this.volumes.get(VolumeId) ?? {}, { State: 'in-use', Attachments: [attachment] });
    this.#disks.set(InstanceId, (this.#disks.get(InstanceId) ?? new Set()).add(VolumeId));
    return { ...attachment, State: 'attaching' };
  }

  #detach(VolumeId: string): object {
    const [attachment] = this.volumes.get(VolumeId)?.Attachments ?? [];
    if (attachment === undefined) return refusal('InvalidAttachment.NotFound', 400);
    attachment.State = 'detaching';
    setTimeout(() => {
      Object.assign(this.volumes.get(VolumeId) ?? {}, { State: 'available', Attachments: [] });
      this.#disks.get(attachment.InstanceId ?? '')?.delete(VolumeId);
    }, detachMs);
    return attachment;
  }
}

function refusal(name: string, httpStatusCode: number): Error {
  return Object.assign(new Error(name), { name, $fault: 'client', $metadata: { httpStatusCode } });
}

/** The least time in which the account's bucket lets so many calls of an action through, in milliseconds. */
export function boundMs(action: string, calls: number): number {
  const { size, refill } = bucketOf(action, {}).bucket;
  return (Math.max(0, calls - size) / refill) * 1000;
}
