import { DriverError } from './errors.ts';
import { type Flag, readFlags } from './flags.ts';
import {
  absolutePath,
  duration,
  flag,
  gibibytes,
  type Kind,
  listenAddress,
  oneOf,
  seconds,
  someOf,
  text,
  whole,
} from './kinds.ts';
import { nearest } from './spelling.ts';

interface Setting<T> {
  readonly env: string;
  readonly kind: Kind<T>;
  readonly fallback: string;
  readonly help: string;
}
const setting = <T>(env: string, kind: Kind<T>, fallback: string, help: string): Setting<T> => ({
  env,
  kind,
  fallback,
  help,
});

/**
 * The one table of settings. The flag is the key in kebab case; docs/settings.md and --help are made from here.
 * Region, credentials and endpoints are not here: they come from the AWS SDK's standard chain.
 */
export const settingsTable = {
  socket: setting('DVE_SOCKET', absolutePath, '/run/docker/plugins/ebs.sock', 'Unix socket to listen on.'),
  root: setting(
    'DVE_ROOT',
    absolutePath,
    '/var/lib/docker-volume-ebs',
    'Directory for mountpoints (volumes/) and the journal (state/).',
  ),
  cluster: setting(
    'DVE_CLUSTER',
    text,
    'default',
    'Names are unique within a cluster, and only volumes tagged with it are ever touched.',
  ),
  instanceId: setting('DVE_INSTANCE_ID', text, '', 'This EC2 instance; empty asks IMDSv2.'),
  availabilityZone: setting('DVE_AVAILABILITY_ZONE', text, '', 'Its availability zone; empty asks IMDSv2.'),
  size: setting('DVE_SIZE', gibibytes, '16', 'Size of a new volume when its options give none.'),
  type: setting(
    'DVE_TYPE',
    oneOf('gp3', 'gp2', 'io1', 'io2', 'st1', 'sc1', 'standard'),
    'gp3',
    'EBS volume type of a new volume when its options give none.',
  ),
  encrypted: setting('DVE_ENCRYPTED', flag, 'false', 'Encrypt new volumes whose options do not say.'),
  kmsKeyId: setting('DVE_KMS_KEY_ID', text, '', 'KMS key for encrypted new volumes; empty is the account default.'),
  fsType: setting(
    'DVE_FS_TYPE',
    oneOf('ext4', 'xfs', 'btrfs'),
    'ext4',
    'Filesystem of a new volume when its options give none.',
  ),
  mountOptions: setting(
    'DVE_MOUNT_OPTIONS',
    text,
    '',
    "Mount options, comma-separated, of every volume whose filesystem knows them; a volume's own come after them.",
  ),
  mountAllow: setting(
    'DVE_MOUNT_ALLOW',
    someOf('suid', 'dev'),
    '',
    'What volumes are mounted with here although a mount is nosuid,nodev otherwise: set-user-ID programs, device nodes.',
  ),
  subdirectory: setting(
    'DVE_SUBDIRECTORY',
    text,
    'data',
    'Directory inside the volume that containers get; / is the filesystem root with its lost+found.',
  ),
  uid: setting(
    'DVE_UID',
    text,
    '',
    "Owner of a new volume's directory when its options give none, as a number; empty is root. With user namespaces it is the id on the host.",
  ),
  gid: setting('DVE_GID', text, '', 'Its group, as a number; empty is that of root.'),
  mode: setting('DVE_MODE', text, '', 'Its mode, in octal; empty is 0755.'),
  tags: setting('DVE_TAGS', text, '', 'Tags for new volumes besides our own: key=value,key=value.'),
  growPerDay: setting(
    'DVE_GROW_PER_DAY',
    whole(0, 2 ** 31 - 1, 'GiB'),
    '1000',
    'How many GiB volumes on this node may grow by themselves in 24 hours, all together.',
  ),
  linger: setting(
    'DVE_LINGER',
    seconds(0, 3600),
    '2',
    'How long an unmounted volume stays attached, so that the next mount is immediate.',
  ),
  onRemove: setting(
    'DVE_ON_REMOVE',
    oneOf('trash', 'delete', 'snapshot', 'retain'),
    'trash',
    'What removing a volume does to the EBS volume, unless its option onRemove says otherwise: keep it in the trash for a while, delete it, delete it once a snapshot of it is complete, or keep it for good under another tag.',
  ),
  trash: setting(
    'DVE_TRASH',
    duration('90d'),
    '24h',
    'How long a removed volume stays in the trash before it is deleted.',
  ),
  snapshotRequests: setting(
    'DVE_SNAPSHOT_REQUESTS',
    whole(0, 3600, 'seconds'),
    '0',
    'How often this node looks whether another asks for a snapshot of a volume in use here, by one call to EC2; 0 never does.',
  ),
  restoreTags: setting(
    'DVE_RESTORE_TAGS',
    oneOf('on', 'off'),
    'on',
    'Put tags of ours back that somebody has taken off a volume in use here: without them no node finds it again.',
  ),
  mountTimeout: setting(
    'DVE_MOUNT_TIMEOUT',
    seconds(1, 3600),
    '110',
    'After this a create or mount answers with what it waits for, and the work goes on (Docker gives up after 120 s).',
  ),
  attachTimeout: setting(
    'DVE_ATTACH_TIMEOUT',
    seconds(1, 3600),
    '90',
    'An attachment still not usable after this is undone and tried under another device name.',
  ),
  fencePolicy: setting(
    'DVE_FENCE_POLICY',
    oneOf('instance-not-running', 'never', 'stonith', 'preempt'),
    'instance-not-running',
    'When a volume may be taken from another instance: never; once EC2 proves that it does not run; after stopping one that is suspect (stonith); or on demand, at the risk of its data (preempt).',
  ),
  fenceSuspicions: setting(
    'DVE_FENCE_SUSPICIONS',
    whole(1, 3, 'sources'),
    '2',
    "How many independent sources (EC2's system check, its instance check, the scheduler) must suspect an instance before stonith stops it.",
  ),
  fenceSettle: setting(
    'DVE_FENCE_SETTLE',
    whole(0, 600, 'seconds'),
    '60',
    'How long after the end of an instance its volumes are left alone, for writes that may arrive late; nothing is waited for after its own shutdown, or a clean tag.',
  ),
  mesosMasters: setting(
    'DVE_MESOS_MASTERS',
    text,
    '',
    'Mesos masters as URLs, comma-separated; their registry of agents is evidence. Empty: no Mesos.',
  ),
  mesosAgent: setting(
    'DVE_MESOS_AGENT',
    text,
    'http://127.0.0.1:5051',
    "This node's Mesos agent as a URL, asked for its id when DVE_MESOS_MASTERS is set.",
  ),
  swarmSocket: setting(
    'DVE_SWARM_SOCKET',
    text,
    '',
    'Socket of the local Docker engine, whose Swarm node list is evidence where it is a manager. Empty: no Swarm.',
  ),
  notices: setting(
    'DVE_NOTICES',
    oneOf('on', 'off'),
    'on',
    'Watch IMDS for a spot interruption or a scheduled stop, and drain this node then.',
  ),
  metrics: setting(
    'DVE_METRICS',
    listenAddress,
    '',
    'Where to serve Prometheus metrics over HTTP, on 127.0.0.1 unless a host is given; empty serves none. They name volumes and instances to whoever can reach them.',
  ),
  logLevel: setting(
    'DVE_LOG_LEVEL',
    oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    'info',
    'Least severe log lines to write (JSON on standard output).',
  ),
  deviceRoot: setting('DVE_DEVICE_ROOT', absolutePath, '/dev', 'Where device nodes appear.'),
  sysfsRoot: setting('DVE_SYSFS_ROOT', absolutePath, '/sys', 'Where the kernel describes block devices.'),
  bootIdFile: setting(
    'DVE_BOOT_ID_FILE',
    absolutePath,
    '/proc/sys/kernel/random/boot_id',
    'File whose content changes with every boot.',
  ),
} as const;

