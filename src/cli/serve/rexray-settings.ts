import { settingsTable } from '../../config.ts';
import { DriverError } from '../../errors.ts';

/** A setting of REX-Ray 0.11, by the variable that its managed plugin and its service take. */
interface RexRaySetting {
  /** The variable, and the other names that its driver takes it by. */
  readonly names: readonly [string, ...string[]];
  /** The variable that has its meaning here; undefined where it has none. */
  readonly ours?: string | undefined;
  /** REX-Ray's way to write the value, in ours; undefined for a value that it does not take. As it is unless told. */
  readonly read?: (value: string) => string | undefined;
  /** What `read` takes; unless told, what ours does. */
  readonly takes?: string;
  /** True where the value may hold a password: it is not said. */
  readonly secret?: true;
  /** Any of these set wins over it; unless told, `ours`. */
  readonly unless?: readonly string[];
  /** What is different here, or what to do instead: a sentence. */
  readonly note?: string;
  /** The values whose user must be told; unless told, all of a setting without a meaning, and none of another. */
  readonly warns?: (value: string) => boolean;
  /** True for those of REX-Ray's managed plugin. */
  readonly plugin?: boolean;
}

const isTrue = (value: string): boolean => value.toLowerCase() === 'true';
const isNot =
  (usual: string) =>
  (value: string): boolean =>
    value.toLowerCase() !== usual;
const never = (): boolean => false;
const lower = (value: string): string => value.toLowerCase();

/** The storage driver's settings go by three prefixes. */
const ebs = (key: string): readonly [string, ...string[]] => [`EBS_${key}`, `EC2_${key}`, `AWS_${key}`];
const operations = (key: string): readonly [string] => [`LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_${key}`];

const logLevels = new Map([
  ['warning', 'warn'],
  ['panic', 'fatal'],
]);
const logLevel = (value: string): string => logLevels.get(lower(value)) ?? lower(value);

/** REX-Ray takes a host name, too. */
const url =
  (scheme: 'http' | 'https') =>
  (value: string): string | undefined => {
    const whole = value.includes('://') ? value : `${scheme}://${value}`;
    return URL.canParse(whole) && /^https?:$/.test(new URL(whole).protocol) ? whole : undefined;
  };

/** "/data" is the directory "data" of the volume, "/" its root; undefined for one outside of it. */
export function directoryInside(value: string): string | undefined {
  const parts = value.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) return undefined;
  return parts.join('/') || '/';
}

const takeover =
  'Volumes of an instance that EC2 proves gone are taken over anyway. To pull them from under instances that may be alive, ' +
  'at the risk of their data, set DVE_FENCE_POLICY=preempt.';
const waits = 'Waits have one limit: DVE_MOUNT_TIMEOUT, and DVE_ATTACH_TIMEOUT for an attachment.';
const noCsi = "There is no CSI here: the driver speaks Docker's volume plugin protocol.";
const noUseCounts = 'Who uses a volume is written down and asked of the kernel, not counted.';
const keys = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'] as const;
const keyNote = 'Both keys are taken, or none. An instance role needs none.';

