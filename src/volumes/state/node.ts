import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Settings } from '../../config.ts';
import type { AttachmentLimit, EbsVolume, Ec2 } from '../../ebs/types.ts';
import type { Fencing } from '../../fencing/fencing.ts';
import type { Host } from '../../host/types.ts';
import { encodeName } from '../options/names.ts';
import type { DeviceNames } from './devices.ts';
import type { Draining } from './draining.ts';
import { following, type Held, leaves } from './held.ts';
import type { Journal } from './journal.ts';
import type { LocalState } from './local.ts';
import type { Lookup } from './lookup.ts';
import type { NameMemory } from './memory.ts';
import type { KeyedQueue } from './queue.ts';
import type { ScratchVolumes } from './scratch.ts';

/** What every verb works with: this node, its outside world and what it holds. */
export interface Node {
  readonly settings: Settings;
  readonly log: Logger;
  readonly instanceId: string;
  readonly zone: string;
  readonly host: Host;
  readonly ec2: Ec2;
  readonly names: NameMemory;
  readonly lookup: Lookup;
  readonly journal: Journal;
  readonly queue: KeyedQueue;
  /** What is held here, by name: the journal in memory. */
  readonly held: Map<string, Held>;
  /** What a volume waits for, by name, as a clause for people. */
  readonly waits: Map<string, string>;
  /** Mounted volumes whose filesystems have failed, by name: how, as a clause. */
  readonly faults: Map<string, string>;
  readonly ec2Says: LocalState['ec2Says'];
  readonly sizes: LocalState['sizes'];
  readonly growths: LocalState['growths'];
  readonly scheduleFaults: LocalState['scheduleFaults'];
  /** What somebody else has attached here, by name: it is left alone. */
  readonly foreign: Map<string, { readonly name: string; readonly volumeId: string; readonly device: string }>;
  readonly tagLooks: LocalState['tagLooks'];
  readonly ghosts: LocalState['ghosts'];
  readonly devices: DeviceNames;
  readonly fencing: Fencing;
  /** Mount calls whose callers wait, and when the last one succeeded (monotonic milliseconds). */
  readonly mountCalls: {
    inHand: number;
    lastEnd: number;
    /** When each volume was last mounted for a caller, and when this daemon began to take Mounts, by the same clock. */
    readonly lastOf: Map<string, number>;
    readonly began: number;
  };
  /** While `now` says why, this node takes no new mounts and gives back what nobody uses; see drain.ts. */
  readonly drain: { now: Draining | undefined };
  /** Done once EC2 has told what is attached to this instance: before that nothing new is attached. */
  readonly survey: {
    readonly done: Promise<void>;
    isDone(): boolean;
    /** Why it is not done yet, to follow a sentence: " (reason)", or "". */
    failure(): string;
    /** Asks EC2 once more. @throws DriverError EC2_*. */
    again(): Promise<void>;
    /** The type of this instance and how many volumes it takes; undefined where EC2 has not said. */
    readonly capacity: { type: string | undefined; limit: AttachmentLimit | undefined };
  };
  /** How long reads of EC2 may not show a change yet, in milliseconds: visibilityMs of ebs/volume-record.ts. */
  readonly visibleMs: number;
  /** How many times as fast as elsewhere time passes for volumes that grow, so that a day fits in a test: 1 everywhere else. */
  readonly haste: number;
  /** Asks for a release of the volume after a while; see keeper.ts. */
  scheduleRelease(name: string, delayMs: number): void;
  cancelRelease(name: string): void;
  /** Deletes a volume without a name once its snapshot is complete, which may be in hours; see removals.ts. */
  finishRemoval(volumeId: string, snapshotId: string | undefined): void;
  /** Takes note of a volume that this node has made, and that may have a ttl; see requests/ttl.ts. */
  expires(volume: EbsVolume): void;
  /**
   * Does what is to be done with a volume that nothing uses any more, before it is detached: in its queue, in some seconds at
   * most, and without ever failing; see copies/scheduler.ts.
   */
  leaving(held: Held): Promise<void>;
  /** Disks of the driver's own; see copies/scratch.ts. */
  readonly scratch: ScratchVolumes;
  /** Removals of volumes that are in another zone; see copies/departures.ts. */
  readonly departures: {
    remove(name: string, volume: EbsVolume): Promise<void>;
    /** Whether one of this name is under way here. */
    has(name: string): boolean;
  };
  /** The trash of this node; see copies/trash.ts. */
  readonly trash: {
    /**
     * Deletes a volume, or a snapshot, that was put into the trash once its time there is over.
     * @param at by the wall clock, in milliseconds.
     */
    added(item: { readonly id: string; readonly sizeGib: number }, at: number): void;
    /** Knows that it is in the trash no more. */
    takenOut(id: string): void;
    /** What is in it as far as this node knows: what it has put there, and what its last listing showed. */
    size(): { readonly count: number; readonly gib: number };
    /** Deletes what any node has left there too long, at most once an hour. */
    sweep(): void;
  };
}

