import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume } from '../../ebs/types.ts';
import { DriverError } from '../../errors.ts';
import { replaceDurably, syncDirectory, temporarySuffix } from '../../host/durable.ts';
import { encodeName } from '../options/names.ts';
import type { DeviceUse } from './devices.ts';
import type { Ghost } from './ghosts.ts';
import { type Held, phases } from './held.ts';
import { createReserve } from './reserve.ts';
import { readScratchRecords, type ScratchRecord } from './scratch.ts';

const version = 1;

/** Who this node is, as found out in a boot. */
export interface Identity {
  readonly instanceId: string;
  readonly availabilityZone: string;
  readonly region: string | undefined;
  readonly bootId: string;
  /** The settings that were in force: a corrected one is asked anew. */
  readonly asked: string;
}

/** That this node's role may do all that the settings need. */
export interface Allowance {
  readonly bootId: string;
  /** The settings that were in force: others need other calls. */
  readonly asked: string;
  /** When, in seconds since that boot: a clock that nobody sets. Version 0.1.0 wrote none. */
  readonly uptime?: number;
}

/** A snapshot that this node has put into the trash. */
export interface SavedTrash {
  readonly id: string;
  readonly sizeGib: number;
  /** RFC 3339. */
  readonly expires: string;
}

/** The record of what this node holds, one file a volume. What a write has returned from survives a power cut. */
export interface Journal {
  /** Every readable record, and the files that could not be read, with why. */
  load(): Promise<{ held: Held[]; damaged: { file: string; why: string }[] }>;
  /**
   * @param leaves the record takes this node a step on the way of giving the volume back: it is written with a reserve
   * where the disk is full, since a volume that cannot leave is pinned to a node that lives.
   * @throws DriverError JOURNAL_FAILED (disk full, read-only): the caller must not act then.
   */
  save(held: Held, leaves?: boolean): Promise<void>;
  forget(name: string): Promise<void>;
  /** Uses of EC2 device names, oldest first: they outlive the volumes that used them. */
  loadDevices(): Promise<DeviceUse[]>;
  saveDevices(uses: readonly DeviceUse[]): Promise<void>;
  /** Since when the disk is full and leaving is recorded with a reserve, RFC 3339; undefined while that is not so. */
  reserveUsedSince(): string | undefined;
  /** Undefined when none was saved, or it cannot be read. */
  loadIdentity(): Promise<Identity | undefined>;
  saveIdentity(identity: Identity): Promise<void>;
  /** That this node's role was found to suffice; undefined when it was not, or it cannot be read. */
  loadAllowance(): Promise<Allowance | undefined>;
  saveAllowance(allowance: Allowance): Promise<void>;
  /** Empty when none were saved, or they cannot be read. */
  loadGhosts(): Promise<Ghost[]>;
  saveGhosts(ghosts: readonly Ghost[]): Promise<void>;
  /** Empty when none were saved, or they cannot be read: then EC2's tags tell. */
  loadScratch(): Promise<ScratchRecord[]>;
  /** @throws DriverError JOURNAL_FAILED */
  saveScratch(records: readonly ScratchRecord[]): Promise<void>;
  /** Empty when none were saved, or they cannot be read. */
  loadTrash(): Promise<SavedTrash[]>;
  saveTrash(saved: readonly SavedTrash[]): Promise<void>;
  /** Volumes of a cluster that this node knows, by name: what to tell of while EC2 cannot be asked. */
  loadKnown(cluster: string): Promise<Map<string, EbsVolume>>;
  /** Never fails: without this memory nothing is lost but an answer. */
  saveKnown(known: ReadonlyMap<string, EbsVolume>): Promise<void>;
}

/** The journal in a directory, which is made if absent (0700). @throws DriverError JOURNAL_FAILED when it cannot be. */
export async function openJournal(root: string): Promise<Journal> {
  const directory = join(root, 'volumes');
  await mkdir(directory, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw journalFailed(undefined, root, error);
  });
  const reserve = createReserve(join(root, 'reserve'));
  await reserve.fill();
  const fileOf = (name: string) => join(directory, `${encodeName(name)}.json`);
  const devicesFile = join(root, 'devices.json');
  const identityFile = join(root, 'identity.json');
  const knownFile = join(root, 'known.json');
  const allowanceFile = join(root, 'allowance.json');
  const ghostsFile = join(root, 'ghosts.json');
  const scratchFile = join(root, 'scratch.json');
  const trashFile = join(root, 'trash.json');
  const saveTrash = latestOnly((saved: readonly SavedTrash[]) =>
    replaceDurably(trashFile, `${JSON.stringify(saved)}\n`),
  );
  const saveDevices = latestOnly((uses: readonly DeviceUse[]) =>
    replaceDurably(devicesFile, `${JSON.stringify(uses)}\n`),
  );
  const saveScratch = latestOnly((records: readonly ScratchRecord[]) =>
    replaceDurably(scratchFile, `${JSON.stringify(records)}\n`),
  );
  const saveKnown = latestOnly((known: ReadonlyMap<string, EbsVolume>) =>
    replaceDurably(knownFile, JSON.stringify(Object.fromEntries(known))),
  );
  return {
    load: () =>
      loadAll(directory).catch((error: unknown) => {
        throw journalFailed(undefined, directory, error);
      }),
    async save(held, leaves = false) {
      const write = leaves ? reserve.replace : replaceDurably;
      try {
        await write(fileOf(held.name), `${JSON.stringify({ version, ...held })}\n`);
      } catch (error) {
        throw journalFailed(held.name, directory, error);
      }
    },
    async forget(name) {
      try {
        await rm(fileOf(name), { force: true });
        await syncDirectory(directory);
      } catch (error) {
        throw journalFailed(name, directory, error);
      }
    },
    // Without the history a name may be used again early, which costs one more try at worst.
    loadDevices: async () => readUses(await readJson(devicesFile)),
    saveDevices: (uses) =>
      saveDevices(uses).catch((error: unknown) => {
        throw journalFailed(undefined, root, error);
      }),
    reserveUsedSince: reserve.usedSince,
    loadIdentity: () => readJson(identityFile),
    loadGhosts: async () => readGhosts(await readJson(ghostsFile)),
    saveGhosts: (ghosts) => replaceDurably(ghostsFile, `${JSON.stringify(ghosts)}\n`),
    loadScratch: async () => readScratchRecords(await readJson(scratchFile)),
    saveScratch: (records) =>
      saveScratch(records).catch((error: unknown) => {
        throw journalFailed(undefined, root, error);
      }),
    loadTrash: async () => readTrash(await readJson(trashFile)),
    saveTrash,
    loadAllowance: () => readJson(allowanceFile),
    saveAllowance: (allowance) => replaceDurably(allowanceFile, `${JSON.stringify(allowance)}\n`),
    loadKnown: async (cluster) => readKnown(await readJson(knownFile), cluster),
    saveKnown(known) {
      return saveKnown(known).catch(() => undefined);
    },
    saveIdentity: (identity) => replaceDurably(identityFile, `${JSON.stringify(identity)}\n`),
  };
}

