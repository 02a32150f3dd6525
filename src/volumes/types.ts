/** The driver as the wire, the metrics and the daemon see it: what can be asked of it, in its own words. */
import type { Health, Operator } from './operator/types.ts';
import type { ListedVolume, VolumeInfo } from './requests/get.ts';
import type { Awaited } from './state/waits.ts';

export type { VolumeSnapshot } from './copies/snapshot-tags.ts';
export type { Taken } from './copies/taken.ts';
export type { Verification } from './copies/verifications.ts';
export type { ProofNote } from './copies/verify-schedule.ts';
export type { DrainedVolume, DrainReport } from './lifecycle/drain.ts';
export type * from './operator/trash-types.ts';
export type * from './operator/types.ts';
export type { VerificationPlan } from './operator/verify.ts';
export type { ListedVolume, VolumeInfo } from './requests/get.ts';
export type { RolledBack } from './requests/rollback.ts';
export type { Awaited } from './state/waits.ts';

export interface CallerOptions {
  /** Aborted when the caller has gone (deadline, closed connection): the work goes on, nothing is held for it. */
  readonly signal?: AbortSignal | undefined;
  /** The caller's process: 0 for one that cannot be seen from here, undefined where it is not known. */
  readonly pid?: number | undefined;
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
  /** What is awaited, at once and from memory: by a volume, else by this node; undefined while that is nothing. */
  awaited(name: string | undefined): Awaited | undefined;
  /** Whether this node can do its work, by its memory and its own disk: EC2 is not asked. Answers within 2 s, never fails. */
  health(): Promise<Health>;
  readonly operator: Operator;
}
