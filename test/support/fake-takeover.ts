import { pino } from 'pino';
import { vi } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import type { EbsVolume, Instance } from '../../src/ebs/types.ts';
import { openFencing } from '../../src/fencing/fencing.ts';
import type { TakeoverContext } from '../../src/fencing/job.ts';
import { ownerTag } from '../../src/fencing/records.ts';
import { type Takeover, takeOver } from '../../src/fencing/takeover.ts';
import type { FencePolicy, Testimony } from '../../src/fencing/types.ts';
import { FakeAudit } from './fake-audit.ts';
import { FakeEc2 } from './fake-ec2.ts';
import { pass } from './virtual-time.ts';

/** Long ago, so that no late writes are waited for. */
export const stopped = {
  state: 'stopped',
  stateReason: 'Client.UserInitiatedShutdown',
  stopAskedAt: '2020-01-01T00:00:00.000Z',
} as const;

export const terminated = { ...stopped, state: 'terminated' } as const;

export interface TakeoverParts {
  readonly owner?: Partial<Instance>;
  readonly policy?: FencePolicy;
  /** How old the attachment is, in milliseconds; an hour unless told. */
  readonly ageMs?: number;
}

/** A volume attached to i-a since an hour, and others who want it. Begin in virtual time. */
export function takeoverBench({ owner = {}, policy = 'instance-not-running', ageMs = 3_600_000 }: TakeoverParts = {}) {
  const ec2 = new FakeEc2();
  const tags = { [tagKeys.cluster]: 'default' };
  for (const id of ['i-a', 'i-b', 'i-c']) {
    ec2.addInstance(id);
    ec2.setInstance(id, { tags, launchTime: new Date(Date.now() - 2 * ageMs).toISOString() });
  }
  ec2.setInstance('i-a', owner);
  const volume = ec2.addVolume({ tags: { ...tags } });
  const attachment = ec2.addAttachment(volume, 'i-a', '/dev/xvdbq');
  attachment.attachTime = `${new Date(Date.now() - ageMs).toISOString().slice(0, 19)}Z`;
  const key = { volumeId: volume.id, instanceId: 'i-a', device: '/dev/xvdbq' };
  const audit = new FakeAudit();
  const reasons: string[] = [];
  const testimony: Testimony[] = [];

  /** The taker's view of the world, changed where told. */
  const contextOf = (instanceId: string, change: Partial<TakeoverContext> = {}): TakeoverContext => {
    const settings = { fencePolicy: policy, fenceSuspicions: 2, fenceSettle: 60, cluster: 'default' };
    const fencing = openFencing(
      { ...settings, mesosMasters: '', mesosAgent: 'http://127.0.0.1:5051', swarmSocket: '' },
      audit.audit,
    );
    return {
      ...fencing,
      schedulers: { testimony: async () => testimony },
      ec2,
      log: pino({ level: 'silent' }),
      name: 'data',
      instanceId,
      rules: fencing.rulesOf({}),
      room: async () => undefined,
      mayGoOn: async () => undefined,
      waiting: (reason, work) => {
        reasons.push(reason);
        return work();
      },
      ...change,
    };
  };
  /** A takeover as it begins from what EC2 shows now. */
  const takeBy = async (context: TakeoverContext): Promise<Takeover> => {
    const seen = (await ec2.describeVolume(volume.id)) as EbsVolume;
    const held = seen.attachments.find(({ state }) => state !== 'detached');
    ec2.calls.length = 0;
    if (held === undefined) return { volume: seen, fenced: undefined };
    return takeOver(context, seen, held);
  };
  /** EC2's checks of the owner fail, all of them, for ten minutes by now. */
  const suspect = () => {
    const impairedSince = new Date(Date.now() - 600_000).toISOString();
    const check = { status: 'impaired', impairedSince };
    ec2.health.set('i-a', { system: check, instance: check });
  };
  /** The holder's own record, as it would have written it. */
  const stamp = (scheduler: string) => {
    const { device, attachTime } = attachment;
    volume.tags[tagKeys.owner] = ownerTag({ instanceId: 'i-a', device, attachTime, boot: 'boot-1', scheduler });
  };
  return {
    ec2,
    volume,
    attachment,
    key,
    audit,
    reasons,
    testimony,
    contextOf,
    takeBy,
    suspect,
    stamp,
    begin: (change?: Partial<TakeoverContext>) => takeBy(contextOf('i-b', change)),
    methods: () => ec2.calls.map(({ method }) => method),
    argsOf: (method: string) => ec2.calls.filter((call) => call.method === method).map(({ args }) => args[0]),
    intents: () => Object.keys(volume.tags).filter((tag) => tag.startsWith(tagKeys.intentPrefix)),
  };
}

/** Lets up to `ms` of virtual time run until the promise has settled, in coarse steps; gives its outcome. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let settled = false;
  const end = () => {
    settled = true;
  };
  promise.then(end, end);
  for (let spent = 0; !settled && spent < ms; spent += 500) await pass(500);
  if (!settled) throw new Error(`nothing came of it in ${ms / 1000} s of virtual time`);
  return promise;
}

/** What it fails with, within so much virtual time. */
export const failureWithin = (ms: number, promise: Promise<unknown>): Promise<unknown> =>
  within(
    ms,
    promise.then(
      (value) => {
        throw new Error(`it succeeded: ${JSON.stringify(value)}`);
      },
      (error: unknown) => error,
    ),
  );

/** How long the work takes in virtual milliseconds. */
export async function timed<T>(work: () => Promise<T>): Promise<{ ms: number; result: T }> {
  const begun = performance.now();
  const promise = work();
  let ms = 0;
  promise.then(
    () => {
      ms = performance.now() - begun;
    },
    () => undefined,
  );
  for (let spent = 0; ms === 0 && spent < 300_000; spent += 10) await vi.advanceTimersByTimeAsync(10);
  return { result: await promise, ms };
}

/** What a takeover gives back of a volume that nobody has any more. */
export const free = { volume: { state: 'available', attachments: [] } };

/** An owner that is suspected, under the policy stonith; and what was asked to stop. */
export function suspectBench(owner: Partial<Instance> = {}) {
  const parts = takeoverBench({ policy: 'stonith', owner });
  parts.suspect();
  const stops = () => parts.ec2.calls.filter(({ method }) => method === 'stopInstance').map(({ args }) => args);
  return { ...parts, stops };
}
