import type { Logger } from 'pino';
import type { Attachment, EbsVolume, Ec2, Instance } from '../ebs/types.ts';
import { DriverError } from '../errors.ts';
import type { Audit, Subject } from './audit.ts';
import { decide } from './decide.ts';
import { lane, type ObserveContext, observe, readPaused } from './observe.ts';
import { isOver } from './settle.ts';
import type { Slots } from './slots.ts';
import type { FenceTimings } from './timings.ts';
import type { Decision, Evidence, Observation } from './types.ts';

/** A takeover that is in hand. */
export interface UnderWay extends Subject {
  /** When it began, RFC 3339. */
  readonly since: string;
}

export interface TakeoverContext extends ObserveContext {
  readonly ec2: Ec2;
  readonly log: Logger;
  readonly audit: Audit;
  /** Places for takeovers of this node that stop an instance. */
  readonly stops: Slots;
  readonly timings: FenceTimings;
  /** Where it is listed for as long as it takes. */
  readonly underWay: Set<UnderWay>;
  /** @throws DriverError NODE_FULL when this node cannot take another volume: nobody is fenced for nothing. */
  room(): Promise<void>;
  /** Asked before an owner is stopped, or loses its disk. @throws DriverError DRAINING when this node takes no mounts any more. */
  mayGoOn(): Promise<void>;
  /** Does work and says meanwhile what the volume waits for. */
  waiting<T>(reason: string, work: () => Promise<T>, ms?: number): Promise<T>;
}

/** One takeover on its way. What it forgets in a crash, EC2's state and the intent tag tell the next taker. */
export interface Job {
  readonly context: TakeoverContext;
  /** Sortable by time. */
  readonly fenceId: string;
  /** The steps that follow from the evidence; none before there is any. */
  steps: readonly Step[];
  /** The value of our own intent's tag while it may be set, and whether it was, for certain. */
  intent: { readonly value: string; readonly isWritten: boolean } | undefined;
  /** When the owner was last told to stop (monotonic), and whether by force. */
  stopped: { readonly at: number; readonly force: boolean } | undefined;
  /** A detach may have been sent. It cannot be called back, so that our intent must stay until it is over. */
  detachSent: boolean;
  /** Has the owner had its moment to let go? */
  asked: boolean;
  /** Gives back our place among {@link TakeoverContext.stops}; undefined while we have none. */
  leave: (() => void) | undefined;
  /** The change in the owner that is waited for: since when (monotonic), and how often it was looked at. */
  wait: { readonly since: number; readonly looks: number } | undefined;
  /** How often something was to be done, and how often a call for it came too late. */
  attempts: number;
  lateCalls: number;
  /** Since when (monotonic) every call has come too late; undefined when the last one did not. */
  lateSince: number | undefined;
  /** When the takeover began (monotonic): its attachment was read before. */
  readonly begun: number;
  /** What the looks at the owner told of its end; see {@link Observation.ownerOverAt}. */
  owner: { readonly seenBefore: boolean; readonly overAt: string | undefined };
}

export type Step = 'announce' | 'stop' | 'look again' | 'settle' | 'detach' | 'attach';

const stepsBy: Readonly<Record<Evidence, readonly Step[]>> = {
  clean: ['detach', 'attach'],
  confirmed: ['detach', 'attach'],
  terminated: ['settle', 'detach', 'attach'],
  stopped: ['look again', 'settle', 'detach', 'attach'],
  'stopped-by-force': ['look again', 'settle', 'detach', 'attach'],
  suspected: ['announce', 'stop', 'look again', 'settle', 'detach', 'attach'],
  preempted: ['announce', 'detach', 'attach'],
};

/** What follows from a piece of evidence, in order; late writes are waited for only where there may be some. */
export function stepsFor(evidence: Evidence, settleMs: number): readonly Step[] {
  return stepsBy[evidence].filter((step) => step !== 'settle' || settleMs > 0);
}

/** How a round of a takeover ended: begin again with fresh evidence, or the volume as it is now. */
export type Outcome = 'again' | { readonly volume: EbsVolume; readonly evidence?: Evidence };

/** What was observed, what follows from it, and when EC2 was asked. */
export interface Sight<D extends Decision = Decision> {
  readonly observation: Observation;
  readonly decision: D;
  /** Monotonic milliseconds. */
  readonly at: number;
  /** Milliseconds since 1970: the monotonic clock stands still while this machine is hibernated. */
  readonly wallAt: number;
}
export type SightOf<K extends Decision['kind']> = Sight<Extract<Decision, { kind: K }>>;

/** May the owner let go by itself, so that it gets a moment for that? One that is stopped cannot. */
export function mayLetGo({ attachment, owner }: Observation): boolean {
  return attachment.instanceId !== undefined && owner?.state !== 'stopped';
}

