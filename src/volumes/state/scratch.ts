import type { CreateVolumeSpec, EbsVolume } from '../../ebs/types.ts';
import type { BlockDevice } from '../../host/types.ts';

/** A scratch volume in the journal: written before it is made, and until nothing is left of it. */
export interface ScratchRecord {
  /** The value of its scratch tag, which no other has. */
  readonly mark: string;
  /** What it is called where a name is needed for people, as "verify snap-0123": never the name of a volume. */
  readonly name: string;
  /** Undefined until CreateVolume has answered. */
  readonly volume: EbsVolume | undefined;
  /** The EC2 device name; undefined until AttachVolume is about to be sent. */
  readonly device: string | undefined;
  /** Undefined until AttachVolume has answered. */
  readonly attachTime: string | undefined;
}

/** What a scratch volume is asked for. */
export interface ScratchWanted {
  /** As "verify snap-0123": for the tag, and for people. */
  readonly purpose: string;
  readonly spec: Omit<CreateVolumeSpec, 'clientToken' | 'tags' | 'zone'>;
}

/** Where the work on a scratch volume is. */
export type ScratchStep = 'make' | 'attach' | 'work' | 'take away';

/** A scratch volume whose disk is here. */
export interface ScratchDisk {
  readonly volume: EbsVolume;
  readonly disk: BlockDevice;
  /** A place of its own to mount it at; unmounted at the end, if it is. */
  readonly place: string;
}

/** The scratch volumes of this node: disks of the driver's own, for a while and under no volume's name. */
export interface ScratchVolumes {
  /**
   * Makes one, attaches it here, does work with it, and takes it away again whatever comes of that; what cannot be taken away
   * at once is later, also after a crash.
   * @throws DriverError what the work throws; NODE_FULL, JOURNAL_FAILED, CREATE_VANISHED, EC2_*.
   */
  use<T>(
    wanted: ScratchWanted,
    onStep: (step: ScratchStep) => void,
    work: (scratch: ScratchDisk) => Promise<T>,
  ): Promise<T>;
  /** Why this node's role may not make such a volume, in EC2's words; undefined where it may. */
  denied(spec: ScratchWanted['spec']): Promise<string | undefined>;
  /** Takes away what a listing of the cluster shows to be left over: this node's, and what others have left for hours. */
  found(listed: readonly EbsVolume[]): void;
  /** Those that are there, in use or on their way out. */
  all(): readonly ScratchRecord[];
}

/** The records as the journal has them. What a person has spoilt by hand is left out. */
export const readScratchRecords = (saved: unknown): ScratchRecord[] =>
  Array.isArray(saved)
    ? saved.filter(
        ({ mark, name, volume }) =>
          [mark, name].every((text) => typeof text === 'string') &&
          (volume === undefined || typeof volume.id === 'string'),
      )
    : [];
