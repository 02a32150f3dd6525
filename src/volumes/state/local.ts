import type { Logger } from 'pino';
import type { Settings } from '../../config.ts';
import type { Ec2 } from '../../ebs/types.ts';
import type { Audit } from '../../fencing/audit.ts';
import type { Fencing } from '../../fencing/fencing.ts';
import type { LockPlace } from '../../host/instance-lock.ts';
import type { NoticeListener } from '../../host/notices.ts';
import type { Host } from '../../host/types.ts';
import type { Ghosts } from './ghosts.ts';
import type { Held } from './held.ts';
import type { Identity, Journal } from './journal.ts';
import type { NameMemory } from './memory.ts';

/** The outside world, as the driver opens it. */
export interface World {
  openHost(settings: Settings): Promise<Host>;
  openJournal(directory: string): Promise<Journal>;
  /** The record of fencing in a file that need not be there yet. */
  openAudit(file: string, log: Logger): Audit;
  openEc2(cluster: string, region: string | undefined, log: Logger): Ec2;
  /** Asks the settings or the metadata service who this instance is; may fail for now. */
  readIdentity(settings: Settings): Promise<Omit<Identity, 'bootId' | 'asked'>>;
  /** Makes this the only daemon of a cluster on an instance; fails while there is another. Absent where none can be. */
  lockInstance?(place: LockPlace, log: Logger): Promise<void>;
  /** Another value for Node's visibleMs: tests have an EC2 that shows at once what was done to it. */
  readonly visibleMs?: number;
  /** Another value for Node's haste. */
  readonly haste?: number;
  /** Seconds since this machine has booted, where not the real ones. */
  uptime?(): number;
  /** Watches for what EC2 announces to do to this instance; absent where nobody announces anything. */
  watchNotices?(listener: NoticeListener): { close(): void };
}

/** The disk of a mounted volume, as last seen. */
export interface DiskSize {
  readonly diskBytes: number;
  /** Why its filesystem stays smaller, as a clause; undefined while nothing keeps it from growing. */
  readonly refused: string | undefined;
}

/** How it stands with a volume that grows by itself. */
export interface GrowthNote {
  /** Modifications that EC2 still takes in these 24 hours, as far as this driver has made them. */
  readonly left: number;
  /** Why it may be full all the same, as a clause. */
  readonly warning: string | undefined;
  /** When it will be full at the rate at which it has been filling, RFC 3339; undefined while it does not fill. */
  readonly fullAt: string | undefined;
}

/** Why a schedule of snapshots cannot be kept at present. */
export interface ScheduleFault {
  /** A clause. */
  readonly why: string;
  /** The slots that have no snapshot for that, although the volume's tag may name them. */
  readonly slots: readonly string[];
}

/** What is known of this machine before anything is asked of the network. */
export interface LocalState {
  readonly settings: Settings;
  readonly log: Logger;
  readonly world: World;
  readonly host: Host;
  readonly journal: Journal;
  readonly fencing: Fencing;
  readonly names: NameMemory;
  readonly held: Map<string, Held>;
  readonly waits: Map<string, string>;
  /** Mounted volumes whose filesystems have failed, by name: how, as a clause; see lifecycle/faults.ts. */
  readonly faults: Map<string, string>;
  /** Volumes whose disks or filesystems fail, by name: what EC2 itself sees of them, as a clause; see lifecycle/volume-status.ts. */
  readonly ec2Says: Map<string, string>;
  /** Disks of mounted volumes, by name: how large each is, and why its filesystem stays smaller; see growth/follow.ts. */
  readonly sizes: Map<string, DiskSize>;
  /** Volumes that grow by themselves, by name; see growth/grower.ts. */
  readonly growths: Map<string, GrowthNote>;
  /** Volumes whose schedules cannot be kept at present, by name; see copies/scheduler.ts. */
  readonly scheduleFaults: Map<string, ScheduleFault>;
  readonly ghosts: Ghosts;
  /** When the tags of a volume held here were looked at last (monotonic milliseconds), and what is waited for if they are lost. */
  readonly tagLooks: Map<string, { readonly at: number; readonly lost: string | undefined }>;
}