export function createJob(context: TakeoverContext): Job {
  const random = Math.floor(Math.random() * 36 ** 4);
  return {
    context,
    fenceId: `f-${Date.now().toString(36).padStart(9, '0')}${random.toString(36).padStart(4, '0')}`,
    steps: [],
    intent: undefined,
    stopped: undefined,
    detachSent: false,
    asked: false,
    leave: undefined,
    wait: undefined,
    attempts: 0,
    lateCalls: 0,
    lateSince: undefined,
    begun: performance.now(),
    owner: { seenBefore: false, overAt: undefined },
  };
}

/** Does the work of a step; the reason says which of how many it is, and when it makes sense to ask again. */
export function doing<T>(
  { context, fenceId, steps }: Job,
  step: Step | undefined,
  what: string,
  ms: number,
  work: () => Promise<T>,
): Promise<T> {
  const place = step === undefined ? -1 : steps.indexOf(step);
  const which = place === -1 ? '' : `step ${place + 1} of ${steps.length} of `;
  const seconds = Math.ceil(ms / 1000);
  const again = seconds > 180 ? `${Math.ceil(seconds / 60)} minutes` : `${seconds} s`;
  return context.waiting(`${which}takeover ${fenceId}: ${what} (within ${again})`, work, ms);
}

export function subjectOf({ context, fenceId }: Job, attachment: Attachment): Subject {
  const { volumeId, instanceId = 'AWS', device, attachTime } = attachment;
  return { fenceId, volume: context.name, volumeId, instanceId, device, attachTime };
}

/** Observes everything anew and decides. */
export async function look(job: Job, volume: EbsVolume, attachment: Attachment): Promise<Sight> {
  const asked = askedNow();
  return judge(job, await observe(job.context, volume, attachment), asked);
}

/**
 * The same sight with a fresh record of the owner alone: it shows the owner's state and the attachment together. After
 * a long wait it is asked, too, whether an operator has paused fencing meanwhile.
 */
export async function lookAtOwner(job: Job, before: Sight): Promise<Sight> {
  const { ec2, timings } = job.context;
  const { attachment, paused } = before.observation;
  const asked = askedNow();
  const isLong = asked.at - before.at > timings.visibleMs;
  const [owner, now] = await Promise.all([
    ec2.describeInstance(attachment.instanceId ?? '', lane),
    isLong ? readPaused(ec2) : paused,
  ]);
  return judge(job, { ...before.observation, owner, paused: now }, asked);
}

type Asked = Pick<Sight, 'at' | 'wallAt'>;
const askedNow = (): Asked => ({ at: performance.now(), wallAt: Date.now() });
/** For how long an answer has lain here, by the clock that says more: this process, or all of the machine, may have been paused. */
export const ageOf = ({ at, wallAt }: Asked): number => Math.max(performance.now() - at, Date.now() - wallAt);

async function judge(job: Job, observed: Observation, asked: Asked): Promise<Sight> {
  const { rules, audit, timings } = job.context;
  job.owner = overBy(job.owner, observed.owner);
  const ownerReadLater = asked.at - job.begun >= timings.visibleMs;
  const observation = { ...observed, ownerReadLater, ownerOverAt: job.owner.overAt };
  const decision = decide(rules, observation);
  await audit.decided(subjectOf(job, observation.attachment), rules.policy, observation, decision);
  return { observation, decision, ...asked };
}

/** What is known of the owner's end after another look. One that was seen to live again has not ended. */
function overBy({ seenBefore, overAt }: Job['owner'], seen: Instance | undefined): Job['owner'] {
  if (seen === undefined) return { seenBefore, overAt };
  if (!isOver(seen)) return { seenBefore: true, overAt: undefined };
  return { seenBefore, overAt: seenBefore ? (overAt ?? seen.answeredAt ?? 'unknown') : undefined };
}

export function isKind<K extends Decision['kind']>(sight: Sight, kind: K): sight is SightOf<K> {
  return sight.decision.kind === kind;
}

/** The volume as EC2 shows it. @throws DriverError EC2_NO_SUCH_VOLUME when it shows none. */
export async function readVolume({ context }: Job, volumeId: string): Promise<EbsVolume> {
  const volume = await context.ec2.describeVolume(volumeId, lane);
  if (volume !== undefined) return volume;
  throw new DriverError('EC2_NO_SUCH_VOLUME', {
    volume: context.name,
    tried: `take over ${volumeId}`,
    why: 'EC2 lists no such volume any more',
    todo: 'Look for it in the EC2 console: it may have been deleted there',
  });
}

/** The error for a takeover that cannot be, or cannot go on without somebody doing something. */
export function refused(
  { context }: Job,
  { volumeId }: Pick<Attachment, 'volumeId'>,
  why: string,
  todo: string,
): DriverError {
  return new DriverError('ATTACHED_ELSEWHERE', {
    volume: context.name,
    tried: `attach ${volumeId} to ${context.instanceId}`,
    why,
    todo,
  });
}
