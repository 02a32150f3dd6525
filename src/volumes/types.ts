/** What the wire sees of the driver, in its own words: no wire-cased names. */
import type { FenceCounters } from '../fencing/audit.ts';

/** A volume as `get` shows it. */
export interface VolumeInfo {
  readonly name: string;
  /** The directory callers use; undefined while the volume is not mounted on this node. */
  readonly mountpoint: string | undefined;
  /** RFC 3339. */
  readonly createdAt: string | undefined;
  /** For an operator's eyes: plain JSON, keys in camel case. */
  readonly status: Readonly<Record<string, unknown>>;
}

/** A volume as `list` shows it. */
export type ListedVolume = Pick<VolumeInfo, 'name' | 'mountpoint'>;

export interface CallerOptions {
  /** Aborted when the caller has gone (deadline, closed connection): the work goes on, nothing is held for it. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The volume driver: one method a verb of the Docker volume protocol. Every method throws only DriverError; names and
 * options are as the caller gave them, unchecked.
 */
export interface VolumeDriver {
  /** Makes the volume, or finds that it is there as asked (EXISTS_DIFFERENT otherwise). */
  create(name: string, options: Readonly<Record<string, string>>, caller?: CallerOptions): Promise<void>;
  /** Removes the volume as the onRemove setting says; one that is not there is success. */
  remove(name: string): Promise<void>;
  /** Mounts the volume here for a holder and gives the directory. `id` is undefined for callers that send none. */
  mount(name: string, id: string | undefined, caller?: CallerOptions): Promise<string>;
  /** Ends a holder; an unknown holder or volume is success. */
  unmount(name: string, id: string | undefined): Promise<void>;
  /** The directory of a volume mounted here, or "" when it is not mounted. NO_SUCH_VOLUME if there is none. */
  path(name: string): Promise<string>;
  /** NO_SUCH_VOLUME if EC2 says there is none. Volumes held here are answered from memory. */
  get(name: string): Promise<VolumeInfo>;
  list(): Promise<ListedVolume[]>;
  /** What the volume is waiting for, as a clause for people; undefined when nothing. */
  waitingFor(name: string): string | undefined;
  readonly operator: Operator;
}

/** Why a node is drained. */
export interface Draining {
  /** A clause for people. */
  readonly reason: string;
  /** Who ends it: an operator's drain lasts until it is cancelled, that of a notice as long as the notice. */
  readonly by: 'operator' | 'notice';
  /** RFC 3339. */
  readonly since: string;
}

/** How far the drain has come with a volume that was held when it began. */
export interface DrainedVolume {
  readonly name: string;
  readonly volumeId: string;
  readonly state: 'released' | 'releasing' | 'in-use';
  /** Docker's mount ids, or "anonymous" for callers without one; empty once nobody holds it. */
  readonly holders: readonly string[];
  /** What uses it, or what its release waits for, as a clause; undefined once it is released. */
  readonly why: string | undefined;
}

export interface DrainReport {
  /** Undefined while the node takes mounts. */
  readonly draining: Draining | undefined;
  /** By name; empty unless draining. */
  readonly volumes: readonly DrainedVolume[];
}

/** What `fence explain` says. Texts are for people, one line each. */
export interface Explanation {
  readonly name: string;
  readonly volumeId: string;
  /** The policy that applies, and where it comes from. */
  readonly policy: string;
  /** `free`: nobody has it. `here`: this node has it. `leaving`: it is being detached. Else what a Mount here would do. */
  readonly outcome: 'free' | 'here' | 'leaving' | 'take' | 'stop' | 'pull' | 'wait' | 'refuse';
  readonly reason: string;
  /** Undefined where nothing needs to be done. */
  readonly todo: string | undefined;
  /** The attachment that all this is about: what `fence confirm` would be about. */
  readonly owner: { readonly instanceId: string; readonly device: string; readonly attachTime: string } | undefined;
  readonly evidenceFor: readonly string[];
  readonly evidenceAgainst: readonly string[];
  /** What a Mount on this node would do, in order. */
  readonly steps: readonly string[];
  /** Why fencing is paused in the cluster; undefined when it goes on. */
  readonly paused: string | undefined;
  /** Calls that the policy needs and this node's role may not make, minutes old at most; undefined while EC2 has not told. */
  readonly denied: readonly string[] | undefined;
}

/** One entry of this node's audit journal. */
export interface HistoryEntry {
  /** RFC 3339. */
  readonly at: string;
  /** For people, one line. */
  readonly text: string;
  /** The entry as it was written: plain JSON. */
  readonly entry: Readonly<Record<string, unknown>>;
}

/** What this node has decided and done about fencing. */
export interface FenceHistory {
  /** Newest first, also of earlier daemons. */
  readonly entries: readonly HistoryEntry[];
  /** Since this daemon's start. */
  readonly counters: FenceCounters;
}

/** Fencing as an operator sees and steers it. */
export interface FenceOperator {
  /** What would happen if the volume were mounted here now, and why; nothing is done. */
  explain(name: string): Promise<Explanation>;
  /** This node's audit journal, at most `limit` entries, and what was counted. */
  history(limit: number): Promise<FenceHistory>;
  /**
   * Records an operator's word that `victim` will never use the volume again under its present attachment.
   * INVALID_REQUEST unless it is the owner, and unless EC2 shows it as stopped or terminated, does not list it, or the
   * operator insists (`evenIfRunning`). @returns what happens now, in sentences.
   */
  confirm(name: string, victim: string, reason: string, options: { readonly evenIfRunning: boolean }): Promise<string>;
  /** Stops fencing in the whole cluster; idempotent. @returns how many volumes say so now: one of them is enough. */
  pause(reason: string): Promise<number>;
  /** Ends a pause; idempotent. @returns how many volumes said so. */
  resume(): Promise<number>;
}

/** What an operator asks of a node. Every method throws only DriverError. */
export interface Operator {
  /** Takes no new mounts and gives back what nobody uses, until cancelled; idempotent. */
  drain(reason: string): Promise<DrainReport>;
  drainStatus(): Promise<DrainReport>;
  /** Takes mounts again, whoever drained. @returns why it was drained; undefined when it was not. */
  cancelDrain(): Promise<Draining | undefined>;
  readonly fence: FenceOperator;
}
