import type { Settings } from '../../config.ts';
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume, Tags } from '../../ebs/types.ts';
import { DriverError, shellWord } from '../../errors.ts';
import { type AbsentDirectory, type DirectoryOwner, type FilesystemType, filesystemTypes } from '../../host/types.ts';
import { defaultOwner } from './defaults.ts';
import { readMkfsOptions } from './mkfs-options.ts';
import { mountWords } from './mount-options.ts';
import { type CreateOptions, readOption, whyBad } from './options.ts';

type OwnDirectory = Pick<Settings, 'subdirectory' | 'uid' | 'gid' | 'mode'>;
type Defaults = Pick<Settings, 'fsType' | 'mountOptions' | 'mountAllow'> & OwnDirectory;

/** The directory of a volume that callers get, and whose it is when it is made. */
export interface DirectoryPlan {
  readonly subdirectory: string;
  readonly owner: DirectoryOwner;
}

/** How a volume is mounted, wherever it is: read from its tags, the node's settings where they are silent. */
export interface MountPlan extends DirectoryPlan {
  readonly fsType: FilesystemType;
  /** All that mount(8) is given: what every mount has, the node's and the volume's. */
  readonly mountOptions: readonly string[];
  /** The filesystem that was once made on it; undefined when nothing was. */
  readonly formatted: string | undefined;
}

/**
 * How to mount a volume, from its tags.
 * @param found the filesystem that its disk turned out to have; what its tags say where that is not known yet.
 * @throws DriverError HOST_FAILED for a filesystem that no node can have made, INVALID_OPTION for a tag that holds what
 * is not taken: anybody who may tag volumes can write there.
 */
export function planMount(name: string, tags: Tags, defaults: Defaults, found?: FilesystemType): MountPlan {
  const fsType = plannedType(name, tags, defaults);
  const { mountOptions: node, mountAllow: allowed } = defaults;
  const volume = tags[tagKeys.mountOptions] ?? '';
  const type = found ?? filesystemTypes.find((known) => known === tags[tagKeys.formatted]) ?? fsType;
  return {
    fsType,
    mountOptions: asTag(name, 'mountOptions', volume, () => mountWords(type, { node, volume, allowed })),
    ...planDirectory(name, tags, defaults),
    formatted: tags[tagKeys.formatted],
  };
}

/** The directory that callers of a volume get, from its tags. @throws DriverError INVALID_OPTION for a tag that holds none. */
export function planDirectory(name: string, tags: Tags, defaults: OwnDirectory): DirectoryPlan {
  const owner = defaultOwner(defaults);
  return {
    subdirectory: readTag(name, tags, 'subdirectory') ?? defaults.subdirectory,
    owner: {
      uid: readTag(name, tags, 'uid') ?? owner.uid,
      gid: readTag(name, tags, 'gid') ?? owner.gid,
      mode: readTag(name, tags, 'mode') ?? owner.mode,
    },
  };
}

function plannedType(name: string, tags: Tags, defaults: Defaults): FilesystemType {
  const fsType = tags[tagKeys.fsType] ?? defaults.fsType;
  const known = filesystemTypes.find((type) => type === fsType);
  if (known !== undefined) return known;
  throw new DriverError('HOST_FAILED', {
    volume: name,
    tried: 'mount it',
    why: `its tag ${tagKeys.fsType} says ${JSON.stringify(fsType)}, which is none of ${filesystemTypes.join(', ')}`,
    todo: 'Correct the tag, or mount it from a node with a newer docker-volume-ebs',
  });
}

/**
 * The arguments for the mkfs of a volume, from its tags.
 * @throws DriverError INVALID_OPTION for a tag that holds what is not taken, or mount options that only read.
 */
export function planFormat(name: string, tags: Tags, { fsType, mountOptions }: MountPlan): string[] {
  const text = tags[tagKeys.mkfsOptions] ?? '';
  if (mountOptions.includes('ro')) {
    throw new DriverError('INVALID_OPTION', {
      volume: name,
      tried: `format it with ${fsType}`,
      why: 'its mount options, or those of this node (DVE_MOUNT_OPTIONS), say ro, and a new disk has nothing to read',
      todo: `Mount it once without: ${command(name, 'mountOptions', '')}, or on another node`,
    });
  }
  return asTag(name, 'mkfsOptions', text, () => readMkfsOptions(text, fsType));
}

/** The options that say how a volume is mounted, and their tags; `docker-volume-ebs set` changes them. */
export const mountTags = {
  mountOptions: tagKeys.mountOptions,
  mkfsOptions: tagKeys.mkfsOptions,
  subdirectory: tagKeys.subdirectory,
  uid: tagKeys.uid,
  gid: tagKeys.gid,
  mode: tagKeys.mode,
} as const satisfies Partial<Record<keyof CreateOptions, string>>;

type TaggedOption = keyof typeof mountTags;

function readTag<K extends TaggedOption>(name: string, tags: Tags, option: K): CreateOptions[K] | undefined {
  const text = tags[mountTags[option]];
  return text === undefined ? undefined : asTag(name, option, text, () => readOption(option, text));
}

function asTag<T>(name: string, option: TaggedOption, text: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const [why, todo] = whyBad('it', text, error);
    throw new DriverError('INVALID_OPTION', {
      volume: name,
      tried: `use its tag ${mountTags[option]}`,
      why,
      todo: `${todo}: ${command(name, option, '…')}`,
      cause: error,
    });
  }
}

const command = (name: string, option: TaggedOption, value: string): string =>
  `docker-volume-ebs set ${shellWord(name)} --${kebab(option)}=${shellWord(value)}`;

const kebab = (text: string): string => text.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/**
 * What to do where a volume lacks its directory. In one that this driver made empty it is made, whatever else is there;
 * any other (from a snapshot, adopted, tagged by hand) may have its data somewhere else.
 */
export function absentDirectory({ snapshotId, tags }: Pick<EbsVolume, 'snapshotId' | 'tags'>): AbsentDirectory {
  const madeHere = tags[tagKeys.generation] !== undefined && tags[tagKeys.adopted] === undefined;
  return snapshotId === undefined && tags[tagKeys.from] === undefined && madeHere ? 'make' : 'make in empty';
}
