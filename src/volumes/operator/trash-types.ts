/** What operators are told of the trash, and may do with it. */
import type { Undeleted } from '../requests/undelete.ts';
import type { Collected, GcOptions } from './gc.ts';

export type { Undeleted } from '../requests/undelete.ts';
export type { Collected, GcOptions } from './gc.ts';

/** A volume of the trash, or the snapshot that is all there is of one that was removed from another zone. */
export interface TrashEntry {
  readonly id: string;
  /** The name that it had. */
  readonly name: string;
  /** Undefined for a snapshot, which any zone can have a volume of. */
  readonly zone: string | undefined;
  /** The volume's, or "snapshot". */
  readonly type: string;
  readonly sizeGiB: number;
  /** When it was removed, and until when it is kept, RFC 3339. */
  readonly removed: string;
  readonly expires: string;
  /** The node that put it there. */
  readonly by: string;
  /** The node that has it attached for its removal still, and gives it back by itself; undefined once it is free. */
  readonly leaves: string | undefined;
  /** Why it stays beyond its time, as a clause; undefined where nothing keeps it. */
  readonly kept: string | undefined;
  /** Roughly what a month of it costs, in USD, at most; undefined where no price of its type is known. */
  readonly monthlyCost: number | undefined;
}

/** The trash as an operator sees and steers it. Every method throws only DriverError. */
export interface TrashOperator {
  /** The trash of the cluster, the last removed first. */
  list(): Promise<readonly TrashEntry[]>;
  /**
   * Gives what was removed, by its name (the last of it) or id, its name again, or another one. EXISTS_DIFFERENT where that is
   * taken, NO_SUCH_VOLUME where it is not in the trash. Of a snapshot a volume is made, in this node's zone or in the one given.
   * One that is just being removed from another zone stays.
   */
  undelete(which: string, as: string | undefined, zone?: string | undefined): Promise<Undeleted>;
  /**
   * Deletes what is in the trash for good: these, by name or id, or all of it. INVALID_REQUEST for a name that several had.
   * @returns what was deleted, or would be.
   */
  purge(which: readonly string[] | 'all', how: { readonly dryRun: boolean }): Promise<readonly TrashEntry[]>;
  /**
   * What nobody needs any more, and what became of it where that was to be done away with. INVALID_REQUEST for an id that is
   * none of it.
   */
  collect(options: GcOptions): Promise<readonly Collected[]>;
}
