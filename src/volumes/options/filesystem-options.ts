import type { Settings } from '../../config.ts';
import type { FilesystemType } from '../../host/types.ts';
import { bad } from './bad-value.ts';
import { byAny } from './filesystem.ts';
import { readMkfsOptions } from './mkfs-options.ts';
import { readMountOptions } from './mount-options.ts';
import { whyBad } from './options.ts';

/** What the disk is, or will be. */
export interface DiskPlan {
  /** The filesystems that it may have. */
  readonly types: readonly FilesystemType[];
  /** True where nothing has been written to it yet. */
  readonly isNew: boolean;
  /** What it was or will be made with: mkfs options that are not to be judged. */
  readonly madeWith: string;
}

interface Texts {
  readonly mkfsOptions?: string | undefined;
  readonly mountOptions?: string | undefined;
}

/**
 * Reads what would reach mkfs and mount(8) later, when nobody who could correct it is there.
 * @returns why it is refused, as a clause, and what to do: what no filesystem takes that the disk may have, or what a
 * new disk cannot be mounted with. Undefined where nothing is wrong.
 */
export function filesystemComplaint(
  { mkfsOptions = '', mountOptions = '' }: Texts,
  { types, isNew, madeWith }: DiskPlan,
  { mountAllow }: Pick<Settings, 'mountAllow'>,
): [why: string, todo: string] | undefined {
  const mkfs = complaint('mkfsOptions', mkfsOptions, () => {
    byAny(types, (type) => readMkfsOptions(mkfsOptions, type));
  });
  const mount = complaint('mountOptions', mountOptions, () => {
    const words = byAny(types, (type) => readMountOptions(mountOptions, type, mountAllow));
    if (isNew) refuseOnNew(words, madeWith);
  });
  return mkfs ?? mount;
}

function complaint(option: string, text: string, read: () => void): [why: string, todo: string] | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    return whyBad(option, text, error);
  }
}

function refuseOnNew(words: readonly string[], madeWith: string): void {
  const todo = 'Leave it out, or give a snapshotId';
  if (words.includes('ro')) {
    bad(
      'holds "ro", and a new disk has nothing to read',
      `${todo}; for one container alone it is read only with docker run -v NAME:/data:ro`,
    );
  }
  if (words.some((word) => /^subvol(id)?=/.test(word))) bad('names a subvolume, and a new disk has none', todo);
  if (words.includes('prjquota') && !madeWith.includes('project')) {
    bad('holds "prjquota", and the disk would be made without', 'Give mkfsOptions "-O project,quota" as well');
  }
}
