/** What operators are told of a node and its cluster, and what they may ask of them. */

import type { FenceCounters } from '../../fencing/audit.ts';
import type { FilesystemUsage } from '../../host/types.ts';
import type { ScheduleStatus } from '../copies/dues.ts';
import type { Verification } from '../copies/verifications.ts';
import type { ProofNote } from '../copies/verify-schedule.ts';
import type { DrainReport } from '../lifecycle/drain.ts';
import type { Rescue } from '../lifecycle/rescue.ts';
import type { Draining } from '../state/draining.ts';
import type { Ghost } from '../state/ghosts.ts';
import type { GrowthNote } from '../state/local.ts';
import type { ClusterVolumes } from './cluster-types.ts';
import type { Initialized } from './initialized.ts';
import type { ModifyReport, OptionChange, VolumeSize } from './modify-report.ts';
import type { SnapshotOperator } from './snapshots.ts';
import type { TrashOperator } from './trash-types.ts';
import type { VerifyOperator } from './verify.ts';

export type * from './cluster-types.ts';
export type { ModifyReport, OptionChange, VolumeSize } from './modify-report.ts';

/** Whether this node can do its work. */
export interface Health {
  /** What keeps this node from its work, as clauses; empty while nothing does. */
  readonly problems: readonly string[];
  /** Undefined while it has not been found out. */
  readonly instanceId: string | undefined;
  /** A drained node is in health. */
  readonly draining: Draining | undefined;
  readonly ec2: Ec2Contact;
}