/** Every setting of REX-Ray's EBS plugin and service (its .docker/plugins/ebs/config.json, ebs.go, types_config_integration.go). */
const table: readonly RexRaySetting[] = [
  { names: ['REXRAY_FSTYPE'], ours: 'DVE_FS_TYPE', read: lower, plugin: true },
  { names: ['REXRAY_LOGLEVEL'], ours: 'DVE_LOG_LEVEL', read: logLevel, plugin: true },
  { names: ['REXRAY_PREEMPT'], note: takeover, warns: isTrue, plugin: true },
  { names: ebs('ACCESSKEY'), ours: keys[0], unless: keys, note: keyNote, plugin: true },
  { names: ebs('SECRETKEY'), ours: keys[1], unless: keys, note: keyNote, plugin: true },
  {
    names: ['EBS_REGION', 'EC2_REGION'],
    note: "The instance's own region is used, as REX-Ray did. For another, set AWS_REGION.",
    plugin: true,
  },
  {
    names: ebs('ENDPOINT'),
    ours: 'AWS_ENDPOINT_URL_EC2',
    unless: ['AWS_ENDPOINT_URL_EC2', 'AWS_ENDPOINT_URL'],
    read: url('https'),
    takes: 'a host name or a URL',
    secret: true,
    plugin: true,
  },
  { names: ebs('KMSKEYID'), ours: 'DVE_KMS_KEY_ID', note: 'Used for encrypted volumes only, as there.', plugin: true },
  {
    names: ['LINUX_VOLUME_ROOTPATH'],
    ours: 'DVE_SUBDIRECTORY',
    read: directoryInside,
    takes: 'a path inside the volume',
    plugin: true,
  },
  {
    names: operations('MOUNT_ROOTPATH'),
    ours: 'DVE_SUBDIRECTORY',
    read: directoryInside,
    takes: 'a path inside the volume',
    plugin: true,
  },
  {
    names: ['LINUX_VOLUME_FILEMODE'],
    note:
      'A directory that is there keeps its mode, and a new one gets 0755. For another, set DVE_MODE, DVE_UID and DVE_GID, ' +
      'or give a new volume the options mode, uid and gid.',
    plugin: true,
  },
  { names: ebs('MAXRETRIES'), note: 'Calls are repeated as long as somebody waits for them.', plugin: true },
  { names: ebs('STATUSMAXATTEMPTS'), note: waits, plugin: true },
  { names: ebs('STATUSINITIALDELAY'), note: waits, plugin: true },
  { names: ebs('STATUSTIMEOUT'), note: waits, plugin: true },
  {
    names: ebs('USELARGEDEVICERANGE'),
    note: 'All device names that EC2 allows are used.',
    warns: never,
    plugin: true,
  },
  {
    names: ['HTTP_PROXY'],
    ours: 'HTTPS_PROXY',
    unless: ['HTTPS_PROXY', 'https_proxy'],
    read: url('http'),
    takes: 'a host name or a URL',
    secret: true,
    note: 'EC2 is asked through it, as there, but for the hosts of NO_PROXY. The metadata service never is.',
    plugin: true,
  },
  { names: ['DOCKER_LEGACY'], note: noCsi, warns: isNot('true'), plugin: true },
  { names: ['CSI_ENDPOINT'], note: noCsi, plugin: true },
  { names: ['X_CSI_DRIVER'], note: noCsi, plugin: true },
  { names: ['X_CSI_NATIVE'], note: noCsi, plugin: true },
  {
    names: ebs('TAG'),
    note: 'There is no prefix. A volume whose Name tag has one is adopted under another name by `docker-volume-ebs adopt --as`.',
  },
  { names: ebs('NVMEBINPATH'), note: 'Disks are found by their serial number, without a program.', warns: never },
  { names: operations('MOUNT_PREEMPT'), note: takeover, warns: isTrue },
  { names: operations('MOUNT_PATH'), note: 'Volumes are mounted below DVE_ROOT.' },
  { names: operations('MOUNT_RETRYCOUNT'), note: waits },
  { names: operations('MOUNT_RETRYWAIT'), note: waits },
  { names: operations('UNMOUNT_IGNOREUSEDCOUNT'), note: noUseCounts, warns: never },
  { names: operations('CREATE_DISABLE'), note: 'Creating volumes cannot be switched off.', warns: isTrue },
  { names: operations('CREATE_IMPLICIT'), note: 'Docker and dvdcli create what is missing.', warns: never },
  { names: operations('CREATE_DEFAULT_SIZE'), ours: 'DVE_SIZE' },
  { names: operations('CREATE_DEFAULT_TYPE'), ours: 'DVE_TYPE', read: lower },
  { names: operations('CREATE_DEFAULT_IOPS'), note: 'Give each new volume the option iops.' },
  { names: operations('CREATE_DEFAULT_FSTYPE'), ours: 'DVE_FS_TYPE', read: lower },
  {
    names: operations('CREATE_DEFAULT_AVAILABILITYZONE'),
    note: 'A volume is made in the zone of the node that is asked.',
  },
  {
    names: operations('REMOVE_DISABLE'),
    ours: 'DVE_ON_REMOVE',
    read: (value) =>
      new Map([
        ['true', 'retain'],
        ['false', 'delete'],
      ]).get(lower(value)),
    takes: 'true or false',
    warns: isTrue,
    note:
      'A removed volume is kept, but its name is free then: the next create of it makes a new, empty volume. ' +
      '`docker-volume-ebs undelete` brings the old one back, under another name.',
  },
  { names: operations('REMOVE_FORCE'), note: 'A volume in use is never removed.', warns: isTrue },
  { names: operations('PATH_CACHE_ENABLED'), note: noUseCounts, warns: never },
  { names: operations('PATH_CACHE_ASYNC'), note: noUseCounts, warns: never },
  { names: ['LIBSTORAGE_DEVICE_ATTACHTIMEOUT'], note: waits },
  { names: ['LIBSTORAGE_DEVICE_SCANTYPE'], note: 'The kernel tells when a disk is there.', warns: never },
  { names: ['LIBSTORAGE_SERVER_TASKS_EXETIMEOUT'], note: waits },
  { names: ['LIBSTORAGE_HTTP_READTIMEOUT'], note: waits },
  { names: ['LIBSTORAGE_HTTP_WRITETIMEOUT'], note: waits },
];

/** What an environment written for REX-Ray comes to here. */
interface Understood {
  /** Variables of ours and of AWS that it sets; never one that is set already. */
  readonly env: Readonly<Record<string, string>>;
  /** What its user must know, a line each. Never holds a value: some are secret. */
  readonly warnings: readonly string[];
}

