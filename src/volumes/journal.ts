import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { EbsVolume } from '../ebs/types.ts';
import { DriverError } from '../errors.ts';
import { type Held, phases } from './held.ts';
import { encodeName } from './names.ts';

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

/** The record of what this node holds, one file a volume. What a write has returned from survives a power cut. */
export interface Journal {
  /** Every readable record, and the files that could not be read, with why. */
  load(): Promise<{ held: Held[]; damaged: { file: string; why: string }[] }>;
  /** @throws DriverError JOURNAL_FAILED (disk full, read-only): the caller must not act then. */
  save(held: Held): Promise<void>;
  forget(name: string): Promise<void>;
  /** EC2 device names by their last use, oldest first: they outlive the volumes that used them. */
  loadDevices(): Promise<string[]>;
  saveDevices(names: readonly string[]): Promise<void>;
  /** Undefined when none was saved, or it cannot be read. */
  loadIdentity(): Promise<Identity | undefined>;
  saveIdentity(identity: Identity): Promise<void>;
  /** Volumes that callers of this node know, by name: what to tell them of while EC2 cannot be asked. */
  loadKnown(): Promise<Map<string, EbsVolume>>;
  /** Never fails: without this memory nothing is lost but an answer. */
  saveKnown(known: ReadonlyMap<string, EbsVolume>): void;
}

/** The journal in a directory, which is made if absent (0700). @throws DriverError JOURNAL_FAILED when it cannot be. */
export async function openJournal(root: string): Promise<Journal> {
  const directory = join(root, 'volumes');
  await mkdir(directory, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw journalFailed(undefined, root, error);
  });
  const fileOf = (name: string) => join(directory, `${encodeName(name)}.json`);
  const devicesFile = join(root, 'devices.json');
  const identityFile = join(root, 'identity.json');
  const knownFile = join(root, 'known.json');
  let lastDevices: Promise<unknown> = Promise.resolve();
  let lastKnown: Promise<unknown> = Promise.resolve();
  return {
    load: () =>
      loadAll(directory).catch((error: unknown) => {
        throw journalFailed(undefined, directory, error);
      }),
    async save(held) {
      try {
        await writeDurably(directory, fileOf(held.name), `${JSON.stringify({ version, ...held })}\n`);
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
    async loadDevices() {
      try {
        const names: unknown = JSON.parse(await readFile(devicesFile, 'utf8'));
        return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
      } catch {
        // Without the history a name may be used again early, which costs one more try at worst.
        return [];
      }
    },
    saveDevices(names) {
      // One after another: an older list must not win.
      const saved = lastDevices.then(() => writeDurably(root, devicesFile, `${JSON.stringify(names)}\n`));
      lastDevices = saved.catch(() => undefined);
      return saved.catch((error: unknown) => {
        throw journalFailed(undefined, root, error);
      });
    },
    async loadIdentity() {
      try {
        return JSON.parse(await readFile(identityFile, 'utf8'));
      } catch {
        return undefined;
      }
    },
    async loadKnown() {
      try {
        return new Map(Object.entries<EbsVolume>(JSON.parse(await readFile(knownFile, 'utf8'))));
      } catch {
        return new Map();
      }
    },
    saveKnown(known) {
      const text = JSON.stringify(Object.fromEntries(known));
      lastKnown = lastKnown.then(() => writeDurably(root, knownFile, text)).catch(() => undefined);
    },
    saveIdentity: (identity) => writeDurably(root, identityFile, `${JSON.stringify(identity)}\n`),
  };
}

async function loadAll(directory: string): Promise<{ held: Held[]; damaged: { file: string; why: string }[] }> {
  const held: Held[] = [];
  const damaged: { file: string; why: string }[] = [];
  for (const entry of await readdir(directory)) {
    // A power cut in the middle of a write leaves its temporary file.
    if (entry.endsWith('.new')) await rm(join(directory, entry), { force: true });
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

/** A reader sees the old text or the new, whole, whenever the power goes. */
async function writeDurably(directory: string, file: string, text: string): Promise<void> {
  // Two writes of one file may be under way at once, and each needs a file of its own until it is whole.
  // A name of fixed length: the file's own may fill a directory entry.
  const temporary = join(directory, `${randomUUID()}.new`);
  const handle = await open(temporary, 'w', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
    await handle.close();
    await rename(temporary, file);
  } catch (error) {
    await handle.close().catch(() => undefined);
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(directory);
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
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
