import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import {
  chmod,
  copyFile,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  rmdir,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { hostFailed } from '../../host/tools.ts';

/** Something of the machine that is not yet as it should be. */
export interface Change {
  /** As "write /etc/x", without a full stop. */
  readonly what: string;
  readonly path: string;
  /** The text to be written. */
  readonly text?: string;
  make(): Promise<void>;
}

/** A file with this text and mode. Undefined where it is so already. */
export async function fileChange(path: string, text: string, mode: number): Promise<Change | undefined> {
  const now = await textOf(path);
  if (now === text && ((await stat(path)).mode & 0o777) === mode) return undefined;
  return {
    what: `${now === undefined ? 'write' : 'change'} ${path}`,
    path,
    text,
    make: () => replace(path, mode, (to) => writeFile(to, text, { mode })),
  };
}

/** As {@link fileChange}, of a text that is read where it is installed and not before. */
export async function pageChange(path: string, text: string): Promise<Change | undefined> {
  const change = await fileChange(path, text, 0o644);
  return change && { what: change.what, path, make: change.make };
}

/** A file that is a copy of another, executable. Undefined where it is so already. */
export async function copyChange(from: string, path: string): Promise<Change | undefined> {
  const there = await lstat(path).catch(() => undefined);
  const runs = there?.isFile() && (there.mode & 0o777) === 0o755;
  if (runs && (await digestOf(from)) === (await digestOf(path))) return undefined;
  return {
    what: `${there === undefined ? 'copy this program to' : 'replace'} ${path}`,
    path,
    make: () => replace(path, 0o755, (to) => copyFile(from, to)),
  };
}

/** A symbolic link. Undefined where it is so already. */
export async function linkChange(path: string, to: string): Promise<Change | undefined> {
  if ((await readlink(path).catch(() => undefined)) === to) return undefined;
  return {
    what: `link ${path} to ${to}`,
    path,
    make: () => replace(path, undefined, (temporary) => symlink(to, temporary)),
  };
}

/** That nothing is there. Undefined where it is so already. */
export async function removalChange(path: string): Promise<Change | undefined> {
  if (!(await isThere(path))) return undefined;
  return { what: `remove ${path}`, path, make: () => rm(path, { recursive: true }) };
}

/**
 * That a directory of mountpoints is not there. Of these each goes only if it is empty, never with what is in it: that
 * may be somebody's data. Undefined where it is so already.
 */
export async function mountpointsRemoval(path: string): Promise<Change | undefined> {
  if (!(await isThere(path))) return undefined;
  const make = async () => {
    for (const entry of await readdir(path)) await rmdir(join(path, entry));
    await rmdir(path);
  };
  const todo = 'Find out whose data is in it: the directory stays, and all else is done';
  return {
    what: `remove ${path}`,
    path,
    make: () =>
      make().catch((error) => {
        throw hostFailed(`remove ${path}`, error, todo);
      }),
  };
}

/** A link that leads nowhere is there too. */
export const isThere = async (path: string): Promise<boolean> =>
  (await lstat(path).catch(() => undefined)) !== undefined;

/** Undefined where there is no such file. */
export async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whoever opens or runs it meanwhile has the old one or the new one, whole. */
async function replace(path: string, mode: number | undefined, make: (to: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.new`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await rm(temporary, { force: true });
    await make(temporary);
    if (mode !== undefined) {
      await chmod(temporary, mode);
      await sync(temporary);
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw hostFailed(`write ${path}`, error, 'Mend that and run it again: it goes on where it ended');
  }
}

async function sync(path: string): Promise<void> {
  const file = await open(path, 'r');
  await file.sync().finally(() => file.close());
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
