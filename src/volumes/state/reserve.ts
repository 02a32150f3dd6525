import { link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceDurably, syncDirectory } from '../../host/durable.ts';
import { errnoOf } from '../../host/tools.ts';

/** A record is replaced from the reserve in its turn, so that one file would do; the others are for crashes in between. */
const files = 4;
/** A record has about a kilobyte, and 90 bytes for each holder. */
const fileBytes = 16_384;
const againMs = 30_000;
/** Ends the name of the file that comes into another's place in the reserve. */
const incoming = '.next';

/** Files that are there before they are needed: what leaves a node can be recorded though its disk is full. */
export interface Reserve {
  /**
   * Replaces a file's content as {@link replaceDurably} does, and where there is no room (of space, files or quota) with
   * one of these files. It is written in place, padded with spaces: nothing is given to the disk that others could take.
   * @throws what Node throws; the old text stands then.
   */
  replace(file: string, text: string): Promise<void>;
  /** Makes what is missing of it as far as there is room. Never fails. */
  fill(): Promise<void>;
  /** Since when it is what records are written with, RFC 3339; undefined while the disk has room. */
  usedSince(): string | undefined;
}

/** A reserve in a directory of its own, on the disk of the files that it is for. Nothing is made before it is filled. */
export function createReserve(directory: string): Reserve {
  const places = Array.from({ length: files }, (_, place) => join(directory, String(place)));
  let usedSince: string | undefined;
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = turn.then(work);
    turn = done.catch(() => undefined);
    return done;
  };
  let timer: NodeJS.Timeout | undefined;
  /** Nothing may be written for long after there is room again. */
  const lookAgain = () => {
    clearTimeout(timer);
    timer = setTimeout(() => void inTurn(fill).catch(lookAgain), againMs).unref();
  };
  const replaceWith = async (file: string, text: string, full: unknown): Promise<void> => {
    for (const place of places) {
      if (!(await isReady(place)) || !(await swap(place, file, text))) continue;
      usedSince ??= new Date().toISOString();
      lookAgain();
      return;
    }
    throw full;
  };
  const fill = async (): Promise<void> => {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const name of await readdir(directory)) await tidy(directory, name);
    for (const place of places) {
      if ((await isReady(place)) && (await stat(place)).size >= fileBytes) continue;
      await replaceDurably(place, ' '.repeat(fileBytes));
    }
    usedSince = undefined;
  };
  return {
    async replace(file, text) {
      try {
        await replaceDurably(file, text);
      } catch (error) {
        if (!isFull(error)) throw error;
        await inTurn(() => replaceWith(file, text, error));
        return;
      }
      if (usedSince !== undefined) await inTurn(fill).catch(() => undefined);
    },
    fill: () => inTurn(fill).catch(() => undefined),
    usedSince: () => usedSince,
  };
}

/** No room for another block or another file, or none for this user. */
const isFull = (error: unknown): boolean => ['ENOSPC', 'EDQUOT'].includes(errnoOf(error) ?? '');

/** A file that is in the reserve alone: one that a crash left under a record's name, too, is that record. */
const isReady = (place: string): Promise<boolean> =>
  stat(place).then(
    ({ nlink }) => nlink === 1,
    () => false,
  );

/** A crash may have left a file under another name, or a record's under one of the reserve. */
async function tidy(directory: string, name: string): Promise<void> {
  const path = join(directory, name);
  if (!(await isReady(path))) await rm(path, { force: true });
  else if (name.endsWith(incoming)) await rename(path, path.slice(0, -incoming.length));
}

/** Gives a file the text with what is at a place of the reserve, and the place what had been that file. */
async function swap(place: string, file: string, text: string): Promise<boolean> {
  const handle = await open(place, 'r+');
  try {
    const { size } = await handle.stat();
    const bytes = Buffer.from(text);
    await handle.write(Buffer.concat([bytes, Buffer.alloc(Math.max(0, size - bytes.length), ' ')]), 0, undefined, 0);
    await handle.sync();
  } catch (error) {
    if (isFull(error)) return false;
    throw error;
  } finally {
    await handle.close();
  }
  const next = `${place}${incoming}`;
  await rm(next, { force: true });
  const kept = await link(file, next).then(
    () => true,
    () => false,
  );
  try {
    await rename(place, file);
  } catch (error) {
    await rm(next, { force: true });
    throw error;
  }
  await syncDirectory(join(file, '..'));
  // Where a link takes one of the files that are left (tmpfs), the room of the old text is what it is made of again.
  await (kept ? rename(next, place) : replaceDurably(place, ' '.repeat(fileBytes)).catch(() => undefined));
  return true;
}
