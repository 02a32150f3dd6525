import { isDeepStrictEqual } from 'node:util';
import { tagPrefix } from '../../ebs/tags.ts';
import { DriverError } from '../../errors.ts';
import { type FencePolicy, fencePolicies } from '../../fencing/types.ts';
import { type FilesystemType, filesystemTypes } from '../../host/types.ts';
import { readDuration } from '../../kinds.ts';
import { gibTaken, readGib } from '../../sizes.ts';
import { nearest } from '../../spelling.ts';
import { BadValue, bad } from './bad-value.ts';
import { mostAsked, type VolumeType, volumeTypes } from './limits.ts';
import { readSchedule, scheduleText } from './schedule.ts';
import { type VerifyEvery, verifyIntervals } from './verify.ts';

/** The options of a create as the user gave them, read and checked one by one; what was not given is absent. */
export interface CreateOptions {
  readonly size?: number;
  readonly type?: VolumeType;
  readonly iops?: number;
  readonly throughput?: number;
  readonly encrypted?: boolean;
  readonly kmsKeyId?: string;
  readonly snapshotId?: string;
  /** The volume to copy, by name. */
  readonly from?: string;
  /** Which snapshot of it: a name, an id, `latest`, a time. */
  readonly fromSnapshot?: string;
  /** MiB/s. */
  readonly initializationRate?: number;
  /** Seconds from its creation until it goes into the trash by itself. */
  readonly ttl?: number;
  readonly availabilityZone?: string;
  readonly fsType?: FilesystemType;
  /** REX-Ray's, as its users' definitions carry it: without effect, as a new disk is formatted and another never. */
  readonly overwriteFs?: boolean;
  readonly mountOptions?: string;
  readonly mkfsOptions?: string;
  readonly subdirectory?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** Permission bits. */
  readonly mode?: number;
  readonly fencePolicy?: FencePolicy;
  readonly onRemove?: OnRemove;
  /** As "hourly:24,daily:7,weekly:4". */
  readonly snapshots?: string;
  /** How often its newest snapshot is verified by itself. */
  readonly verify?: VerifyEvery;
  readonly tags?: Readonly<Record<string, string>>;
  /** As "80%": how full it is when it grows by itself. */
  readonly autoGrow?: string;
  /** By how much, as "20%" of its size or GiB. */
  readonly autoGrowBy?: string;
  /** GiB. */
  readonly autoGrowMax?: number;
}

/** What a removal does to the EBS volume. */
export const removals = ['trash', 'delete', 'snapshot', 'retain'] as const;
export type OnRemove = (typeof removals)[number];

type OptionName = keyof CreateOptions;

/** Reads one value. @throws BadValue */
type Reader<T> = (text: string) => T;

const wholeNumber =
  (min: number, max: number): Reader<number> =>
  (text) =>
    /^\d+$/.test(text) && Number(text) >= min && Number(text) <= max
      ? Number(text)
      : bad(`takes a whole number from ${min} to ${max}`);

const gibibytes: Reader<number> = (text) => readGib(text) ?? bad(`takes ${gibTaken}`);

const truths = new Map([
  ...['true', '1', 'yes'].map((word) => [word, true] as const),
  ...['false', '0', 'no'].map((word) => [word, false] as const),
]);
const truth: Reader<boolean> = (text) => truths.get(text.toLowerCase()) ?? bad('takes true or false');

const among =
  <const T extends string>(values: readonly T[]): Reader<T> =>
  (text) =>
    values.find((value) => value === text.toLowerCase()) ?? bad(`takes one of ${values.join(', ')}`);

const matching =
  (pattern: RegExp, rule: string): Reader<string> =>
  (text) =>
    pattern.test(text) ? text : bad(rule);

const octalMode: Reader<number> = (text) =>
  /^0?[0-7]{3,4}$/.test(text) ? Number.parseInt(text, 8) : bad('takes octal permission bits, as 0750');

/** What a list may hold depends on the filesystem: see planVolume. */
const listOf =
  (separator: RegExp, joint: string): Reader<string> =>
  (text) =>
    text
      .split(separator)
      .map((part) => part.trim())
      .filter((part) => part !== '')
      .join(joint);

