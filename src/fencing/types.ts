/** The words of fencing that its parts share: policies, what is observed, what is decided. Plain values. */
import type { Attachment, EbsVolume, Instance, InstanceHealth } from '../ebs/types.ts';

/** From the strictest to the laxest; see docs/fencing.md for what each risks. */
export const fencePolicies = ['never', 'instance-not-running', 'stonith', 'preempt'] as const;
export type FencePolicy = (typeof fencePolicies)[number];

/** What the holder recorded when it attached a volume (tag owner). Informational: the attachment is the lock. */
export interface OwnerRecord {
  readonly instanceId: string;
  readonly device: string;
  readonly attachTime: string;
  /** Begins the holder's boot id. It decides nothing: people compare it, and version 0.1.0 reads no owner without it. */
  readonly boot: string;
  /** What its scheduler calls the holder, as "mesos:S1" or "swarm:abc"; undefined without a scheduler. */
  readonly scheduler: string | undefined;
}

/** One taker's announcement that it is about to stop an owner or pull its disk (tag fence.<taker>). */
export interface Intent {
  readonly fenceId: string;
  /** The instance that announces. */
  readonly taker: string;
  readonly victim: string;
  readonly device: string;
  readonly attachTime: string;
  /** The victim's launch time when it was judged; undefined when EC2 did not list it. */
  readonly launchTime: string | undefined;
  readonly policy: FencePolicy;
  /** `stopped-by-force` once the taker is about to force the stop: EC2 does not tell such a stop from another. */
  readonly evidence: Evidence;
}

/** An operator's word that an owner will never use this attachment again (tag confirmed). */
export interface Confirmation {
  readonly victim: string;
  readonly device: string;
  readonly attachTime: string;
  /** At most 120 characters, one line. */
  readonly reason: string;
}

/**
 * One takeover as the fence-log tag keeps it; `at` is RFC 3339 in whole seconds, by EC2's clock; `evidence` is what it
 * was begun on: `suspected` for an owner that was stopped for it, also if the stop then proved clean.
 */
export interface FenceLogEntry {
  readonly at: string;
  readonly fenceId: string;
  readonly victim: string;
  readonly taker: string;
  readonly evidence: Evidence;
}

/** What a scheduler says of a node, by the identity the node itself stamped on the volume. */
export interface Testimony {
  readonly source: 'mesos' | 'swarm';
  /** Undefined when it is not recorded whose the attachment is, so that the scheduler could not be asked. */
  readonly identity: string | undefined;
  /** False when the scheduler could not be asked; `detail` says why. */
  readonly answered: boolean;
  /**
   * `registered`: it is a ready member now. `unreachable`: positively marked lost. `gone`: an operator said so.
   * `nothing`: not listed, or the scheduler could not be asked; it proves nothing.
   */
  readonly says: 'registered' | 'unreachable' | 'gone' | 'nothing';
  /** Since when, RFC 3339 by the scheduler's clock. */
  readonly since: string | undefined;
  /** For people: "the leading master at 10.0.0.1:5050 lists agent S1 as unreachable since …". */
  readonly detail: string;
  /** Another identity that is a ready member on the victim's machine (a re-registered agent); undefined if none is known. */
  readonly otherMemberThere: string | undefined;
  /** Is the taker itself a ready member? False makes its view of others worthless. */
  readonly takerRegistered: boolean;
  /** Members that are lost or unreachable, and all members known: the storm guard. */
  readonly suspects: number;
  readonly members: number;
}

/** What may tell that a member runs on the owner's machine. */
export type Machine = Pick<Instance, 'privateIp' | 'privateDns'>;

/** One scheduler. Neither method throws: what it cannot learn is undefined, or says nothing. */
export interface Scheduler {
  readonly source: Testimony['source'];
  /** What it calls this node; undefined when this node is no member, or that cannot be learnt. */
  ownId(): Promise<string | undefined>;
  /** @param identity the exact name that the holder stamped; addresses only serve to find other members on its machine. */
  testimony(identity: string, machine: Machine | undefined): Promise<Testimony>;
}

