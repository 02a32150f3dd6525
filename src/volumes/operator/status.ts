import { isCode } from '../../errors.ts';
import type { Notice } from '../../host/notices.ts';
import { scheduleStatus } from '../copies/dues.ts';
import type { Verifications } from '../copies/verifications.ts';
import { proofNote } from '../copies/verify-schedule.ts';
import { secondLook } from '../lifecycle/detach.ts';
import type { Held } from '../state/held.ts';
import { rescueOf } from '../state/holders.ts';
import type { LocalState } from '../state/local.ts';
import { mountpointOf, type Node, rescuePathOf, unsurveyed } from '../state/node.ts';
import { waitOf } from '../state/waits.ts';
import type { Contact } from './health.ts';
import { createInitializedReader, type Initialized } from './initialized.ts';
import type { ForeignAttachment, NodeVolume, Operator } from './types.ts';
import { createUsageReader, type UsageReader } from './usage.ts';

/** What is there once this node knows who it is. */
export interface Opened {
  readonly node: Node;
  /** What EC2 has announced, as last seen. */
  notices(): readonly Notice[];
  readonly verifications: Pick<Verifications, 'all'>;
}

/** What a status is gathered from. */
interface StatusSources {
  readonly local: Pick<
    LocalState,
    | 'settings'
    | 'ghosts'
    | 'host'
    | 'fencing'
    | 'held'
    | 'waits'
    | 'tagLooks'
    | 'faults'
    | 'ec2Says'
    | 'journal'
    | 'sizes'
    | 'growths'
    | 'scheduleFaults'
  >;
  readonly contact: Contact;
  opened(): Opened | undefined;
  /** Why it is not opened yet, as a clause. */
  reason(): string;
}

/** Gives the status of this node: from memory, and of each disk what this machine tells at once. Asks EC2 only how this
 * instance is, and only where that is asked for. */
export function createNodeStatus({ local, contact, opened, reason }: StatusSources): Operator['status'] {
  const since = new Date().toISOString();
  const readUsage = createUsageReader(local.host);
  const readInitialized = createInitializedReader();
  const { settings, held, faults, ec2Says, fencing, journal } = local;
  const faultOf = ({ name, phase }: Held) => {
    const fault = phase === 'mounted' ? faults.get(name) : undefined;
    return fault && [fault, ec2Says.get(name)].filter(Boolean).join('; ');
  };
  return async ({ checks } = { checks: false }) => {
    const { node, notices = () => [], verifications } = opened() ?? {};
    // Both at one moment: what is held or given up while disks are looked at must be neither missing nor there twice.
    const waiting = node === undefined ? [] : waitingVolumes(node);
    const impaired = checks && node !== undefined ? impairedChecks(node) : undefined;
    const initialized = checks && node !== undefined ? readInitialized(node) : new Map<string, Initialized>();
    const usersOf = await usersHere(local);
    const here = await Promise.all(
      [...held.values()].map(async (each) =>
        heldVolume(each, {
          waitingFor: waitOf(local, each.name),
          fault: faultOf(each),
          rescue: rescueShown(each, settings),
          size: sizeOf(local, each),
          autoGrow: each.phase === 'mounted' ? local.growths.get(each.name) : undefined,
          proof: proofNote(each.volume.tags, Date.now()),
          snapshots: scheduleOf(local, each),
          initialized: (await initialized).get(each.name),
          users: await usersOf(each),
          ...(await look(local, readUsage, each)),
        }),
      ),
    );
    const { default: about } = await import('../../../package.json', { with: { type: 'json' } });
    return {
      node: {
        instanceId: node?.instanceId,
        zone: node?.zone,
        cluster: settings.cluster,
        fencePolicy: settings.fencePolicy,
        version: about.version,
      },
      since,
      unready: node === undefined ? reason() : unsurveyed(node),
      reserveUsedSince: journal.reserveUsedSince(),
      draining: node?.drain.now,
      slots: {
        used: node?.devices.inUse() ?? held.size,
        limit: node?.survey.capacity.limit?.maximum,
      },
      volumes: [...here, ...waiting].sort(byName),
      foreign: node === undefined ? [] : await foreignHere(node),
      takeovers: [...fencing.underWay],
      paused: fencing.audit.paused(),
      fencesDone: structuredClone(fencing.audit.counters),
      ec2: contact.read(),
      ghosts: local.ghosts.all(),
      impaired: await impaired,
      verifications: verifications?.all() ?? [],
      notices: notices().map(({ text }) => text),
    };
  };
}

const byName = (a: NodeVolume, b: NodeVolume) => (a.name < b.name ? -1 : 1);

/** What is asked of this machine about a held volume. */
type Seen = Pick<NodeVolume, 'ghost' | 'usage'>;
type Looked = Seen &
  Pick<
    NodeVolume,
    'waitingFor' | 'fault' | 'rescue' | 'size' | 'autoGrow' | 'proof' | 'snapshots' | 'initialized' | 'users'
  >;

