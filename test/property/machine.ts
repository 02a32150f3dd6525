import type { ErrorCode } from '../../src/errors.ts';
import type {
  BlockDevice,
  DiskContent,
  FilesystemType,
  FilesystemUsage,
  Freezer,
  Host,
  MountedAt,
} from '../../src/host/types.ts';
import { hostError } from '../support/fake-calls.ts';
import { delay } from './clock.ts';
import type { Cloud } from './cloud.ts';
import type { Container, Disk, Witness } from './plugged.ts';

const mkfsMs = 500;
const fsckMs = 200;

/**
 * A machine in memory: kernel, disks, mounts and containers. What is mounted keeps the disk it was mounted from: a disk
 * that was pulled out leaves a ghost behind, and the same volume plugged in again is a new disk beside it.
 */
export class Machine implements Host {
  readonly instanceId: string;
  bootId = 'boot-1';
  powered = true;
  readonly mounted = new Map<string, Disk>();
  readonly containers = new Set<Container>();
  /** Disks that mkfs or a check works on. */
  readonly exclusive = new Set<Disk>();
  /** The next call of these methods fails. */
  readonly faults = new Map<keyof Host, ErrorCode>();
  readonly #disks = new Map<string, Disk>();
  readonly #byPath = new Map<string, Disk>();
  readonly #cloud: Cloud;
  readonly #witness: Witness;
  #plugs = 0;
  #boots = 1;

