import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DriverError } from '../errors.ts';
import { appendDurably } from '../host/durable.ts';

/** A line as it is kept: what was written, when, and the SHA-256 (hex) of the line before it. */
export type ChainLine = { readonly at: string; readonly previous: string } & Readonly<Record<string, unknown>>;

/** An append-only file of JSON lines, each bound to the one before by its hash. */
export interface Chain {
  /**
   * Adds a line; it survives a power cut once this returns. Lines are kept in the order of the calls.
   * @throws DriverError JOURNAL_FAILED; the caller must not act then.
   */
  append(entry: object): Promise<void>;
}

export interface ChainOptions {
  /** At this size the file becomes FILE.1, replacing an older one, and a new one goes on with the chain. */
  readonly maxBytes: number;
  /** Hears, before the first line is added, that an earlier line was changed or taken out. */
  readonly onBroken: (why: string) => void;
}

const none = '0'.repeat(64);

/** A chain in a file, which is made (with its directory) when the first line is added. */
export function createChain(file: string, { maxBytes, onBroken }: ChainOptions): Chain {
  /** The hash of the last line; unknown before the first, and after a write that failed half-way. */
  let last: string | undefined;
  let known = false;
  let queue: Promise<unknown> = Promise.resolve();

  const resume = async (): Promise<string> => {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    const { hash, broken, torn } = await check(file);
    if (broken !== undefined && !known) onBroken(broken);
    known = true;
    // The line that a crash cut off stays, as a line: the next one is bound to it like to any other.
    if (torn) await appendDurably(file, '\n');
    return hash;
  };
  const add = async (entry: object): Promise<void> => {
    const previous = last ?? (await resume());
    last = undefined;
    if ((await sizeOf(file)) >= maxBytes) await rename(file, `${file}.1`);
    const line = JSON.stringify({ at: new Date().toISOString(), previous, ...entry });
    await appendDurably(file, `${line}\n`);
    last = hashOf(line);
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
 * The last `limit` lines of a chain, oldest first; what a crash cut off is left out.
 * @returns also why the chain is broken, undefined when every line is bound to the one before it.
 */
export async function readChain(
  file: string,
  limit: number,
): Promise<{ readonly lines: readonly ChainLine[]; readonly broken: string | undefined }> {
  const { lines, broken } = await check(file);
  const whole = lines.flatMap((line) => parse(line) ?? []);
  return { lines: whole.slice(Math.max(0, whole.length - limit)), broken };
}

async function check(
  file: string,
): Promise<{ lines: string[]; hash: string; broken: string | undefined; torn: boolean }> {
  const text = await read(file);
  const lines = [await read(`${file}.1`), text].flatMap((each) => each.split('\n').filter((line) => line !== ''));
  let hash: string | undefined;
  let broken: string | undefined;
  for (const [index, line] of lines.entries()) {
    const { previous, at } = parse(line) ?? {};
    // The oldest line may have had another before it, which was rotated away; one cut off binds nothing.
    if (hash !== undefined && previous !== undefined && previous !== hash) {
      broken ??= `line ${index + 1} of ${file}.1 and ${file} (${at}) does not follow the one before it`;
    }
    hash = hashOf(line);
  }
  return { lines, hash: hash ?? none, broken, torn: text !== '' && !text.endsWith('\n') };
}

function parse(line: string): ChainLine | undefined {
  try {
    const value: unknown = JSON.parse(line);
    const isLine = typeof value === 'object' && value !== null && 'at' in value && 'previous' in value;
    return isLine ? (value as ChainLine) : undefined;
  } catch {
    return undefined;
  }
}

async function read(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
}

async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return 0;
      throw error;
    },
  );
}

const hashOf = (line: string): string => createHash('sha256').update(line).digest('hex');