const relativeDirectory: Reader<string> = (text) => {
  const parts = text.split('/').filter((part) => part !== '');
  if (parts.some((part) => part === '.' || part === '..' || part.includes('\0'))) bad('cannot leave the volume');
  const path = parts.join('/');
  return path.length <= 200 ? path || '/' : bad('takes at most 200 characters');
};

const tagList: Reader<Record<string, string>> = (text) => {
  const pairs = text.split(',').map((pair) => {
    const equals = pair.indexOf('=');
    const key = pair.slice(0, equals).trim();
    return equals < 0 || key === ''
      ? bad('takes key=value,key=value')
      : ([key, pair.slice(equals + 1).trim()] as const);
  });
  if (pairs.length > 30) bad('takes at most 30 tags (EC2 has room for 50, and the driver needs some)');
  for (const [key, value] of pairs) {
    if (key.length > 127 || value.length > 256) bad('takes keys of at most 127 and values of at most 256 characters');
    if (/^aws:/i.test(key) || key.startsWith(tagPrefix) || key === 'Name')
      bad(`cannot set the reserved key ${JSON.stringify(key)}`);
  }
  const tags = Object.fromEntries(pairs);
  return Object.keys(tags).length === pairs.length ? tags : bad('takes each key once');
};

const percent =
  (min: number, max: number): Reader<string> =>
  (text) => {
    const [, digits] = /^(\d{1,3})\s*%$/.exec(text) ?? [];
    return digits !== undefined && Number(digits) >= min && Number(digits) <= max
      ? `${Number(digits)}%`
      : bad(`takes ${min}% to ${max}%`);
  };

const growthStep: Reader<string> = (text) =>
  text.endsWith('%') ? percent(1, 400)(text) : String(readGib(text) ?? bad('takes 1% to 400%, or GiB, as 50'));

const snapshot = matching(/^snap-[0-9a-f]{8,17}$/, 'takes a snapshot id, as snap-0123456789abcdef0');

/** Every option: its reader and the other names that REX-Ray and its users know it by. */
const table: {
  readonly [K in OptionName]-?: {
    readonly read: Reader<NonNullable<CreateOptions[K]>>;
    readonly aliases?: readonly string[];
  };
} = {
  size: { read: gibibytes },
  type: { read: among(volumeTypes), aliases: ['volumeType'] },
  iops: { read: wholeNumber(1, mostAsked) },
  throughput: { read: wholeNumber(1, mostAsked) },
  encrypted: { read: truth },
  kmsKeyId: { read: matching(/^[\w:/.+=@-]{1,2048}$/, 'takes a KMS key id, alias or ARN'), aliases: ['encryptionKey'] },
  snapshotId: { read: snapshot, aliases: ['snapshot'] },
  from: {
    read: matching(/^[^\s/][^/\0]{0,239}$/, 'takes the name of a volume'),
    aliases: ['clone-from', 'volumeName'],
  },
  fromSnapshot: {
    read: matching(/^\S{1,128}$/, 'takes a name, a snapshot id, latest, or a time as 2026-11-30T12:00'),
    aliases: ['snapshotName'],
  },
  initializationRate: { read: wholeNumber(100, 300), aliases: ['volumeInitializationRate'] },
  ttl: { read: (text) => readDuration(text) ?? bad('takes a time as 90m, 24h or 7d') },
  availabilityZone: { read: matching(/^[a-z0-9-]{1,64}$/, 'takes a zone name, as eu-west-1a') },
  fsType: { read: among(filesystemTypes), aliases: ['newFsType'] },
  overwriteFs: { read: truth },
  mountOptions: { read: listOf(/,/, ',') },
  mkfsOptions: { read: listOf(/\s+/, ' ') },
  subdirectory: { read: relativeDirectory },
  uid: { read: wholeNumber(0, 4294967294) },
  gid: { read: wholeNumber(0, 4294967294) },
  mode: { read: octalMode },
  fencePolicy: { read: among(fencePolicies) },
  onRemove: { read: among(removals) },
  snapshots: { read: (text) => scheduleText(readSchedule(text)) },
  verify: { read: among(verifyIntervals) },
  tags: { read: tagList },
  autoGrow: { read: percent(10, 95) },
  autoGrowBy: { read: growthStep },
  autoGrowMax: { read: gibibytes },
};

