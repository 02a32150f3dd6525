import type { VolumeModification, VolumeShape } from '../../ebs/types.ts';

/** Size, type and performance, as our JSON spells them. */
export interface ShownShape extends Omit<VolumeShape, 'sizeGib'> {
  readonly sizeGiB: number;
}

/** How large the disk of a mounted volume is, and its filesystem. */
export interface VolumeSize {
  readonly diskBytes: number;
  /** Undefined where it is not known. */
  readonly filesystemBytes: number | undefined;
  /** Why the filesystem stays smaller than its disk, as a clause; undefined while nothing keeps it from growing. */
  readonly refused: string | undefined;
}

/** An option of a volume, by its name at create; undefined where it has none. */
export interface OptionChange {
  readonly option: string;
  readonly was: string | undefined;
  readonly is: string | undefined;
}

/** What a modification of a volume is, or would be. */
export interface ModifyReport {
  readonly name: string;
  readonly volumeId: string;
  readonly before: ShownShape;
  readonly after: ShownShape;
  /** Empty where all was so already. */
  readonly changes: readonly OptionChange[];
  /** Whether EC2 was asked for a modification now. */
  readonly sent: boolean;
  /** As EC2 lists it; undefined where there is none. */
  readonly modification:
    | (Pick<VolumeModification, 'state' | 'progress' | 'message'> & { readonly startedAt: string })
    | undefined;
  /** Undefined unless it is mounted on this node. */
  readonly filesystem: VolumeSize | undefined;
  /** True once the new size and performance are there, and, where it is mounted on this node, the filesystem has followed. */
  readonly done: boolean;
  /** What people overlook, as sentences without their full stop. */
  readonly notes: readonly string[];
  /** What becomes of the filesystem, as a sentence without its full stop; undefined where the size stays. */
  readonly next: string | undefined;
}