type Table = typeof settingsTable;
export type SettingName = keyof Table;
/** The settings, read and checked. Times are in seconds, as they are written. */
export type Settings = { readonly [K in SettingName]: Table[K] extends Setting<infer T> ? T : never };

const names = Object.keys(settingsTable) as SettingName[];

/** The command-line flag of a setting, without its dashes: "mountTimeout" is "mount-timeout". */
export const flagOf = (name: SettingName): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/**
 * Reads all settings: flag over environment over default. An empty environment variable counts as unset.
 * @param command whose command line it is. @throws UsageError for a flag that there is not; DriverError INVALID_OPTION for such a
 * variable, and naming the flag or variable, its value and what it takes.
 */
export function loadSettings(argv: readonly string[], env: NodeJS.ProcessEnv, command = 'serve'): Settings {
  return readSettings(readFlags(argv, { command, flags: settingFlags }).values, env);
}

/** The flags of all settings, by their names. */
export const settingFlags: Readonly<Record<string, Flag>> = Object.fromEntries(
  names.map((name) => {
    const { kind }: { readonly kind: Kind<unknown> } = settingsTable[name];
    const offers = kind === absolutePath ? 'path' : kind.choices;
    return [flagOf(name), { type: 'string', ...(offers && { offers }) }];
  }),
);

