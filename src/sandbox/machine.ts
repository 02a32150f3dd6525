import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import type { Faults } from './faults.ts';
import type { LoopbackServer } from './http.ts';
import { startImds } from './imds.ts';
import { bindLoop, type Loop, releaseFreeLoop, resizeLoop } from './loops.ts';
import { gib, type InstanceRecord, type VolumeRecord } from './model.ts';
import { makeNodeRoot, unmountBelow } from './mounts.ts';
import { daemonEnvironment, NodeDaemon } from './node-daemon.ts';
import { addDisk, layoutOf, type NodeLayout, prepareLayout, removeDisk, resizeDisk } from './node-layout.ts';
import { killAll, processesWithOpen, signalAll } from './processes.ts';
import { cutLoop, haltFilesystem, syncFilesystem, whileFrozen } from './sever.ts';
import type { VolumeFiles } from './volume-files.ts';

/** What all machines of a sandbox share. */
export interface MachineRoom {
  readonly dir: string;
  /** Where filesystems are mounted for a moment. */
  readonly reach: string;
  readonly region: string;
  readonly endpoint: string;
  readonly daemonCommand: readonly string[];
  readonly nodeEnv: Readonly<Record<string, string>>;
  readonly files: VolumeFiles;
  readonly faults: Faults;
  /** Records that a volume's content is in another file from now on. */
  readonly adopt: (volume: VolumeRecord, file: string) => void;
}

interface Disk {
  readonly volume: VolumeRecord;
  readonly loop: Loop;
  readonly controller: number;
  /** False once the node no longer sees it; its controller's number may then be another disk's. */
  visible: boolean;
}

/** What stands behind an instance while it has power: its disks, its metadata service, its daemon. */
export class Machine {
  readonly layout: NodeLayout;
  readonly #instance: InstanceRecord;
  readonly #room: MachineRoom;
  readonly #disks = new Map<string, Disk>();
  #imds: LoopbackServer | undefined;
  #daemon: NodeDaemon | undefined;

  constructor(instance: InstanceRecord, room: MachineRoom) {
    this.#instance = instance;
    this.#room = room;
    this.layout = layoutOf(room.dir, instance.id);
  }

  get pid(): number {
    return this.#daemon?.alive ? this.#daemon.pid : 0;
  }

  /** True from power-on to power cut, hibernation included. */
  get powered(): boolean {
    return this.#imds !== undefined;
  }

  /** Boots with these volumes attached. */
  async powerOn(volumes: readonly VolumeRecord[]): Promise<void> {
    await prepareLayout(this.layout);
    await writeFile(this.layout.bootIdFile, `${randomUUID()}\n`);
    await makeNodeRoot(this.layout.root);
    this.#imds = await startImds(this.#instance, this.#room.region, this.#room.faults);
    for (const volume of volumes) await this.plug(volume);
    await this.startDaemon();
  }

  /** Starts the daemon, unless it runs. */
  async startDaemon(): Promise<void> {
    if (this.#imds === undefined || this.#daemon?.alive) return;
    const aws = { endpoint: this.#room.endpoint, imds: this.#imds.url, region: this.#room.region };
    const environment = daemonEnvironment(this.layout, aws, this.#room.nodeEnv);
    this.#daemon = await NodeDaemon.start({ layout: this.layout, command: this.#room.daemonCommand, environment });
  }

  async accepting(timeoutMs: number): Promise<void> {
    await this.#daemon?.accepting(timeoutMs);
  }

  /** A power cut: processes stop as they are, disks take no more I/O, what was not synced is lost. */
  async cutPower(): Promise<void> {
    // Stopped first and killed last: with the last process its mounts would go, and unmounting writes.
    signalAll((await this.#daemon?.processes()) ?? [], 'SIGSTOP');
    for (const { loop } of this.#disks.values()) await haltFilesystem(loop, this.#room.reach);
    await this.#daemon?.kill();
    await unmountBelow(this.layout.root);
    for (const disk of [...this.#disks.values()]) await this.#cut(disk);
    await this.#off();
  }

  /** Begins a shutdown in good order: asks the daemon to end. @returns false when it has not after `graceMs` */
  async endDaemon(graceMs: number): Promise<boolean> {
    return (await this.#daemon?.end(graceMs)) ?? true;
  }

  /** Ends in good order: the daemon may finish, disks are synced. */
  async shutDown(graceMs: number): Promise<void> {
    await this.#daemon?.stop(graceMs);
    await unmountBelow(this.layout.root);
    for (const disk of [...this.#disks.values()]) {
      await syncFilesystem(disk.loop, this.#room.reach);
      await this.#cut(disk);
    }
    await this.#off();
  }

  async #off(): Promise<void> {
    await this.#imds?.close();
    this.#imds = undefined;
    this.#daemon = undefined;
  }

  /** Everything stands still with its memory and mounts: hibernation, or a machine that hangs. */
  async freeze(): Promise<void> {
    signalAll((await this.#daemon?.processes()) ?? [], 'SIGSTOP');
  }

  async thaw(): Promise<void> {
    signalAll((await this.#daemon?.processes()) ?? [], 'SIGCONT');
  }

  /** Makes a volume appear as a disk. */
  async plug(volume: VolumeRecord): Promise<void> {
    if (this.#disks.has(volume.id)) return;
    const loop = await bindLoop(this.#room.files.path(volume.file));
    const controller = await addDisk(this.layout, volume.id, loop, volume.sizeGib * gib);
    this.#disks.set(volume.id, { volume, loop, controller, visible: true });
  }

  /** Takes a disk out unless it is in use. @returns false when it is */
  async unplug(volumeId: string): Promise<boolean> {
    const disk = this.#disks.get(volumeId);
    if (disk === undefined) return true;
    const gone = await releaseFreeLoop(disk.loop, () => this.#hide(disk));
    if (gone) this.#disks.delete(volumeId);
    return gone;
  }

  /** Takes a disk out whatever uses it; what was not synced is lost. Programs that hold it raw are killed. */
  async tearOut(volumeId: string): Promise<void> {
    const disk = this.#disks.get(volumeId);
    if (disk === undefined) return;
    await haltFilesystem(disk.loop, this.#room.reach);
    const processes = ((await this.#daemon?.processes()) ?? []).filter((pid) => pid !== this.pid);
    await killAll(await processesWithOpen(processes, disk.loop.number));
    await this.#cut(disk);
  }

  async #hide(disk: Disk): Promise<void> {
    if (!disk.visible) return;
    disk.visible = false;
    await removeDisk(this.layout, disk.controller);
  }

  async #cut(disk: Disk): Promise<void> {
    const { volume, loop } = disk;
    await this.#hide(disk);
    const { files, reach, adopt } = this.#room;
    await cutLoop({ loop, files, file: volume.file, dir: reach, adopt: (file) => adopt(volume, file) });
    this.#disks.delete(volume.id);
  }

  /** Tells the kernel, and the node, that a volume has grown. */
  async resize(volume: VolumeRecord): Promise<void> {
    const disk = this.#disks.get(volume.id);
    if (disk === undefined) return;
    await resizeLoop(disk.loop);
    await resizeDisk(this.layout, disk.controller, volume.sizeGib * gib);
  }

  /** Runs `work` while the volume's content does not change. */
  async whileStill<T>(volumeId: string, work: () => Promise<T>): Promise<T> {
    const disk = this.#disks.get(volumeId);
    return disk === undefined ? await work() : await whileFrozen(disk.loop, this.#room.reach, work);
  }
}