const optionNames = Object.keys(table) as OptionName[];
const byLowerCase = new Map<string, OptionName>(
  optionNames.flatMap((name) =>
    [name, ...(table[name].aliases ?? [])].map((alias) => [alias.toLowerCase(), name] as const),
  ),
);
/** Every spelling that is taken, for messages. */
export const knownOptions: readonly string[] = optionNames.flatMap((name) => [name, ...(table[name].aliases ?? [])]);

/**
 * Reads the options of a create. Names are case-insensitive, values are trimmed.
 * @throws DriverError INVALID_OPTION for an unknown name (with the known ones and the nearest), a bad value, or one
 * option given twice with different values.
 */
export function parseOptions(volume: string, raw: Readonly<Record<string, string>>): CreateOptions {
  const options: Partial<Record<OptionName, unknown>> = {};
  const given = new Map<OptionName, { spelled: string; text: string }>();
  for (const [spelled, untrimmed] of Object.entries(raw)) {
    const text = untrimmed.trim();
    const name = byLowerCase.get(spelled.toLowerCase()) ?? unknownOption(volume, spelled);
    const value = readValue(volume, name, spelled, text);
    const earlier = given.get(name);
    if (earlier !== undefined && !isDeepStrictEqual(options[name], value)) {
      refuseOptions(
        volume,
        `${earlier.spelled}=${earlier.text} and ${spelled}=${text} contradict each other`,
        'Give one of them',
      );
    }
    given.set(name, { spelled, text });
    options[name] = value;
  }
  return options as CreateOptions;
}

/** Reads the text of one option, also one that a tag holds. @throws BadValue */
export function readOption<K extends OptionName>(name: K, text: string): NonNullable<CreateOptions[K]> {
  return table[name].read(text) as NonNullable<CreateOptions[K]>;
}

function readValue(volume: string, name: OptionName, spelled: string, text: string): unknown {
  try {
    return readOption(name, text);
  } catch (error) {
    return refuseOptions(volume, ...whyBad(spelled, text, error));
  }
}

/** Why the value of an option or setting is refused, as a clause, and what to do. @throws what is no BadValue. */
export function whyBad(spelled: string, text: string, error: unknown): [why: string, todo: string] {
  if (!(error instanceof BadValue)) throw error;
  const takes = error.message.startsWith('takes');
  const got = takes ? `, not ${JSON.stringify(text)}` : ` (it is ${JSON.stringify(text)})`;
  return [`${spelled} ${error.message}${got}`, error.todo ?? (takes ? 'Correct it' : 'Leave that out')];
}

const readOnly =
  'whether it is read only is said for each container: docker run -v NAME:/data:ro, or read_only in Compose';
/** Options that people try and that have no meaning here, by lower case: what they must know instead. */
const foreign = new Map([
  ['ro', readOnly],
  ['readonly', readOnly],
  ['read_only', readOnly],
  ['volumeid', 'to copy a volume, name it: from'],
]);

function unknownOption(volume: string, spelled: string): never {
  const instead = foreign.get(spelled.toLowerCase());
  if (instead !== undefined) refuseOptions(volume, `the option ${spelled} is not taken: ${instead}`, 'Leave it out');
  const meant = nearest(spelled, knownOptions);
  const guess = meant === undefined ? '' : `Did you mean ${meant}? `;
  return refuseOptions(
    volume,
    `there is no option ${JSON.stringify(spelled)}`,
    `${guess}Known options: ${knownOptions.join(', ')}`,
  );
}

/** Refuses the options of a create: `why` as a clause, `todo` as a sentence without its full stop. */
export function refuseOptions(volume: string, why: string, todo: string): never {
  throw new DriverError('INVALID_OPTION', { volume, tried: 'create it with these options', why, todo });
}