/** As {@link loadSettings}, of flags that were read with {@link settingFlags}. @throws DriverError INVALID_OPTION */
export function readSettings(flags: Readonly<Record<string, unknown>>, env: NodeJS.ProcessEnv): Settings {
  refuseUnknown(env);
  const settings: Partial<Record<SettingName, unknown>> = {};
  for (const name of names) settings[name] = readSetting(name, flags[flagOf(name)], env);
  return settings as Settings;
}

const variables = new Set<string>(Object.values(settingsTable).map(({ env }) => env));

/**
 * Whether every DVE_ variable is a setting: one that is not would be ignored, and the setting that was meant stay another.
 * @param where they stand, as "the environment". @throws DriverError INVALID_OPTION naming the first, and the nearest setting.
 */
export function refuseUnknown(env: NodeJS.ProcessEnv, where = 'the environment'): void {
  const unknown = Object.keys(env).find((name) => name.startsWith('DVE_') && !variables.has(name));
  if (unknown === undefined) return;
  const near = nearest(unknown, [...variables]);
  throw new DriverError('INVALID_OPTION', {
    tried: `use ${unknown} of ${where}`,
    why: `there is no such setting${near === undefined ? '' : `, but ${near}`}`,
    todo: 'Correct its name; docker-volume-ebs serve --help has all of them',
  });
}

function readSetting(name: SettingName, flagValue: unknown, env: NodeJS.ProcessEnv): unknown {
  const { env: variable, kind, fallback } = settingsTable[name];
  const fromFlag = typeof flagValue === 'string';
  const given = fromFlag ? flagValue : env[variable] || fallback;
  const value = kind.read(given);
  if (value !== undefined) return value;
  throw new DriverError('INVALID_OPTION', {
    tried: `use ${fromFlag ? `--${flagOf(name)}` : variable}=${JSON.stringify(given)}`,
    why: `it takes ${kind.takes}`,
    todo: 'Correct it and start again',
  });
}

/** The settings as lines for --help. */
export function settingsHelp(): string {
  return names
    .map((name) => {
      const { env, kind, fallback, help } = settingsTable[name];
      const preset = fallback === '' ? '' : ` [${fallback}]`;
      return `  --${flagOf(name)} (${env})${preset}\n      ${help} Takes ${kind.takes}.`;
    })
    .join('\n');
}

/** The settings as the table of docs/settings.md. */
export function settingsMarkdown(): string {
  const rows = names.map((name) => {
    const { env, kind, fallback, help } = settingsTable[name];
    const preset = fallback === '' ? '' : `\`${fallback}\``;
    return `| \`${env}\` | \`--${flagOf(name)}\` | ${preset} | ${help} Takes ${kind.takes}. |`;
  });
  return ['| variable | flag | default | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
