/** What the rooms above see of this machine. */

export const filesystemTypes = ['ext4', 'xfs', 'btrfs'] as const;
export type FilesystemType = (typeof filesystemTypes)[number];

/** A disk as this kernel has it. */
export interface BlockDevice {
  /** Below the device root, as "/dev/nvme1n1". */
  readonly path: string;
  /** "major:minor" as mountinfo writes it. */
  readonly number: string;
  /** Of the EBS volume: texts name the disk by it, since another disk may have this path and number later. */
  readonly volumeId: string;
  /** NVMe: the EBS volume id the controller reports. Xen disks have none. */
  readonly serialVolumeId: string | undefined;
  readonly sizeBytes: number;
}

/** Where a copy of a superblock stands: the block, counted in blocks of this many bytes. */
export interface SuperblockCopy {
  readonly block: number;
  readonly blockBytes: number;
}

/** What a disk holds, decided without writing to it. */
export type DiskContent =
  | { readonly kind: 'blank' }
  | { readonly kind: 'filesystem'; readonly type: string; readonly uuid: string | undefined }
  /**
   * Anything else: a partition table, LUKS, LVM, swap, or bytes that nobody knows. `what` says so for people. `noise`
   * is true when every part looked at is random-looking and no signature is known: so reads an encrypted EBS volume
   * that was never written (its unwritten blocks are decrypted too), but encrypted data without a header does as well.
   * `signed` is true when libblkid knows what it is: no interrupted mkfs of ours leaves such a thing. `copy` is an intact
   * copy of the superblock of the filesystem that was made here, whose own superblock is not to be read.
   */
  | {
      readonly kind: 'other';
      readonly what: string;
      readonly noise?: boolean;
      readonly signed?: boolean;
      readonly copy?: SuperblockCopy;
    };