/** How the last calls of EC2 went; a node that has nothing to do makes none. */
export interface Ec2Contact {
  /** When EC2 last answered, with a refusal perhaps, RFC 3339; undefined when it has not since this daemon's start. */
  readonly answeredAt: string | undefined;
  /** How long that is ago, by a clock that nobody sets; whole seconds. */
  readonly answeredSecondsAgo: number | undefined;
  /** Undefined unless the last call got no answer, or found no credentials that EC2 takes; since when, RFC 3339. */
  readonly failing:
    | { readonly since: string; readonly code: 'EC2_UNAVAILABLE' | 'EC2_CREDENTIALS'; readonly why: string }
    | undefined;
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
  readonly owner:
    | {
        readonly instanceId: string;
        /** Its Name tag and private address; absent where it has none, or was not looked at. */
        readonly instanceName?: string | undefined;
        readonly address?: string | undefined;
        readonly device: string;
        readonly attachTime: string;
      }
    | undefined;
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

/** A volume as `status` shows it: held on this node, or waited for here. */
export interface NodeVolume {
  readonly name: string;
  /** Undefined while only its name is known. */
  readonly volumeId: string | undefined;
  /** As held here (see held.ts); `waiting` for a name whose verb is under way here while nothing is held. */
  readonly phase: 'attaching' | 'attached' | 'mounted' | 'detaching' | 'waiting';
  /** The EC2 device name; undefined while waiting. */
  readonly device: string | undefined;
  /** The directory that callers use; undefined unless mounted. */
  readonly mountpoint: string | undefined;
  /** Docker's mount ids, or `anonymous` for callers without one, each since when (RFC 3339). */
  readonly holders: readonly { readonly id: string; readonly since: string }[];
  /** Who is seen to use it, as "container 3f2a9c0b1d4e (process 4711, postgres)"; nobody proves nothing. */
  readonly users: readonly string[];
  /** When the phase began, RFC 3339; undefined in records of earlier versions. */
  readonly since: string | undefined;
  /** A clause. */
  readonly waitingFor: string | undefined;
  /** Undefined unless a person has it: where its disk is to be found, and what was on it before. */
  readonly rescue: { readonly path: string; readonly snapshotId: string | undefined } | undefined;
  /** Its disk has gone from this machine without us: what is still mounted gives I/O errors. */
  readonly ghost: boolean;
  /** Why its filesystem takes no more writes, as a clause; undefined unless it is mounted and has failed. */
  readonly fault: string | undefined;
  /** Its disk and its filesystem; undefined while it is not mounted, or nobody has looked yet. */
  readonly size: VolumeSize | undefined;
  /** Undefined unless it is mounted and grows by itself. */
  readonly autoGrow: GrowthNote | undefined;
  /** Undefined where none of its snapshots was ever verified, and nobody asks for it. */
  readonly proof: ProofNote | undefined;
  /** Undefined unless it is held here and has a schedule of snapshots. */
  readonly snapshots: ScheduleStatus | undefined;
  /** How much of what it was made from is on its disk; absent where that is all of it, and where EC2 was not asked. */
  readonly initialized?: Initialized | undefined;
  /** Undefined while it is not mounted, and where the filesystem does not answer. */
  readonly usage: FilesystemUsage | undefined;
}

/** A takeover that this node has in hand, and the attachment it is about. */
export interface TakeoverUnderWay {
  /** As in the history of fencing. */
  readonly fenceId: string;
  readonly volume: string;
  readonly volumeId: string;
  /** The owner; `AWS` for a resource that AWS manages. */
  readonly instanceId: string;
  readonly device: string;
  /** RFC 3339. */
  readonly since: string;
}

/** This node as it knows itself, from memory and this machine: EC2 is not asked. */
export interface NodeStatus {
  readonly node: {
    /** Undefined while it has not been found out; `unready` says why. */
    readonly instanceId: string | undefined;
    readonly zone: string | undefined;
    readonly cluster: string;
    readonly fencePolicy: string;
    readonly version: string;
  };
  /** When this daemon started, RFC 3339. */
  readonly since: string;
  /** What keeps this node from attaching volumes yet, as a clause; undefined once nothing does. */
  readonly unready: string | undefined;
  /** Since when the root's disk is full and volumes leave by the journal's reserve, RFC 3339; undefined while it has room. */
  readonly reserveUsedSince: string | undefined;
  readonly draining: Draining | undefined;
  /** Places for disks of this instance, its root disk included; the limit is undefined where EC2 has not said. */
  readonly slots: { readonly used: number; readonly limit: number | undefined };
  /** By name. */
  readonly volumes: readonly NodeVolume[];
  readonly foreign: readonly ForeignAttachment[];
  readonly takeovers: readonly TakeoverUnderWay[];
  /** Why fencing was paused when this node last had to know, and when that was (RFC 3339); undefined when it was not. */
  readonly paused: { readonly reason: string; readonly seenAt: string } | undefined;
  /** Since this daemon's start. */
  readonly fencesDone: FenceCounters;
  readonly ec2: Ec2Contact;
  /** Of the last day, until they are acknowledged; oldest first. */
  readonly ghosts: readonly Ghost[];
  /** The checks of this instance that EC2 shows as impaired, as clauses; undefined where nobody asked, or EC2 did not tell. */
  readonly impaired: readonly string[] | undefined;
  /** Verifications of snapshots that this node has in hand, and the last ones since the daemon's start. */
  readonly verifications: readonly Verification[];
  /** What EC2 has announced to do to this instance, as sentences. */
  readonly notices: readonly string[];
}

/** What to run on a rescued disk, in this order. */
export interface RescueStep {
  readonly command: string;
  /** What it does, as a clause. */
  readonly what: string;
}

/** What a person is told of a volume that is rescued. */
export interface RescueReport extends Pick<Rescue, 'name' | 'volumeId' | 'path' | 'since' | 'snapshotId'> {
  /** What is on the disk, as a sentence part. */
  readonly found: string;
  readonly steps: readonly RescueStep[];
}

/** A volume that is attached to this node by somebody else than this driver: it is left alone. */
export interface ForeignAttachment {
  readonly name: string;
  readonly volumeId: string;
  readonly device: string;
}

/** What `set` has changed, or would change. */
export interface OptionsSet {
  readonly volumeId: string;
  /** Empty where all was so already. */
  readonly changes: readonly OptionChange[];
  /** When the options matter next, as a sentence without its full stop. */
  readonly effective: string;
}

/** What an operator asks of a node. Every method throws only DriverError. */
export interface Operator {
  /**
   * This node's volumes and what it has in hand. Answers within 2 s whatever the disks do, and costs no EC2 call unless `checks` asks
   * what EC2 says of this instance's health.
   */
  status(how?: { readonly checks: boolean }): Promise<NodeStatus>;
  /** Ghosts are told of no more. @returns how many there were. */
  acknowledge(): Promise<number>;
  /** The cluster's volumes, and the state of the instances that have them. EC2_* when EC2 cannot be asked. */
  volumes(): Promise<ClusterVolumes>;
  /** Takes no new mounts and gives back what nobody uses, until cancelled; idempotent. */
  drain(reason: string): Promise<DrainReport>;
  drainStatus(): Promise<DrainReport>;
  /** Takes mounts again, whoever drained. @returns why it was drained; undefined when it was not. */
  cancelDrain(): Promise<Draining | undefined>;
  /**
   * Changes how an existing volume is mounted from its next mount on; an empty text takes an option off. INVALID_OPTION
   * for an option that cannot be set, or that create would refuse. `dryRun` only tells.
   */
  setOptions(
    name: string,
    options: Readonly<Record<string, string>>,
    how: { readonly dryRun: boolean },
  ): Promise<OptionsSet>;
  /**
   * Changes the size, type or performance of a volume, or how it grows by itself; texts by the option's name at create, a
   * size also as "+50". Again, it comes to the same. INVALID_OPTION for what cannot be, EC2_*. `dryRun` only tells.
   */
  modify(
    name: string,
    options: Readonly<Record<string, string>>,
    how: { readonly dryRun: boolean },
  ): Promise<ModifyReport>;
  /** How far the last modification of a volume is. */
  modification(name: string): Promise<ModifyReport>;
  /**
   * Attaches a volume here and holds it for a person, not mounted; takes a snapshot first unless told otherwise. Again, it
   * comes to the same. IN_USE_HERE while a container uses it; else what a mount throws that cannot have it.
   */
  rescue(name: string, options: { readonly snapshot: boolean }): Promise<RescueReport>;
  /** Gives it back. INVALID_REQUEST unless it is rescued here. */
  endRescue(name: string): Promise<void>;
  /**
   * Ends a holder of a volume mounted here whose caller has forgotten it: a mount id, or `anonymous`. INVALID_REQUEST where there is
   * no such holder here; IN_USE_HERE while a container or program uses the volume.
   */
  endHolder(name: string, holder: string): Promise<void>;
  readonly fence: FenceOperator;
  readonly trash: TrashOperator;
  readonly snapshots: SnapshotOperator;
  readonly verify: VerifyOperator;
}
