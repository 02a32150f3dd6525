import { basename } from 'node:path';
import type {
  AbsentDirectory,
  BlockDevice,
  DirectoryOwner,
  DiskContent,
  FilesystemFault,
  FilesystemType,
  FilesystemUsage,
  Freezer,
  Host,
  MountedAt,
  ProcessIdentity,
  RefusedOptions,
  Unanswered,
} from '../../src/host/types.ts';
import { hostError } from './fake-calls.ts';
import { FakeChecks } from './fake-checks.ts';
import type { FakeEc2 } from './fake-ec2.ts';
import { fakeFreezer } from './fake-freezer.ts';

/** A machine in memory: its disks are what the fake EC2 has plugged into it. */
export class FakeHost extends FakeChecks implements Host {
  bootId = 'boot-1';
  /** Whether the filesystems that are found have been mounted before. */
  everMounted = false;
  /** Mounted here: target to volume id and options. */
  readonly mounted = new Map<string, { volumeId: string; type: string; options: readonly string[] }>();
  /** Volume ids by the paths that lead to their disks for a person. */
  readonly rescued = new Map<string, string>();
  /** Volumes that another mount namespace, a container, has mounted. */
  readonly mountedElsewhere = new Set<string>();
  /** Those of them whose processes cannot be seen from here. */
  readonly hidden = new Set<string>();
  /** Volumes whose disks a program reads. */
  readonly readers = new Set<string>();
  /** Processes that run, and the engine among them that is known by its name. */
  readonly processes = new Set<number>();
  engine: ProcessIdentity | undefined;
  /** Volumes whose disks show no serial. */
  readonly unseen = new Set<string>();
  /** Targets that a program has files open on. */
  readonly openTargets = new Set<string>();
  /** Targets whose filesystems take no more writes. */
  readonly faults = new Map<string, FilesystemFault>();
  refusedOptions: RefusedOptions | undefined;
  readonly frozen = new Set<string>();
  /** What disks are said not to have answered. */
  silent: readonly Unanswered[] = [];
  /** Targets whose filesystems do not answer. */
  readonly hung = new Set<string>();
  readonly #ec2: FakeEc2;
  readonly #instanceId: string;

  constructor(ec2: FakeEc2, instanceId: string) {
    super();
    this.#ec2 = ec2;
    this.#instanceId = instanceId;
  }

  async findDevice(volumeId: string, ec2Device: string): Promise<BlockDevice | undefined> {
    this.note('findDevice', volumeId, ec2Device);
    return this.#disk(volumeId);
  }

  async waitForDevice(volumeId: string, ec2Device: string, signal: AbortSignal): Promise<BlockDevice> {
    this.note('waitForDevice', volumeId, ec2Device);
    return this.#until(signal, () => this.#disk(volumeId));
  }

  async waitForDeviceGone(volumeId: string, ec2Device: string, signal: AbortSignal): Promise<void> {
    this.note('waitForDeviceGone', volumeId, ec2Device);
    await this.#until(signal, () => (this.#disk(volumeId) === undefined ? true : undefined));
  }