/** What proves, or only suggests, that an owner is finished with its attachment. */
export type Evidence =
  /** The owner declared this attachment finished (the clean tag names it). */
  | 'clean'
  /** The owner is terminated; EC2 detaches by itself. */
  | 'terminated'
  /** The owner has been stopped since this attachment was made, by one record that shows both. */
  | 'stopped'
  /** The same, but by a stop that may not have been clean: writes may still arrive for a while. */
  | 'stopped-by-force'
  /** An operator's word about this very attachment. */
  | 'confirmed'
  /** Suspicion by at least as many independent sources as asked: good for stopping the instance, never for a detach. */
  | 'suspected'
  /** Nothing but the wish of a caller. */
  | 'preempted';

/** Everything that was observed about a volume that another instance has, at one moment. */
export interface Observation {
  readonly volume: EbsVolume;
  /** The attachment that the evidence is about. */
  readonly attachment: Attachment;
  /** The owner's record; undefined when EC2 listed none, which proves nothing. */
  readonly owner: Instance | undefined;
  /**
   * True when `owner` was read at least 20 s (Δ, ebs/volume-record.ts) after `attachment` was: its state is then not older
   * than the attachment even if its list of disks lacks the volume. False when absent.
   */
  readonly ownerReadLater?: boolean | undefined;
  /**
   * When the owner was first seen stopped or terminated, by EC2's clock, RFC 3339: known only to a takeover that saw it
   * before that in another state, so that it ended in between. `unknown` where EC2 did not tell its time then.
   */
  readonly ownerOverAt?: string | undefined;
  /**
   * EC2's own checks of the owner; undefined when not asked or not answered. Their time is also the only clock that
   * tells an attachment's age and how often the volume was taken lately, so that without them `decide` answers neither `stop` nor `pull`.
   */
  readonly health: InstanceHealth | undefined;
  /** What schedulers say of the owner; empty without a scheduler. */
  readonly testimony: readonly Testimony[];
  /** Why an operator has paused fencing in the cluster; undefined when it goes on. */
  readonly paused: string | undefined;
  /** This node. */
  readonly taker: string;
  /** The volume's name, for commands to type; undefined where only its id is known. */
  readonly name?: string | undefined;
}

/** An observation whose owner is known by name: not one that AWS manages. */
export interface Owned extends Observation {
  readonly instanceId: string;
}

export interface Rules {
  /** The stricter of the daemon's and the volume's. */
  readonly policy: FencePolicy;
  /** Independent sources of suspicion that stonith needs, 1 to 3. */
  readonly suspicions: number;
  /** The cluster whose tag an instance must carry to be stopped. */
  readonly cluster: string;
  /** How long after the end of an instance its writes may still arrive, in milliseconds. */
  readonly settleMs: number;
}

/**
 * `take`: the owner is finished; detach and attach. `stop`: stop the owner first. `pull`: detach under a possibly live owner
 * (preempt). `wait`: not now, but it may change by itself. `refuse`: not without something being done.
 */
export type Decision =
  | {
      readonly kind: 'take';
      readonly evidence: Evidence;
      readonly reason: string;
      /** For how long late writes of the owner are to be waited for before the volume is touched, in milliseconds. */
      readonly settleMs: number;
    }
  | {
      readonly kind: 'stop';
      readonly evidence: 'suspected';
      readonly reason: string;
      readonly suspicions: readonly string[];
    }
  | { readonly kind: 'pull'; readonly evidence: 'preempted'; readonly reason: string }
  | { readonly kind: 'wait'; readonly reason: string; readonly todo: string }
  | {
      readonly kind: 'refuse';
      readonly reason: string;
      readonly todo: string;
      /** Who vetoed, as "mesos"; undefined when nothing but the lack of evidence speaks against it. */
      readonly veto?: string | undefined;
    };
