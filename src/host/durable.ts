import { randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** How {@link replaceDurably} ends the names of its temporary files; a power cut in the middle of a write leaves one. */
export const temporarySuffix = '.new';

/**
 * Writes a file's whole content; it survives a power cut once this returns. A reader sees the old text or the new, whole,
 * whenever the power goes. @throws what Node throws; the old text stands then.
 */
export async function replaceDurably(file: string, text: string): Promise<void> {
  const directory = dirname(file);
  // Two writes of one file may be under way at once, and each needs a file of its own until it is whole.
  // A name of fixed length: the file's own may fill a directory entry.
  const temporary = join(directory, `${randomUUID()}${temporarySuffix}`);
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

/** Adds to the end of a file, which is made if absent; it survives a power cut once this returns. @throws what Node throws. */
export async function appendDurably(file: string, text: string): Promise<void> {
  const handle = await open(file, 'a', 0o600);
  try {
    const isNew = (await handle.stat()).size === 0;
    await handle.writeFile(text);
    await handle.sync();
    if (isNew) await syncDirectory(dirname(file));
  } finally {
    await handle.close();
  }
}

/** Makes what came, went or was renamed in a directory survive a power cut. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
