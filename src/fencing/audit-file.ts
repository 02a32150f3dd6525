import { type FileHandle, mkdir, open, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DriverError } from '../errors.ts';
import { appendDurably } from '../host/durable.ts';
import { ifThere } from '../host/sysfs.ts';

/** A line of an audit file: what was written, and when (RFC 3339). Those of version 0.1.0 have the hash of the one before, too. */
export type AuditLine = { readonly at: string } & Readonly<Record<string, unknown>>;

/** An append-only file of JSON lines. */
export interface AuditFile {
  /**
   * Adds a line; it survives a power cut once this returns. Lines are kept in the order of the calls.
   * @throws DriverError JOURNAL_FAILED; the caller must not act then.
   */
  append(entry: object): Promise<void>;
}

/** What is read at once when lines are sought from the end; a line has a few thousand bytes. */
const blockBytes = 65_536;

/**
 * An audit file, which is made (with its directory) when the first line is added.
 * @param maxBytes at this size it becomes FILE.1, replacing an older one, and a new one is begun.
 */
export function createAuditFile(file: string, maxBytes: number): AuditFile {
  /** False before the first line, and after a write that failed half-way: then the last line may be cut off. */
  let endsWhole = false;
  let queue: Promise<unknown> = Promise.resolve();

  const add = async (entry: object): Promise<void> => {
    if (!endsWhole) {
      await mkdir(dirname(file), { recursive: true, mode: 0o700 });
      // What a crash cut off stays, as a line that nobody can read: the next one must not be added to it.
      if (await isTorn(file)) await appendDurably(file, '\n');
    }
    endsWhole = false;
    if ((await sizeOf(file)) >= maxBytes) await rename(file, `${file}.1`);
    await appendDurably(file, `${JSON.stringify({ at: new Date().toISOString(), ...entry })}\n`);
    endsWhole = true;
  };
  return {
    append(entry) {
      const added = queue.then(() => add(entry));
      queue = added.catch(() => undefined);
      return added.catch((error: unknown) => {
        throw new DriverError('JOURNAL_FAILED', {
          tried: `write down in ${file} what is about to be done`,
          why: error instanceof Error ? error.message : String(error),
          todo: 'Nothing was done: free space there or make it writable, then try again',
          cause: error,
        });
      });
    },
  };
}

/**
 * The last `limit` lines of an audit file and its FILE.1, newest first; what a crash cut off is left out. Reads the files
 * from their ends, and no more of them than that takes. @throws what Node throws
 */
export async function readAudit(file: string, limit: number): Promise<readonly AuditLine[]> {
  const newest = await readFromEnd(file, limit);
  if (newest.length >= limit) return newest;
  return [...newest, ...(await readFromEnd(`${file}.1`, limit - newest.length))];
}

async function readFromEnd(file: string, limit: number): Promise<AuditLine[]> {
  const found = await reading(file, async (handle) => {
    const lines: AuditLine[] = [];
    let position = (await handle.stat()).size;
    /** A line whose beginning is not read yet. */
    let rest: Buffer = Buffer.alloc(0);
    while (position > 0 && lines.length < limit) {
      const length = Math.min(blockBytes, position);
      position -= length;
      const { buffer } = await handle.read(Buffer.alloc(length), 0, length, position);
      const bytes = Buffer.concat([buffer, rest]);
      const firstWhole = position === 0 ? 0 : bytes.indexOf('\n') + 1 || bytes.length;
      rest = bytes.subarray(0, firstWhole);
      lines.push(...bytes.subarray(firstWhole).toString().split('\n').flatMap(parse).reverse());
    }
    return lines.slice(0, limit);
  });
  return found ?? [];
}

function parse(line: string): AuditLine[] {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && 'at' in value ? [value as AuditLine] : [];
  } catch {
    return [];
  }
}

async function isTorn(file: string): Promise<boolean> {
  const torn = await reading(file, async (handle) => {
    const { size } = await handle.stat();
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(1), 0, 1, Math.max(0, size - 1));
    return bytesRead === 1 && buffer.toString() !== '\n';
  });
  return torn ?? false;
}

/** What `read` gives of the file; undefined while there is none. */
async function reading<T>(file: string, read: (handle: FileHandle) => Promise<T>): Promise<T | undefined> {
  const handle = await ifThere(open(file, 'r'));
  if (handle === undefined) return undefined;
  try {
    return await read(handle);
  } finally {
    await handle.close();
  }
}

const sizeOf = async (file: string): Promise<number> => (await ifThere(stat(file)))?.size ?? 0;