  async attachedVolumeIds(): Promise<Set<string>> {
    this.note('attachedVolumeIds');
    const here = [...this.#ec2.plugged.keys()].map((key) => key.split(' '));
    return new Set(
      here.flatMap(([volumeId, instanceId]) => (instanceId === this.#instanceId && volumeId ? [volumeId] : [])),
    );
  }

  async hasDisk(number: string): Promise<boolean> {
    this.note('hasDisk', number);
    return [...this.#ec2.plugged.keys()].some((key) => {
      const [volumeId = '', instanceId] = key.split(' ');
      return instanceId === this.#instanceId && numberOf(volumeId) === number;
    });
  }

  async usedDeviceNames(): Promise<Set<string>> {
    this.note('usedDeviceNames');
    return new Set(['/dev/xvda']);
  }

  async readContent({ path }: BlockDevice, parts: 'samples' | 'all'): Promise<DiskContent> {
    this.note('readContent', path, parts);
    return this.#ec2.contents.get(basename(path)) ?? { kind: 'blank' };
  }

  async wasEverMounted(): Promise<boolean> {
    return this.everMounted;
  }

  async makeFilesystem(
    { path }: BlockDevice,
    type: FilesystemType,
    options: readonly string[],
    over: 'nothing' | 'unfinished',
  ): Promise<void> {
    this.note('makeFilesystem', path, type, options, over);
    this.#ec2.contents.set(basename(path), { kind: 'filesystem', type, uuid: undefined });
  }

  async tryFormat(type: FilesystemType, options: readonly string[], sizeBytes: number) {
    this.note('tryFormat', type, options, sizeBytes);
    return this.refusedOptions;
  }

  async checkFilesystem({ path }: BlockDevice, type: FilesystemType): Promise<void> {
    this.note('checkFilesystem', path, type);
  }

  async mount(
    { path }: BlockDevice,
    target: string,
    type: FilesystemType,
    options: readonly string[],
  ): Promise<number> {
    this.note('mount', path, target, type, options);
    const volumeId = basename(path);
    const there = this.mounted.get(target);
    if (there !== undefined && there.volumeId !== volumeId) throw hostError('TARGET_BUSY');
    this.mounted.set(target, { volumeId, type, options });
    return this.filesystemSizes.get(volumeId) ?? this.#sizeOf(volumeId);
  }

  async growFilesystem({ path }: BlockDevice, target: string, type: FilesystemType): Promise<void> {
    this.note('growFilesystem', path, target, type);
    if (this.refusesGrowth) throw hostError('HOST_FAILED');
    const volumeId = basename(path);
    this.filesystemSizes.set(volumeId, this.#sizeOf(volumeId));
  }

  async diskBytes({ volumeId }: BlockDevice): Promise<number | undefined> {
    this.note('diskBytes', volumeId);
    return this.#disk(volumeId)?.sizeBytes;
  }

  async unmount(target: string): Promise<void> {
    this.note('unmount', target);
    if (this.openTargets.has(target) && this.mounted.has(target)) throw hostError('TARGET_BUSY');
    this.mounted.delete(target);
    this.faults.delete(target);
  }

  async openFreezer({ path }: BlockDevice, target: string): Promise<Freezer> {
    this.note('openFreezer', path, target);
    if (this.mounted.get(target)?.volumeId !== basename(path)) throw hostError('HOST_FAILED');
    return fakeFreezer(this.frozen, target);
  }

  async thaw(_device: BlockDevice, target: string): Promise<boolean> {
    this.note('thaw', target);
    return this.frozen.delete(target);
  }

  async mountedAt(target: string, device: BlockDevice | undefined): Promise<MountedAt> {
    this.note('mountedAt', target, device?.path);
    const there = this.mounted.get(target);
    if (there === undefined) return { what: 'nothing' };
    const number = numberOf(there.volumeId);
    return { what: number === device?.number ? 'disk' : 'other', number };
  }

  async filesystemUsage(target: string): Promise<FilesystemUsage> {
    this.note('filesystemUsage', target);
    if (this.hung.has(target)) return new Promise(() => undefined);
    return {
      bytes: { total: 100, used: this.used, available: this.used === 40 ? 55 : 100 - this.used },
      inodes: { total: 10, used: 3 },
    };
  }

  async mountedElsewhereBy(number: string, ourMountpoint: string): Promise<string | undefined> {
    this.note('mountedElsewhereBy', number, ourMountpoint);
    const user = [...this.mountedElsewhere].find((id) => numberOf(id) === number && !this.hidden.has(id));
    return user === undefined ? undefined : `process 42 (of ${user})`;
  }

  readonly usersAt = new Map<string, string[]>();
  lookAtUsers = async () => async (target: string) => this.usersAt.get(target) ?? [];

  async lookElsewhere() {
    this.note('lookElsewhere');
    return this.mountedElsewhereBy.bind(this);
  }

  async engineOf(pid: number | undefined): Promise<ProcessIdentity | undefined> {
    this.note('engineOf', pid);
    return pid === undefined ? this.engine : { pid, startedAt: pid };
  }

  async isRunning({ pid }: ProcessIdentity): Promise<boolean> {
    this.note('isRunning', pid);
    return pid === 0 || this.processes.has(pid);
  }

  async abandonMount(target: string): Promise<void> {
    this.note('abandonMount', target);
    this.mounted.delete(target);
  }

  watchDevices(onChange: () => void): { close(): void } {
    return { close: this.#ec2.watch(onChange) };
  }

  async openedBy({ path }: BlockDevice): Promise<string | undefined> {
    this.note('openedBy', path);
    return this.readers.has(basename(path)) ? 'process 43 (dd)' : undefined;
  }

  async isDeviceBusy({ path }: BlockDevice): Promise<boolean> {
    this.note('isDeviceBusy', path);
    const volumeId = basename(path);
    return this.mountedElsewhere.has(volumeId) || [...this.mounted.values()].some((each) => each.volumeId === volumeId);
  }

  async openSubdirectory(
    mountpoint: string,
    subdirectory: string,
    owner: DirectoryOwner,
    absent: AbsentDirectory,
  ): Promise<string> {
    this.note('openSubdirectory', mountpoint, subdirectory, owner, absent);
    if (!this.mounted.has(mountpoint)) throw hostError('HOST_FAILED');
    return subdirectory === '/' ? mountpoint : `${mountpoint}/${subdirectory}`;
  }

  async filesystemFault(target: string): Promise<FilesystemFault | undefined> {
    this.note('filesystemFault', target);
    return this.mounted.has(target) ? this.faults.get(target) : undefined;
  }

  async holdDisk({ path }: BlockDevice, at: string): Promise<void> {
    this.note('holdDisk', path, at);
    this.rescued.set(at, basename(path));
  }

  async letDiskGo(at: string): Promise<void> {
    this.note('letDiskGo', at);
    this.rescued.delete(at);
  }

  unanswered(): readonly Unanswered[] {
    return this.silent;
  }

  /** The machine starts again: nothing is mounted and the boot is another. */
  reboot(): void {
    this.bootId = `${this.bootId}+1`;
    this.mounted.clear();
    this.mountedElsewhere.clear();
    this.openTargets.clear();
  }

  #disk(volumeId: string): BlockDevice | undefined {
    return this.#ec2.plugged.has(`${volumeId} ${this.#instanceId}`) && !this.unseen.has(volumeId)
      ? {
          path: `/dev/${volumeId}`,
          number: numberOf(volumeId),
          volumeId,
          serialVolumeId: volumeId,
          sizeBytes: this.#sizeOf(volumeId),
        }
      : undefined;
  }

  #sizeOf(volumeId: string): number {
    return this.sizes.get(volumeId) ?? (this.#ec2.diskGib(volumeId) ?? 16) * 2 ** 30;
  }

  #until<T>(signal: AbortSignal, look: () => T | undefined): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const check = () => {
      const found = look();
      if (found !== undefined) resolve(found);
    };
    const stop = this.#ec2.watch(check);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    if (signal.aborted) reject(signal.reason);
    check();
    return promise.finally(stop);
  }
}

const numberOf = (volumeId: string) => volumeId.replace('vol-', '259:');
