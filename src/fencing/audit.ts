import type { Logger } from 'pino';
import type { AttachmentKey, InstanceState } from '../ebs/types.ts';
import { type AuditFile, createAuditFile } from './audit-file.ts';
import type { Decision, Evidence, FencePolicy, Observation } from './types.ts';

/** The attachment that a takeover is about, and the takeover. */
export interface Subject extends AttachmentKey {
  readonly fenceId: string;
  /** The volume's name. */
  readonly volume: string;
  readonly attachTime: string;
}

/** A call that other nodes or an owner may feel. */
export type FenceCall = 'CreateTags' | 'DeleteTags' | 'StopInstances' | 'DetachVolume';

/** What happened since the daemon started. */
export interface FenceCounters {
  /** By policy, evidence (or a dash) and outcome, as "stonith suspected stop". */
  readonly decisions: Record<string, number>;
  /** By what spoke against it, as "owner running", "veto mesos", "paused". */
  readonly refusals: Record<string, number>;
  readonly stops: { graceful: number; forced: number };
  forcedDetaches: number;
  /** AttachVolume came too late: another node had the volume. */
  lostRaces: number;
  /** What a check allowed was no longer true, or no longer fresh, when it was to be done. */
  aborted: number;
}

/** What an operator does by command. */
interface OperatorAct {
  readonly act: 'confirm' | 'pause' | 'resume';
  readonly reason?: string;
  /** How many volumes it is about. */
  readonly volumes?: number;
  /** The attachment that a confirmation is about. */
  readonly about?: Omit<Subject, 'fenceId'>;
  /** As EC2 showed the owner when its end was confirmed. */
  readonly ownerState?: InstanceState | 'not listed';
}

/** That fencing is paused, as it was seen. */
interface SeenPause {
  readonly reason: string;
  /** RFC 3339. */
  readonly seenAt: string;
}

/** The record of every decision, call and outcome of fencing on this node. */
export interface Audit {
  readonly counters: FenceCounters;
  /** Whether fencing was paused in the cluster when this node last saw; undefined when it was not, or none had to look. */
  paused(): SeenPause | undefined;
  /** Notes what tags said about it just now: the reason of a pause, or undefined. */
  sawPause(reason: string | undefined): void;
  /**
   * A decision with what it was made of. A refusal or wait that repeats the one before it is counted, not written.
   * @throws DriverError JOURNAL_FAILED where the decision allows something; a refusal needs no record to stand.
   */
  decided(subject: Subject, policy: FencePolicy, observation: Observation, decision: Decision): Promise<void>;
  /** Before a call that others may feel. @throws DriverError JOURNAL_FAILED: it must not be made then. */
  calling(subject: Subject, call: FenceCall, evidence: Evidence, force: boolean): Promise<void>;
  /** Before an operator's command takes effect. @throws DriverError JOURNAL_FAILED: it must not then. */
  operated(act: OperatorAct): Promise<void>;
  /** How it went: "detached", "attached", "aborted: …". Never fails. */
  ended(subject: Subject, outcome: string): Promise<void>;
}

const maxBytes = 10_000_000;
/** An unchanged refusal is written again after this, with how often it was repeated. */
const foldMs = 60_000;

/** The audit in a file (readAudit in audit-file.ts reads it), which is made when there is something to write. */
export function openAudit(file: string, log: Logger): Audit {
  return createAudit(createAuditFile(file, maxBytes), log);
}

/** The counters at a daemon's start. */
export const nothingCounted = (): FenceCounters => ({
  decisions: {},
  refusals: {},
  stops: { graceful: 0, forced: 0 },
  forcedDetaches: 0,
  lostRaces: 0,
  aborted: 0,
});

/** The audit on what keeps its lines. */
export function createAudit(file: AuditFile, log: Logger): Audit {
  const counters = nothingCounted();
  const folded = createFolding();
  let paused: SeenPause | undefined;
  const sawPause = (reason: string | undefined) => {
    paused = reason === undefined ? undefined : { reason, seenAt: new Date().toISOString() };
  };
  return {
    counters,
    paused: () => paused,
    sawPause,
    async decided(subject, policy, observation, decision) {
      sawPause(observation.paused);
      count(counters, policy, observation, decision);
      const { kind, reason } = decision;
      const stands = kind === 'refuse' || kind === 'wait';
      const repeated = folded(subject, stands ? `${kind} ${reason}` : undefined);
      if (repeated === 'folded') return;
      const told = { op: 'fence', ...subject, ownerState: observation.owner?.state, policy, decision };
      // Of what follows the takeover itself tells when it begins.
      log[stands ? 'info' : 'debug'](told, 'fencing decision');
      const written = file.append({ event: 'decision', ...subject, policy, decision, repeated, observation });
      if (!stands) return written;
      await written.catch((error: unknown) =>
        log.error({ op: 'fence', ...subject, err: error }, 'what fencing did could not be written into its history'),
      );
    },
    async calling(subject, call, evidence, force) {
      await file.append({ event: 'call', ...subject, call, evidence, force });
      if (call === 'StopInstances') counters.stops[force ? 'forced' : 'graceful'] += 1;
      if (call === 'DetachVolume' && force) counters.forcedDetaches += 1;
      log.warn({ op: 'fence', ...subject, call, evidence, force }, 'fencing');
    },
    async operated(act) {
      await file.append({ event: 'operator', ...act });
      log.warn({ op: 'fence', ...act }, 'an operator steers fencing');
    },
    async ended(subject, outcome) {
      if (outcome.startsWith('aborted')) counters.aborted += 1;
      if (outcome.startsWith('lost')) counters.lostRaces += 1;
      const goesOn = outcome === 'detached' || outcome.startsWith('aborted');
      const told = { op: 'fence', ...subject, outcome };
      if (goesOn) log.debug(told, 'fencing outcome');
      else log.info(told, 'a takeover has ended');
      await file.append({ event: 'outcome', ...subject, outcome }).catch((error: unknown) => {
        log.error({ op: 'fence', ...subject, err: error }, 'what fencing did could not be written into its history');
      });
    },
  };
}

/** How often an unchanged text was left out since it was last let through; "folded" when this one is to be left out. */
function createFolding() {
  const now = () => performance.now();
  const last = new Map<string, { text: string; at: number; repeated: number }>();
  return ({ volumeId, instanceId, device, attachTime }: Subject, text: string | undefined): number | 'folded' => {
    const key = `${volumeId} ${instanceId} ${device} ${attachTime}`;
    const before = last.get(key);
    if (before !== undefined && before.text === text && now() - before.at < foldMs) {
      before.repeated += 1;
      return 'folded';
    }
    for (const [old, { at }] of last) if (now() - at >= foldMs) last.delete(old);
    last.delete(key);
    if (text !== undefined) last.set(key, { text, at: now(), repeated: 0 });
    return before?.repeated ?? 0;
  };
}

function count(counters: FenceCounters, policy: FencePolicy, observation: Observation, decision: Decision): void {
  const evidence = 'evidence' in decision ? decision.evidence : '-';
  increment(counters.decisions, `${policy} ${evidence} ${decision.kind}`);
  if (decision.kind === 'refuse') increment(counters.refusals, against(observation, decision));
}

function against({ owner, paused, attachment }: Observation, refusal: Decision): string {
  if ('veto' in refusal && refusal.veto !== undefined) return `veto ${refusal.veto}`;
  if (paused !== undefined) return 'paused';
  if (attachment.instanceId === undefined) return 'managed by AWS';
  return owner === undefined ? 'owner not listed' : `owner ${owner.state}`;
}

function increment(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1;
}
