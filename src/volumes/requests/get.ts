import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume } from '../../ebs/types.ts';
import { attachmentOf } from '../../ebs/volume-record.ts';
import { lastTaken, scheduleStatus } from '../copies/dues.ts';
import { growthTold } from '../options/growth-options.ts';
import { type Held, heldAs } from '../state/held.ts';
import type { DiskSize, GrowthNote, LocalState, ScheduleFault } from '../state/local.ts';
import { nameOf, noSuchVolume } from '../state/lookup.ts';
import type { Node } from '../state/node.ts';
import type { Seen } from '../state/view.ts';
import { waitOf } from '../state/waits.ts';

/** A volume as `get` shows it. */
export interface VolumeInfo {
  readonly name: string;
  /** The directory callers use; undefined while the volume is not mounted on this node. */
  readonly mountpoint: string | undefined;
  /** RFC 3339. */
  readonly createdAt: string | undefined;
  /** For an operator's eyes: plain JSON, keys in camel case. */
  readonly status: Readonly<Record<string, unknown>>;
}

/** A volume as `list` shows it. */
export type ListedVolume = Pick<VolumeInfo, 'name' | 'mountpoint'>;

/** A volume held here, from memory alone. `size`: its disk's, while it is mounted. */
export function heldInfo(
  held: Held,
  instanceId: string,
  waitingFor: string | undefined,
  size?: DiskSize | undefined,
  growth?: GrowthNote | undefined,
  scheduleFault?: ScheduleFault | undefined,
): VolumeInfo {
  const inUse = held.phase === 'mounted' ? held : undefined;
  const schedule = scheduleStatus(held.volume.tags, inUse, scheduleFault, Date.now());
  return {
    name: held.name,
    mountpoint: held.directory,
    createdAt: held.volume.createdAt,
    status: compact({
      ...facts(held.volume),
      state: held.phase,
      // What is only to be detached may have another owner by now.
      owner: held.phase === 'detaching' ? undefined : instanceId,
      device: held.device,
      attachTime: held.attachTime,
      filesystem: held.filesystem ?? held.volume.tags[tagKeys.formatted],
      ...smallerFilesystem(held, size),
      growWarning: growth?.warning,
      nextSnapshot: schedule?.nextAt,
      snapshotDueSince: schedule?.dueSince,
      snapshotWarning: schedule?.warning,
      holders: held.holders.map(({ id, since }) => ({ id: id ?? 'anonymous', since })),
      waitingFor,
    }),
  };
}

/** Its filesystem's size where that is less than its disk's, and why. */
function smallerFilesystem({ phase, filesystemBytes }: Held, size: DiskSize | undefined) {
  if (phase !== 'mounted' || size?.refused === undefined) return {};
  const filesystemGiB = filesystemBytes === undefined ? undefined : Number((filesystemBytes / 2 ** 30).toFixed(2));
  return { filesystemGiB, growRefused: size.refused };
}

/** A volume that is not held here, as EC2 described it. `stale` says why the answer may be an old one, and its age. */
export function remoteInfo(
  name: string,
  volume: EbsVolume,
  waitingFor: string | undefined,
  stale?: string,
): VolumeInfo {
  const attachment = attachmentOf(volume);
  return {
    name,
    mountpoint: undefined,
    createdAt: volume.createdAt,
    status: compact({
      ...facts(volume),
      state: attachment === undefined ? volume.state : attachment.state,
      owner: attachment?.instanceId,
      device: attachment?.device,
      attachTime: attachment?.attachTime,
      filesystem: volume.tags[tagKeys.formatted],
      holders: [],
      waitingFor,
      stale,
    }),
  };
}