function heldVolume(held: Held, looked: Looked): NodeVolume {
  return {
    name: held.name,
    volumeId: held.volume.id,
    phase: held.phase,
    device: held.device,
    mountpoint: held.directory,
    holders: held.holders.map(({ id, since }) => ({ id: id ?? 'anonymous', since })),
    since: held.since,
    ...looked,
  };
}

function sizeOf({ sizes }: Pick<LocalState, 'sizes'>, { name, phase, filesystemBytes }: Held): NodeVolume['size'] {
  const size = phase === 'mounted' ? sizes.get(name) : undefined;
  return size && { ...size, filesystemBytes };
}

const scheduleOf = ({ scheduleFaults }: Pick<LocalState, 'scheduleFaults'>, held: Held): NodeVolume['snapshots'] =>
  scheduleStatus(
    held.volume.tags,
    held.phase === 'mounted' ? held : undefined,
    scheduleFaults.get(held.name),
    Date.now(),
  );

function rescueShown(held: Held, settings: StatusSources['local']['settings']): NodeVolume['rescue'] {
  const rescued = rescueOf(held);
  return rescued && { path: rescuePathOf(settings, held.name), snapshotId: rescued.snapshotId };
}

/** Whoever asks at night waits no longer for what is only told beside the volumes. */
const checksMs = 1500;

/** EC2's checks of this instance that are impaired, as clauses; undefined where EC2 does not tell in time. */
async function impairedChecks({ ec2, instanceId }: Node): Promise<string[] | undefined> {
  const options = { lane: 'list', signal: AbortSignal.timeout(checksMs) } as const;
  const health = await ec2.describeHealth(instanceId, options).catch(() => undefined);
  if (health === undefined) return undefined;
  const checks = { system: health.system, instance: health.instance, 'attached-EBS': health.attachedEbs };
  return Object.entries(checks).flatMap(([name, { status, impairedSince }]) =>
    status === 'impaired' ? [`its ${name} check${impairedSince === undefined ? '' : `, since ${impairedSince}`}`] : [],
  );
}

/** Who uses each mounted volume, by one look at all mounts; nobody where that fails. */
async function usersHere({
  host,
  held,
  settings,
}: StatusSources['local']): Promise<(held: Held) => Promise<readonly string[]>> {
  if (![...held.values()].some(({ phase }) => phase === 'mounted')) return async () => [];
  const users = await host.lookAtUsers().catch(() => async () => []);
  return async ({ name, phase }) => (phase === 'mounted' ? users(mountpointOf(settings, name)).catch(() => []) : []);
}

/** Those whose disks are here still, and not as our own by now. */
async function foreignHere(node: Node): Promise<ForeignAttachment[]> {
  const looked = [...node.foreign.values()].map(async (each) => {
    if (node.held.get(each.name)?.volume.id === each.volumeId) return [];
    const disk = await node.host.findDevice(each.volumeId, each.device).catch(() => undefined);
    return disk === undefined ? [] : [each];
  });
  return (await Promise.all(looked)).flat();
}

/** Is its disk still here, and how full is it? A machine that cannot tell proves nothing, nor does a moment without the disk. */
async function look({ host, settings }: StatusSources['local'], readUsage: UsageReader, held: Held): Promise<Seen> {
  const unknown = { ghost: false, usage: undefined };
  if (held.phase !== 'attached' && held.phase !== 'mounted') return unknown;
  try {
    const disk = (await host.findDevice(held.volume.id, held.device)) ?? (await secondLook({ host }, held));
    if (disk === undefined) return { ghost: true, usage: undefined };
    if (held.phase === 'attached') return unknown;
    // Where it is not mounted the directory is one of the root filesystem.
    const target = mountpointOf(settings, held.name);
    const { what } = await host.mountedAt(target, disk);
    return { ghost: false, usage: what === 'disk' ? await readUsage(target) : undefined };
  } catch (error) {
    return { ghost: isCode(error, 'WRONG_DEVICE'), usage: undefined };
  }
}

/** Verbs under way for names of which nothing is held. */
function waitingVolumes({ held, queue, waits, fencing }: Node): NodeVolume[] {
  const taken = new Map([...fencing.underWay].map(({ volume, volumeId }) => [volume, volumeId]));
  const names = [...queue.busy()].filter(([name]) => !held.has(name));
  return names.map(([name, since]) => ({
    name,
    volumeId: taken.get(name),
    phase: 'waiting',
    device: undefined,
    mountpoint: undefined,
    holders: [],
    users: [],
    since: since.toISOString(),
    waitingFor: waits.get(name),
    rescue: undefined,
    ghost: false,
    fault: undefined,
    size: undefined,
    autoGrow: undefined,
    proof: undefined,
    snapshots: undefined,
    usage: undefined,
  }));
}
