/** What the wire sees of the driver: DESIGN's words, no wire-cased names. */

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
}
