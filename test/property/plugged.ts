import type { BlockDevice } from '../../src/host/types.ts';

/** A disk as one machine has it: plugged in again, it is another one. */
export interface Disk {
  readonly device: BlockDevice;
  readonly volumeId: string;
  /** The filesystem as the machine has it in memory once mounted. */
  records: string[] | undefined;
  /** False once it was pulled out. */
  live: boolean;
}

export interface Container {
  readonly name: string;
  readonly disk: Disk;
  /** Mount id; null for a caller without. */
  readonly id: string | null;
}

/** What a machine tells its world of. */
export interface Witness {
  broken(rule: string, what: string): void;
}