/** Journals a new state of a held volume, then takes it as true. Nothing is done when the journal cannot be written. */
export async function keep(node: Pick<Node, 'journal' | 'held'>, next: Held): Promise<Held> {
  const held = following(node.held.get(next.name), next);
  await node.journal.save(held, leaves(node.held.get(next.name), held));
  node.held.set(held.name, held);
  return held;
}

/** Ends the record of a volume that this node no longer holds. */
export async function drop(node: Pick<Node, 'journal' | 'held' | 'devices'>, name: string): Promise<void> {
  await node.journal.forget(name);
  const held = node.held.get(name);
  if (held !== undefined) node.devices.free(held.device, held.attachTime === undefined ? undefined : held.volume.id);
  node.held.delete(name);
}

/**
 * Keeps the device name of an attachment from its volume for a while, and from others while they have another, also over
 * a restart: how it ended is not known.
 * @param why a clause.
 */
export async function quarantine({ devices, journal, log }: Node, { device, volume, name }: Held, why: string) {
  devices.quarantine(device, volume.id, why);
  log.warn({ volume: name, volumeId: volume.id, device, why }, 'its device name is kept from use for a while');
  await journal.saveDevices(devices.uses()).catch((error: unknown) => {
    log.warn({ op: 'devices', device, err: error }, 'that a device name is kept from use is not recorded');
  });
}

/** For what this node does about no single volume; no volume has this name. */
export const ofNode = '';

/** By name, what each work under way waits for, the last begun at the end; at the start what was said before them all. */
const underWay = new WeakMap<Node['waits'], Map<string, Work[]>>();

interface Work {
  readonly reason: string | undefined;
  /** When it began and how long it lasts at most, where that is known; monotonic milliseconds. */
  readonly lasts?: { readonly began: number; readonly ms: number } | undefined;
}

/** How much of a volume's wait is over, 0 to 1; undefined for one that has no known end. */
export function shareOf(waits: Node['waits'], name: string): number | undefined {
  const lasts = underWay.get(waits)?.get(name)?.at(-1)?.lasts;
  return lasts && Math.min(1, (performance.now() - lasts.began) / lasts.ms);
}

/**
 * Does something slow, and says meanwhile in Status, errors and the log what the volume waits for. Works for one volume
 * may overlap and end in any order: none leaves its reason behind.
 * @param ms how long it takes at most, where that is known.
 */
export async function waiting<T>(
  { waits, log }: Pick<Node, 'waits' | 'log'>,
  name: string,
  reason: string,
  work: () => Promise<T>,
  ms?: number,
): Promise<T> {
  const all = underWay.get(waits) ?? new Map<string, Work[]>();
  underWay.set(waits, all);
  const works: Work[] = all.get(name) ?? [{ reason: waits.get(name) }];
  all.set(name, works);
  const mine = { reason, lasts: ms === undefined ? undefined : { began: performance.now(), ms } };
  works.push(mine);
  waits.set(name, reason);
  log.debug({ volume: name, waitingFor: reason }, 'waiting');
  try {
    return await work();
  } finally {
    const shown = works.at(-1) === mine;
    works.splice(works.indexOf(mine), 1);
    if (works.length === 1) all.delete(name);
    const before = works.at(-1)?.reason;
    if (shown && before === undefined) waits.delete(name);
    else if (shown && before !== undefined) waits.set(name, before);
  }
}

/** The volume of a name as EC2 has it; see {@link Lookup.find}. */
export const findVolume = (node: Node, name: string): Promise<EbsVolume | undefined> =>
  waiting(node, name, 'EC2 to tell which EBS volume has this name', () => node.lookup.find(name));

/** Why nothing new is attached here yet, as a clause: EC2 has to tell first what is. Undefined once it has. */
export function unsurveyed({ survey }: Pick<Node, 'survey'>): string | undefined {
  return survey.isDone() ? undefined : `EC2 has not told yet what is attached to this instance${survey.failure()}`;
}

/** Where a volume's filesystem is mounted; the directory exists only while it is. */
export function mountpointOf(settings: Pick<Settings, 'root'>, name: string): string {
  return join(settings.root, 'volumes', encodeName(name));
}

/** Where the disk of a volume is to be found while it is rescued; there only then. */
export function rescuePathOf(settings: Pick<Settings, 'root'>, name: string): string {
  return join(settings.root, 'rescue', encodeName(name));
}
