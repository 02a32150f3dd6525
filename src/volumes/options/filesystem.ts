import type { FilesystemType } from '../../host/types.ts';
import { BadValue } from './bad-value.ts';
import { btrfs } from './btrfs.ts';
import { ext4 } from './ext4.ts';
import type { FilesystemWords } from './shapes.ts';
import { xfs } from './xfs.ts';

/** What may be asked of each filesystem. */
export const filesystems: Readonly<Record<FilesystemType, FilesystemWords>> = { ext4, xfs, btrfs };

/** Reads by the first filesystem that takes it. @throws BadValue of the first, where none does. */
export function byAny<T>(types: readonly FilesystemType[], read: (type: FilesystemType) => T): T {
  const refusals: BadValue[] = [];
  for (const type of types) {
    try {
      return read(type);
    } catch (error) {
      if (!(error instanceof BadValue)) throw error;
      refusals.push(error);
    }
  }
  throw refusals[0] ?? new Error('no filesystem was named');
}