/** Undefined when there is none, or it cannot be read. */
async function readJson<T>(file: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch {
    return undefined;
  }
}

async function loadAll(directory: string): Promise<{ held: Held[]; damaged: { file: string; why: string }[] }> {
  const held: Held[] = [];
  const damaged: { file: string; why: string }[] = [];
  for (const entry of await readdir(directory)) {
    if (entry.endsWith(temporarySuffix)) await rm(join(directory, entry), { force: true });
    if (!entry.endsWith('.json')) continue;
    const file = join(directory, entry);
    try {
      held.push(readRecord(await readFile(file, 'utf8'), entry));
    } catch (error) {
      damaged.push({ file, why: error instanceof Error ? error.message : String(error) });
    }
  }
  return { held, damaged };
}

function readRecord(text: string, entry: string): Held {
  const { version: format, ...held }: Held & { version: unknown } = JSON.parse(text);
  if (format !== version) throw new Error(`it is of format ${format}, and this program writes ${version}`);
  if (!isHeld(held)) throw new Error('it is not a whole record');
  if (`${encodeName(held.name)}.json` !== entry) throw new Error(`it is about ${JSON.stringify(held.name)}`);
  return held;
}

function isHeld(held: Partial<Held>): held is Held {
  const { name, volume, phase, instanceId, device, bootId, holders } = held;
  const texts = [name, volume?.id, volume?.zone, volume?.createdAt, instanceId, device, bootId];
  return (
    texts.every((text) => typeof text === 'string') &&
    typeof volume?.tags === 'object' &&
    phases.some((known) => known === phase) &&
    Array.isArray(holders)
  );
}

/** Earlier versions kept the names alone. What a person has spoilt by hand is left out. */
function readUses(saved: unknown): DeviceUse[] {
  if (!Array.isArray(saved)) return [];
  return saved.map((use: unknown) => (typeof use === 'string' ? { name: use } : use)).filter(isUse);
}

function isUse(use: unknown): use is DeviceUse {
  const { name, volumeId = '', freedAt = 0, quarantine = '' }: Partial<Record<keyof DeviceUse, unknown>> = use ?? {};
  return [name, volumeId, quarantine].every((each) => typeof each === 'string') && typeof freedAt === 'number';
}

/** The daemon may have been in another cluster before. What a person has spoilt by hand is left out. */
function readKnown(saved: unknown, cluster: string): Map<string, EbsVolume> {
  if (typeof saved !== 'object' || saved === null) return new Map();
  return new Map(
    Object.entries<EbsVolume>({ ...saved }).filter(
      ([, volume]) => typeof volume?.id === 'string' && volume.tags?.[tagKeys.cluster] === cluster,
    ),
  );
}

/** Writes one after another: an older state never wins. States that come while one is written share the next write. */
function latestOnly<T>(write: (state: T) => Promise<void>): (state: T) => Promise<void> {
  let last: Promise<unknown> = Promise.resolve();
  let next: { state: T; readonly written: Promise<void> } | undefined;
  return (state) => {
    if (next !== undefined) {
      next.state = state;
      return next.written;
    }
    const written = last.then(() => {
      const latest = next?.state ?? state;
      next = undefined;
      return write(latest);
    });
    next = { state, written };
    last = written.catch(() => undefined);
    return written;
  };
}

function journalFailed(volume: string | undefined, directory: string, cause: unknown): DriverError {
  return new DriverError('JOURNAL_FAILED', {
    volume,
    tried: `use the journal in ${directory}`,
    why: cause instanceof Error ? cause.message : String(cause),
    todo: 'Nothing was done: free space there or make it writable, then try again',
    cause,
  });
}

const readGhosts = (value: unknown): Ghost[] =>
  Array.isArray(value)
    ? value.filter(({ name, at, users }) => typeof name === 'string' && typeof at === 'string' && Array.isArray(users))
    : [];

const readTrash = (value: unknown): SavedTrash[] =>
  Array.isArray(value)
    ? value.filter(
        ({ id, sizeGib, expires }) =>
          typeof id === 'string' && typeof sizeGib === 'number' && !Number.isNaN(Date.parse(expires)),
      )
    : [];
