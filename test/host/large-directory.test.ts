import { chmod, mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { openSubdirectory } from '../../src/host/directory.ts';
import { requires } from '../support/requirements.ts';
import { tempDirectory } from './lab.ts';

const reads = vi.hoisted(() => ({ entries: 0 }));

/** Counts the entries that are read of directories. */
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  const counted = async function* (entries: AsyncIterable<unknown>) {
    for await (const entry of entries) {
      reads.entries += 1;
      yield entry;
    }
  };
  return {
    ...real,
    readdir: async (path: string) => {
      const names = await real.readdir(path);
      reads.entries += names.length;
      return names;
    },
    opendir: async (path: string, options: object) => counted(await real.opendir(path, options)),
  };
});

describe.skipIf(requires('root').skip)('a directory with many entries', () => {
  const many = async (path: string) => {
    await mkdir(path, { recursive: true });
    for (let n = 0; n < 500; n += 1) await writeFile(join(path, String(n)), '');
    reads.entries = 0;
  };

  test('is looked into no further than its first entry, also with mode 0', async () => {
    const root = await tempDirectory();
    await many(join(root, 'data'));
    await chmod(join(root, 'data'), 0);
    await openSubdirectory(root, 'data', { uid: 7, gid: undefined, mode: undefined }, 'make');
    expect(reads.entries).toBe(1);
    expect(await stat(join(root, 'data'))).toMatchObject({ uid: 0, mode: 0o40000 });
  });

  test('is not taken for a new root by its first two', async () => {
    const root = await tempDirectory();
    await many(root);
    await openSubdirectory(root, '/', { uid: 7, gid: undefined, mode: undefined }, 'make');
    expect(reads.entries).toBeLessThanOrEqual(2);
    expect(await stat(root)).toMatchObject({ uid: 0 });
  });
});
