import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Held } from '../../src/volumes/state/held.ts';
import { volumeWith } from './fake-volume.ts';

/** Leaves no room on the disk of a directory, neither for a block nor for a file. @returns the files that fill it. */
export async function fillDisk(dir: string): Promise<string[]> {
  const made: string[] = [];
  let empty = 0;
  for (let size = 16 * 1024 * 1024; ; ) {
    const file = join(dir, `fill-${randomUUID()}`);
    try {
      await writeFile(file, Buffer.alloc(size), { flush: true });
      made.push(file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      // What was written of it stays.
      made.push(file);
      if (size === 0) return made;
      size = size > 1 ? Math.floor(size / 16) : 0;
    }
    // Some disks take empty files without end.
    empty += size === 0 ? 1 : 0;
    if (empty > 100) return made;
  }
}

/** A record of a volume that is mounted here for one caller. */
export const heldAs = (name: string, change: Partial<Held> = {}): Held => ({
  ...{ name, volume: volumeWith({ tags: { Name: name } }), phase: 'mounted', instanceId: 'i-1' },
  ...{ device: '/dev/xvdba', attachTime: '2026-01-02T03:04:05.678Z', bootId: 'boot-1', filesystem: 'ext4' },
  directory: `/ebs/volumes/${name}/data`,
  holders: [{ id: null, since: '2026-01-02T03:04:05.678Z' }],
  ...change,
});