  constructor(cloud: Cloud, instanceId: string, witness: Witness) {
    this.#cloud = cloud;
    this.instanceId = instanceId;
    this.#witness = witness;
    cloud.watch(() => this.#sync());
  }

  /** What uses a volume's disk here, as words; empty when nothing does. */
  users(volumeId: string): string[] {
    const uses = (disk: Disk) => disk.live && disk.volumeId === volumeId;
    return [
      ...[...this.mounted].filter(([, disk]) => uses(disk)).map(([target]) => `a mount at ${target}`),
      ...[...this.containers].filter(({ disk }) => uses(disk)).map(({ id }) => `container ${id ?? 'without id'}`),
      ...[...this.exclusive].filter(uses).map(() => 'mkfs or fsck'),
    ];
  }

  /** Appends to the volume through a mount of this disk, durably; false for an I/O error. */
  write(disk: Disk, record: string): boolean {
    if (!this.powered || !disk.live || disk.records === undefined) return false;
    disk.records.push(record);
    this.#cloud.records.set(disk.volumeId, [...disk.records]);
    return true;
  }

  /** Power goes: everything in memory is lost, but for hibernation. */
  powerOff(how: 'cut' | 'hibernate'): void {
    this.powered = false;
    if (how === 'hibernate') return;
    for (const disk of this.#disks.values()) disk.live = false;
    this.#disks.clear();
    this.mounted.clear();
    this.containers.clear();
    this.exclusive.clear();
    this.#boots += 1;
    this.bootId = `boot-${this.#boots}`;
  }

  powerOn(): void {
    this.powered = true;
    this.#sync();
  }

  async findDevice(volumeId: string): Promise<BlockDevice | undefined> {
    this.#mayFail('findDevice');
    return this.#disks.get(volumeId)?.device;
  }

  async waitForDevice(volumeId: string, _device: string, signal: AbortSignal): Promise<BlockDevice> {
    return this.#until(signal, () => this.#disks.get(volumeId)?.device);
  }

  async waitForDeviceGone(volumeId: string, _device: string, signal: AbortSignal): Promise<void> {
    await this.#until(signal, () => (this.#disks.has(volumeId) ? undefined : true));
  }

  async attachedVolumeIds(): Promise<Set<string>> {
    return new Set(this.#disks.keys());
  }

  async hasDisk(number: string): Promise<boolean> {
    return [...this.#disks.values()].some(({ device }) => device.number === number);
  }

  async usedDeviceNames(): Promise<Set<string>> {
    return new Set(['/dev/xvda']);
  }

  async tryFormat(): Promise<undefined> {}

  async wasEverMounted(): Promise<boolean> {
    return false;
  }

  async readContent(device: BlockDevice): Promise<DiskContent> {
    this.#mayFail('readContent');
    return this.#cloud.contents.get(this.#disk(device).volumeId) ?? { kind: 'blank' };
  }

  async makeFilesystem(
    device: BlockDevice,
    type: FilesystemType,
    _options: readonly string[],
    over: 'nothing' | 'unfinished',
  ): Promise<void> {
    this.#mayFail('makeFilesystem');
    const disk = this.#disk(device);
    const { volumeId } = disk;
    const before = this.#cloud.contents.get(volumeId)?.kind ?? 'blank';
    if (before === 'filesystem') this.#witness.broken('mkfs', `of ${volumeId}, which has a filesystem`);
    if (before === 'other' && over === 'nothing') throw hostError('NOT_BLANK');
    this.#refuseUsed(disk, 'mkfs');
    const { bootId } = this;
    this.exclusive.add(disk);
    this.#cloud.contents.set(volumeId, { kind: 'other', what: 'half a filesystem' });
    await delay(mkfsMs);
    this.exclusive.delete(disk);
    if (!disk.live || this.bootId !== bootId) throw hostError('HOST_FAILED');
    this.#cloud.contents.set(volumeId, { kind: 'filesystem', type, uuid: undefined });
    this.#cloud.records.set(volumeId, []);
    this.#cloud.formatted(volumeId);
  }

  async checkFilesystem(device: BlockDevice): Promise<void> {
    this.#mayFail('checkFilesystem');
    const disk = this.#disk(device);
    this.#refuseUsed(disk, 'a check');
    this.exclusive.add(disk);
    await delay(fsckMs);
    this.exclusive.delete(disk);
    if (!disk.live) throw hostError('HOST_FAILED');
  }

  async mount(device: BlockDevice, target: string, _type: FilesystemType): Promise<number> {
    this.#mayFail('mount');
    const disk = this.#disk(device);
    const there = this.mounted.get(target);
    if (there !== undefined && there !== disk) throw hostError('TARGET_BUSY');
    if (!disk.live || this.exclusive.has(disk)) throw hostError('HOST_FAILED');
    if (this.#cloud.contents.get(disk.volumeId)?.kind !== 'filesystem') throw hostError('HOST_FAILED');
    disk.records ??= [...(this.#cloud.records.get(disk.volumeId) ?? [])];
    this.mounted.set(target, disk);
    return device.sizeBytes;
  }

  async growFilesystem(): Promise<void> {}
  replayJournal = async () => undefined;
  checkReadOnly = async () => undefined;

  async diskBytes({ sizeBytes }: BlockDevice): Promise<number> {
    return sizeBytes;
  }

  async unmount(target: string): Promise<void> {
    this.#mayFail('unmount');
    this.mounted.delete(target);
  }

  async mountedAt(target: string, device: BlockDevice | undefined): Promise<MountedAt> {
    this.#mayFail('mountedAt');
    const there = this.mounted.get(target);
    if (there === undefined) return { what: 'nothing' };
    return { what: there.device.number === device?.number ? 'disk' : 'other', number: there.device.number };
  }

  async openFreezer(): Promise<Freezer> {
    this.#mayFail('openFreezer');
    return { freeze: async () => 'frozen', thaw: async () => true };
  }

  thaw = async (): Promise<boolean> => false;

  async filesystemUsage(): Promise<FilesystemUsage> {
    return { bytes: { total: 100, used: 40, available: 55 }, inodes: { total: 10, used: 3 } };
  }

  async mountedElsewhereBy(number: string): Promise<string | undefined> {
    return [...this.containers].some(({ disk }) => disk.device.number === number) ? 'a container' : undefined;
  }

  lookAtUsers = async () => async () => [];

  async lookElsewhere() {
    return (number: string) => this.mountedElsewhereBy(number);
  }

  /** The engines of these machines have always just ended: nobody but a container keeps a volume. */
  async engineOf(): Promise<undefined> {}

  async isRunning(): Promise<boolean> {
    return false;
  }

  async abandonMount(target: string): Promise<void> {
    this.mounted.delete(target);
  }

  watchDevices(onChange: () => void): { close(): void } {
    return { close: this.#cloud.watch(onChange) };
  }

  async openedBy(): Promise<undefined> {}

  async isDeviceBusy(device: BlockDevice): Promise<boolean> {
    this.#mayFail('isDeviceBusy');
    const disk = this.#disk(device);
    return disk.live && this.users(disk.volumeId).length > 0;
  }

  async openSubdirectory(mountpoint: string, subdirectory: string): Promise<string> {
    this.#mayFail('openSubdirectory');
    if (!this.mounted.has(mountpoint)) throw hostError('HOST_FAILED');
    return `${mountpoint}/${subdirectory}`;
  }

  async filesystemFault(): Promise<undefined> {
    return undefined;
  }

  async holdDisk(): Promise<void> {}

  async letDiskGo(): Promise<void> {}

  unanswered(): [] {
    return [];
  }

  /** Makes the disks here what EC2 has plugged in. */
  #sync(): void {
    if (!this.powered) {
      for (const [volumeId, disk] of this.#disks) if (!this.#plugged(volumeId)) this.#unplug(volumeId, disk);
      return;
    }
    for (const [volumeId, disk] of this.#disks) if (!this.#plugged(volumeId)) this.#unplug(volumeId, disk);
    for (const volumeId of this.#cloud.volumes.keys()) {
      if (!this.#plugged(volumeId) || this.#disks.has(volumeId)) continue;
      this.#plugs += 1;
      const path = `/dev/nvme${this.#plugs}n1`;
      const device = { path, number: `259:${this.#plugs}`, volumeId, serialVolumeId: volumeId, sizeBytes: 2 ** 34 };
      const disk: Disk = { device, volumeId, records: undefined, live: true };
      this.#disks.set(volumeId, disk);
      this.#byPath.set(path, disk);
    }
  }

  #plugged = (volumeId: string): boolean => this.#cloud.plugged.has(`${volumeId} ${this.instanceId}`);

  #unplug(volumeId: string, disk: Disk): void {
    disk.live = false;
    this.#disks.delete(volumeId);
  }

  #disk({ path }: BlockDevice): Disk {
    const disk = this.#byPath.get(path);
    if (disk === undefined) throw hostError('HOST_FAILED');
    return disk;
  }

  #refuseUsed(disk: Disk, what: string): void {
    const users = disk.live ? this.users(disk.volumeId) : [];
    if (users.length > 0) this.#witness.broken('live', `${what} on ${disk.volumeId} under ${users.join(', ')}`);
  }

  #until<T>(signal: AbortSignal, look: () => T | undefined): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const check = () => {
      const found = look();
      if (found !== undefined) resolve(found);
    };
    const stop = this.#cloud.watch(check);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    if (signal.aborted) reject(signal.reason);
    else check();
    return promise.finally(stop);
  }

  #mayFail(method: keyof Host): void {
    const code = this.faults.get(method);
    if (this.faults.delete(method) && code !== undefined) throw hostError(code);
  }
}
