import type { Settings } from '../../config.ts';
import { filesystemTypes } from '../../host/types.ts';
import { bad } from './bad-value.ts';
import { byAny } from './filesystem.ts';
import { readMkfsOptions } from './mkfs-options.ts';
import { readMountOptions } from './mount-options.ts';
import { type CreateOptions, refuseOptions, whyBad } from './options.ts';

/**
 * Reads at create what would reach mkfs and mount(8) later, when nobody who could correct it is there.
 * @throws DriverError INVALID_OPTION for what no filesystem takes that the volume can have, or what a new disk cannot be
 * mounted with.
 */
export function checkFilesystemOptions(
  name: string,
  { fsType, mkfsOptions = '', mountOptions = '', snapshotId }: CreateOptions,
  defaults: Pick<Settings, 'fsType' | 'mountAllow'>,
): void {
  const isNew = snapshotId === undefined;
  const made = fsType ?? (isNew ? defaults.fsType : undefined);
  const types = made === undefined ? filesystemTypes : [made];
  refusing(name, 'mkfsOptions', mkfsOptions, () => {
    byAny(types, (type) => readMkfsOptions(mkfsOptions, type));
  });
  refusing(name, 'mountOptions', mountOptions, () => {
    const words = byAny(types, (type) => readMountOptions(mountOptions, type, defaults.mountAllow));
    if (isNew) refuseOnNew(words, mkfsOptions);
  });
}

function refusing(name: string, option: string, text: string, read: () => void): void {
  try {
    read();
  } catch (error) {
    refuseOptions(name, ...whyBad(option, text, error));
  }
}

function refuseOnNew(words: readonly string[], mkfsOptions: string): void {
  const todo = 'Leave it out, or give a snapshotId';
  if (words.includes('ro')) {
    bad(
      'holds "ro", and a new disk has nothing to read',
      `${todo}; a container can mount a volume read-only by itself`,
    );
  }
  if (words.some((word) => /^subvol(id)?=/.test(word))) bad('names a subvolume, and a new disk has none', todo);
  if (words.includes('prjquota') && !mkfsOptions.includes('project')) {
    bad('holds "prjquota", and the disk would be made without', 'Give mkfsOptions "-O project,quota" as well');
  }
}
