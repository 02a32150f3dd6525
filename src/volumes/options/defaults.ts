import type { Settings } from '../../config.ts';
import { DriverError } from '../../errors.ts';
import type { DirectoryOwner } from '../../host/types.ts';
import { readNodeMountOptions } from './mount-options.ts';
import { readOption, whyBad } from './options.ts';

/** Settings that stand for options of volumes, and are read as those are. */
type Defaults = Pick<Settings, 'tags' | 'mountOptions' | 'mountAllow' | 'subdirectory' | 'uid' | 'gid' | 'mode'>;

/**
 * Reads what this node's settings say for volumes that do not say themselves, so that a fault shows at the start.
 * @throws DriverError INVALID_OPTION saying what is wrong with which setting.
 */
export function checkDefaults({ tags, mountOptions, mountAllow, subdirectory, ...owner }: Defaults): void {
  parseDefaultTags(tags);
  asSetting('DVE_MOUNT_OPTIONS', mountOptions, (text) => readNodeMountOptions(text, mountAllow));
  asSetting('DVE_SUBDIRECTORY', subdirectory, (text) => readOption('subdirectory', text));
  defaultOwner(owner);
}

/**
 * The tags of the DVE_TAGS setting.
 * @throws DriverError INVALID_OPTION saying what is wrong with it.
 */
export function parseDefaultTags(text: string): Readonly<Record<string, string>> {
  return text.trim() === '' ? {} : asSetting('DVE_TAGS', text, (given) => readOption('tags', given));
}

/**
 * Whose the directory of a new volume is that does not say itself, by DVE_UID, DVE_GID and DVE_MODE.
 * @throws DriverError INVALID_OPTION saying what is wrong with which.
 */
export function defaultOwner({ uid, gid, mode }: Pick<Settings, 'uid' | 'gid' | 'mode'>): DirectoryOwner {
  const read = (option: 'uid' | 'gid' | 'mode', text: string) =>
    text === '' ? undefined : asSetting(`DVE_${option.toUpperCase()}`, text, (given) => readOption(option, given));
  return { uid: read('uid', uid), gid: read('gid', gid), mode: read('mode', mode) };
}

function asSetting<T>(variable: string, text: string, read: (text: string) => T): T {
  try {
    return read(text);
  } catch (error) {
    const [why, todo] = whyBad('it', text, error);
    throw new DriverError('INVALID_OPTION', {
      tried: `use ${variable}=${JSON.stringify(text)}`,
      why,
      todo,
      cause: error,
    });
  }
}