function facts(volume: EbsVolume) {
  return {
    volumeId: volume.id,
    availabilityZone: volume.zone,
    type: volume.type,
    sizeGiB: volume.sizeGib,
    iops: volume.iops,
    throughput: volume.throughput,
    encrypted: volume.encrypted,
    snapshotId: volume.snapshotId,
    rollback: volume.tags[tagKeys.replacing],
    ...growthTold(volume.tags),
    onRemove: volume.tags[tagKeys.onRemove],
    ttl: volume.tags[tagKeys.ttl],
    snapshots: volume.tags[tagKeys.snapshots],
    lastSnapshot: volume.tags[tagKeys.snapshots] && lastTaken(volume.tags),
  };
}

function compact(status: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(status).filter(([, value]) => value !== undefined));
}

/** What the verbs that only show volumes ask of. */
export interface Showing {
  readonly local: Pick<
    LocalState,
    | 'held'
    | 'host'
    | 'settings'
    | 'waits'
    | 'tagLooks'
    | 'ec2Says'
    | 'names'
    | 'log'
    | 'sizes'
    | 'growths'
    | 'scheduleFaults'
  >;
  /** Why EC2's side of the driver has not been met, as a clause; undefined once it has. Answers soon. */
  unmet(): Promise<string | undefined>;
  /** Does something on EC2's side of the driver, once that is met. */
  connected<T>(work: (node: Node) => Promise<T>): Promise<T>;
}

/**
 * One volume: held here from memory, others as EC2 has them. dockerd forgets a volume, options and all, when this fails
 * (moby daemon/volume/service/store.go), so one that callers of this node know is told of before EC2 is met, too.
 * @throws DriverError NO_SUCH_VOLUME if EC2 says there is none.
 */
export async function get({ local, unmet, connected }: Showing, name: string): Promise<VolumeInfo> {
  const here = heldAs(local.held, name);
  if (here !== undefined)
    return heldInfo(
      here,
      here.instanceId,
      waitOf(local, name),
      local.sizes.get(name),
      local.growths.get(name),
      local.scheduleFaults.get(name),
    );
  const { value, stale } = (await fromMemory(local, unmet, name)) ?? (await connected((node) => seen(node, name)));
  return remoteInfo(name, value, local.waits.get(name), stale);
}

/** The directory of a volume mounted here, or "" when it is not mounted. @throws DriverError NO_SUCH_VOLUME */
export async function path({ local, unmet, connected }: Showing, name: string): Promise<string> {
  const here = heldAs(local.held, name);
  if (here !== undefined) return here.directory ?? '';
  if ((await fromMemory(local, unmet, name)) === undefined) await connected((node) => seen(node, name));
  return '';
}

async function fromMemory(
  { names }: Showing['local'],
  unmet: Showing['unmet'],
  name: string,
): Promise<Seen<EbsVolume> | undefined> {
  const known = names.known(name);
  const why = known === undefined ? undefined : await unmet();
  if (known === undefined || why === undefined) return undefined;
  return { value: known.value, stale: `${why}; this was seen before the daemon started` };
}

async function seen(node: Node, name: string): Promise<Seen<EbsVolume>> {
  const volume = await node.lookup.look(name);
  if (volume === undefined) throw noSuchVolume(name, 'find it');
  return volume;
}

/** All volumes of the cluster, and those held here; before EC2 is met those that callers of this node know. */
export async function list({ local, unmet, connected }: Showing): Promise<ListedVolume[]> {
  const { held, names, log } = local;
  const known = names.all();
  const why = known.length === 0 ? undefined : await unmet();
  const { value: volumes, stale } =
    why === undefined ? await connected(({ lookup }) => lookup.list()) : { value: known, stale: why };
  // dockerd takes nothing but names and mountpoints from a list (moby daemon/volume/drivers/adapter.go).
  if (stale !== undefined)
    log.warn({ op: 'list', stale }, 'the list of volumes may be out of date: EC2 cannot be asked');
  const here = [...held.keys()].filter((name) => heldAs(held, name) !== undefined);
  const all = new Set([...here, ...volumes.flatMap((volume) => nameOf(volume) ?? [])]);
  return [...all].sort().map((name) => ({ name, mountpoint: heldAs(held, name)?.directory }));
}