/** A line of /proc/self/mountinfo. */
export interface MountEntry {
  readonly id: number;
  readonly parentId: number;
  /** "major:minor" of the mounted filesystem (an anonymous number for btrfs). */
  readonly number: string;
  /** The directory of the filesystem that is mounted ("/" unless a bind mount of a part). */
  readonly root: string;
  readonly mountpoint: string;
  readonly options: readonly string[];
  /** With whom it shares the mounts below it (mount_namespaces(7)): "shared:1", "master:2"; empty for a private one. */
  readonly propagation: readonly string[];
  readonly type: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

/** What is mounted at a place; `number` is the filesystem's "major:minor" in mountinfo. */
export type MountedAt =
  | { readonly what: 'nothing' }
  /** `disk` is the disk asked about; `other` anything else. */
  | { readonly what: 'disk' | 'other'; readonly number: string };

/** A process of this machine; ids are used again, so the start tells which (clock ticks since boot). */
export interface ProcessIdentity {
  /** 0 stands for one that is there and cannot be seen from here. */
  readonly pid: number;
  readonly startedAt: number;
}

/** As {@link Host.mountedElsewhereBy}, answered from one look at all processes. */
export type UserElsewhere = (number: string, ourMountpoint: string) => Promise<string | undefined>;

export interface DirectoryOwner {
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number | undefined;
}

/** What becomes of a directory that a volume lacks: it is made, or made only where nothing else is in the volume. */
export type AbsentDirectory = 'make' | 'make in empty';

/** A filesystem that can be made to stand still for a moment. Whoever dies, it is thawed after ten seconds at most. */
export interface Freezer {
  /**
   * Writes out what is dirty, then holds all writers. `busy`: somebody else has frozen it, and it stays his. HOST_FAILED
   * where it cannot be done. Once only.
   */
  freeze(): Promise<'frozen' | 'busy'>;
  /** Lets them go on, and the directory go; also where it was never frozen. @returns true when it stood still from `freeze` until now. */
  thaw(): Promise<boolean>;
}

/** What a filesystem has room for. One without a fixed number of inodes (btrfs) tells 0 of them. */
export interface FilesystemUsage {
  /** `available` is what is left for others than root: it may be less than total without used. */
  readonly bytes: { readonly total: number; readonly used: number; readonly available: number };
  readonly inodes: { readonly total: number; readonly used: number };
}

/** Why a mounted filesystem takes no more writes: the kernel made it read-only (or a mount option did), shut it down, or it does not answer. */
export type FilesystemFault = 'read-only' | 'shut down' | 'silent';

/** Options that a mkfs refuses, and its words. */
export interface RefusedOptions {
  /** The flag with its value, as "-J size=4096"; all of them where no single one is to blame. */
  readonly option: string;
  readonly words: string;
}

/** Something asked of a disk or filesystem that has not been answered in its time. */
export interface Unanswered {
  /** The disk, named by its volume's id, or the mountpoint. */
  readonly subject: string;
  /** What it was asked, as "to read what it holds". */
  readonly doing: string;
  readonly seconds: number;
}

/**
 * This machine: block devices, filesystems, mounts. Every method throws DriverError (HOST_FAILED, NOT_BLANK,
 * FILESYSTEM_DAMAGED, WRONG_DEVICE, TARGET_BUSY); paths are absolute. What touches a disk, or a filesystem mounted from
 * one, does so in a process of its own, and does not return while the disk does not answer.
 */
export interface Host {
  /** Changes with every boot of this machine. */
  readonly bootId: string;
  /** The attached disk of an EBS volume; NVMe by its serial, Xen by the EC2 device name. WRONG_DEVICE if another volume answers there. */
  findDevice(volumeId: string, ec2Device: string): Promise<BlockDevice | undefined>;
  /** The EBS volumes whose disks say here that they are (NVMe); Xen disks say nothing. */
  attachedVolumeIds(): Promise<Set<string>>;
  /** Waits until {@link findDevice} finds it, watching the device directory; throws the signal's reason when aborted. */
  waitForDevice(volumeId: string, ec2Device: string, signal: AbortSignal): Promise<BlockDevice>;
  /** How large the kernel has the disk now, without a question to it; undefined once it is gone, or the kernel does not say. */
  diskBytes(device: BlockDevice): Promise<number | undefined>;
  /** Whether the kernel still has a disk of this number ("259:3"), whatever its serial. */
  hasDisk(number: string): Promise<boolean>;
  /** Waits until {@link findDevice} no longer finds it, nor its node; throws the signal's reason when aborted. */
  waitForDeviceGone(volumeId: string, ec2Device: string, signal: AbortSignal): Promise<void>;
  /** Device names, in EC2's form ("/dev/xvdf"), that the kernel already uses, whether or not EC2 knows. */
  usedDeviceNames(): Promise<Set<string>>;
  /**
   * What the disk holds; blank by `samples` (milliseconds) or by `all` of it (as long as reading the disk takes). Where it
   * is known which filesystem was `made` on it and its superblock is intact, that is what it holds, whatever other
   * signatures its files carry.
   */
  readContent(device: BlockDevice, parts: 'samples' | 'all', made?: FilesystemType): Promise<DiskContent>;
  /**
   * Formats a disk. Over `nothing` the caller has proved it blank (or noise, on a volume that EC2 proves new), and it is
   * looked at again first: NOT_BLANK for anything else. Over `unfinished` it holds what an interrupted mkfs of ours left.
   * `options` are extra mkfs arguments.
   */
  makeFilesystem(
    device: BlockDevice,
    type: FilesystemType,
    options: readonly string[],
    over: 'nothing' | 'unfinished',
  ): Promise<void>;
  /**
   * Why mkfs would refuse these extra arguments for a blank disk of this size, by a dry run that touches no disk; undefined
   * where it would not, or that cannot be told. Takes seconds at most, and never fails.
   */
  tryFormat(type: FilesystemType, options: readonly string[], sizeBytes: number): Promise<RefusedOptions | undefined>;
  /** True when the ext4 on the disk has been mounted for writing at least once: somebody may have put data there. */
  wasEverMounted(device: BlockDevice): Promise<boolean>;
  /** Makes a filesystem consistent without loss, or throws FILESYSTEM_DAMAGED saying what a person must run. */
  checkFilesystem(device: BlockDevice, type: FilesystemType): Promise<void>;
  /**
   * Has the kernel replay the journal of a copy, by a mount that nobody sees and that is gone when this returns. Gives what the
   * kernel refuses it for; undefined where it mounts. FILESYSTEM_TOO_NEW.
   */
  replayJournal(device: BlockDevice, type: FilesystemType): Promise<string | undefined>;
  /** Checks all of an unmounted filesystem and writes nothing. Gives what is wrong with it; undefined where nothing is. */
  checkReadOnly(device: BlockDevice, type: FilesystemType): Promise<string | undefined>;
  /**
   * Mounts at `target`, which is made if absent. Gives the size of its filesystem in bytes, read while the disk was at rest;
   * undefined where it is mounted already, or only to be read.
   */
  mount(
    device: BlockDevice,
    target: string,
    type: FilesystemType,
    options: readonly string[],
  ): Promise<number | undefined>;
  /** Grows the filesystem that is mounted at `target` to its disk; one that has all of it stays as it is. */
  growFilesystem(device: BlockDevice, target: string, type: FilesystemType): Promise<void>;
  /** Unmounts `target`, thawed if need be, and removes the empty directory. Succeeds when nothing is mounted there. TARGET_BUSY if in use. */
  unmount(target: string): Promise<void>;
  /** Opens the filesystem of the disk that is mounted at `target`, to freeze it; HOST_FAILED when that is another. */
  openFreezer(device: BlockDevice, target: string): Promise<Freezer>;
  /** Ends a freeze that was left behind at `target`, where it was mounted last. @returns true when it was frozen. */
  thaw(device: BlockDevice, target: string, type: FilesystemType | undefined): Promise<boolean>;
  /** What is mounted at `target`, compared with a disk. */
  mountedAt(target: string, device: BlockDevice | undefined): Promise<MountedAt>;
  /** Why the filesystem mounted at `target` takes no writes; undefined when it does, or nothing is mounted there. Takes 5 s at most. */
  filesystemFault(target: string): Promise<FilesystemFault | undefined>;
  /** How full the filesystem at `target` is. */
  filesystemUsage(target: string): Promise<FilesystemUsage>;
  /**
   * A process we can see that has the filesystem `number` mounted in another namespace at a place of its own (a
   * container), `ourMountpoint` and its propagated copies apart; a noun for people. Undefined proves nothing.
   */
  mountedElsewhereBy(number: string, ourMountpoint: string): Promise<string | undefined>;
  /** One look at the mounts of all processes: who uses what is mounted at a place of ours, a noun each. None proves nothing. */
  lookAtUsers(): Promise<(target: string) => Promise<string[]>>;
  /** One look at the mounts of all processes, for many such questions. */
  lookElsewhere(): Promise<UserElsewhere>;
  /** The engine behind a mount that this process asked for; with no id, one that runs on this machine, if any. */
  engineOf(pid: number | undefined): Promise<ProcessIdentity | undefined>;
  /** True until the process has ended, and always of one that cannot be seen. */
  isRunning(process: ProcessIdentity): Promise<boolean>;
  /** Takes away a mount whose disk is gone, busy or not; nothing more is written through it. */
  abandonMount(target: string): Promise<void>;
  /** Tells of every change in the device directory until closed. */
  watchDevices(onChange: () => void): { close(): void };
  /** Makes `path` lead to this disk and to no other, whatever comes, until {@link letDiskGo}; its directory is made (0700). */
  holdDisk(device: BlockDevice, path: string): Promise<void>;
  /** Takes such a path away. Succeeds when it is not there. */
  letDiskGo(path: string): Promise<void>;
  /** A process we can see that has the disk or a part of it open, also for reading alone; a noun for people. Undefined proves nothing. */
  openedBy(device: BlockDevice): Promise<string | undefined>;
  /** True while any mount namespace has the disk mounted, or a program holds it exclusively. */
  isDeviceBusy(device: BlockDevice): Promise<boolean>;
  /**
   * The directory inside a mounted volume that callers get; made with `owner` if absent and it may be: NO_SUBDIRECTORY
   * else. Refuses (HOST_FAILED) a path that leaves the volume, through a symbolic link for example. Gives its absolute path.
   */
  openSubdirectory(
    mountpoint: string,
    subdirectory: string,
    owner: DirectoryOwner,
    absent: AbsentDirectory,
  ): Promise<string>;
  /** What disks and filesystems have been asked and should have answered by now, the oldest first. */
  unanswered(): readonly Unanswered[];
}