/**
 * Reads REX-Ray's settings in an environment. Ours win over them, and an empty one counts as unset.
 * @throws DriverError INVALID_OPTION naming REX-Ray's variable, for a value that it or ours does not take, and for two
 * that contradict each other.
 */
export function understandRexRay(env: NodeJS.ProcessEnv): Understood {
  const set: Record<string, string> = {};
  const from = new Map<string, string>();
  const warnings: string[] = [];
  for (const { name, value, setting } of given(env)) {
    if (warnsAt(setting, value)) warnings.push(warning(name, setting));
    if (setting.ours === undefined) continue;
    const read = readValue(setting, setting.ours, name, value);
    const earlier = from.get(setting.ours);
    if (earlier !== undefined && set[setting.ours] !== read) throw contradiction(earlier, name);
    set[setting.ours] = read;
    from.set(setting.ours, name);
  }
  return { env: set, warnings: [...warnings, ...dropHalfKey(set, from), ...unknown(env)] };
}

/** Those of REX-Ray that are set, and ours are not. */
function given(env: NodeJS.ProcessEnv) {
  return table
    .filter((setting) => !winners(setting).some((winner) => env[winner]))
    .flatMap((setting) => setting.names.map((name) => ({ setting, name, value: env[name] ?? '' })))
    .filter(({ value }) => value !== '');
}

const winners = ({ ours, unless }: RexRaySetting): readonly string[] => unless ?? (ours === undefined ? [] : [ours]);

const warnsAt = ({ ours, warns }: RexRaySetting, value: string): boolean => warns?.(value) ?? ours === undefined;

function warning(name: string, { ours, note = '' }: RexRaySetting): string {
  const heard = ours === undefined ? 'has no meaning here' : `is taken as ${ours}`;
  return `${name} of REX-Ray ${heard}. ${note.replaceAll('`', '')}`;
}

function readValue(
  { read = (text) => text, takes, secret }: RexRaySetting,
  ours: string,
  name: string,
  value: string,
): string {
  const kind = Object.values(settingsTable).find((setting) => setting.env === ours)?.kind;
  const text = read(value);
  if (text !== undefined && (kind === undefined || kind.read(text) !== undefined)) return text;
  throw new DriverError('INVALID_OPTION', {
    tried: `use REX-Ray's ${name}${secret ? '' : `=${JSON.stringify(value)}`} as ${ours}`,
    why: `it takes ${takes ?? kind?.takes}`,
    todo: `Correct it, or set ${ours} instead`,
  });
}

function contradiction(one: string, other: string): DriverError {
  return new DriverError('INVALID_OPTION', {
    tried: `use REX-Ray's ${one} and ${other}`,
    why: 'they say different things about the same',
    todo: 'Leave one of them out',
  });
}

/** Half a pair of keys would be taken for a whole one with what comes from elsewhere. */
function dropHalfKey(set: Record<string, string>, from: ReadonlyMap<string, string>): string[] {
  const [key, secret] = keys.map((name) => from.get(name));
  if ((key === undefined) === (secret === undefined)) return [];
  for (const name of keys) delete set[name];
  return [`${key ?? secret} of REX-Ray is not used: its ${key === undefined ? 'access' : 'secret'} key is missing.`];
}

const known = new Set(table.flatMap(({ names }) => names));

/** True for a variable of REX-Ray's, whether it has a meaning here or not. */
export const isRexRays = (name: string): boolean => known.has(name);

/** Variables by which only REX-Ray can be meant. */
function unknown(env: NodeJS.ProcessEnv): string[] {
  return Object.keys(env)
    .filter((name) => /^(REXRAY|LIBSTORAGE|LINUX_VOLUME)_/.test(name) && env[name] && !known.has(name))
    .map((name) => `${name} looks like a setting of REX-Ray and has no meaning here.`);
}

/** The settings of REX-Ray's managed plugin: an install line of its own names them, and Docker refuses those it does not know. */
export function rexrayPluginSettings(): { readonly name: string; readonly description: string }[] {
  return table
    .filter(({ plugin }) => plugin)
    .map(({ names: [name], ours, note = '' }) => {
      const meaning = ours === undefined ? 'no meaning here.' : `taken as ${ours}.`;
      return { name, description: `REX-Ray's: ${meaning} ${note}`.trim() };
    });
}

/** The table of docs/migrating-from-rexray.md. */
export function rexrayMarkdown(): string {
  const rows = table.map(({ names, ours, note = '' }) => {
    const spelled = names.map((name) => `\`${name}\``).join(', ');
    return `| ${spelled} | ${ours === undefined ? '' : `\`${ours}\``} | ${note} |`;
  });
  return ['| of REX-Ray | taken as | differences |', '| --- | --- | --- |', ...rows].join('\n');
}
