import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsSnapshot, EbsVolume } from '../../ebs/types.ts';
import { attachmentOf, ownerText } from '../../ebs/volume-record.ts';
import { DriverError, isCode } from '../../errors.ts';
import { publish, stopwatch } from '../../events.ts';
import { agree } from '../lifecycle/agree.ts';
import { findDisk } from '../lifecycle/mount.ts';
import { type Held, heldAs } from '../state/held.ts';
import { rescueOf } from '../state/holders.ts';
import { noSuchVolume } from '../state/lookup.ts';
import { findVolume, keep, mountpointOf, type Node, waiting } from '../state/node.ts';
import { type Consistency, snapshotTags, type Wanted } from './snapshot-tags.ts';
import { asTaken, settled, type Taken, taken, telling, tried } from './taken.ts';

/** EBS takes one snapshot of a volume in this time, and copies so many of one at once; of a hard disk's one (EBS user guide). */
const intervalMs = 15_000;
const mostPending = 5;
const hardDisks: readonly string[] = ['st1', 'sc1'];
/** Writers wait no longer for EC2's answer: then they go on, and the snapshot is one of a crash if it comes. */
const answerMs = 5000;
const mostAttempts = 4;

/** `consistent` is refused where it cannot be had, `crash` does not try. */
export type Care = 'consistent' | 'crash';

/** What is done in the volume's turn before EC2 is asked; what it throws ends the attempt. */
type Begin = () => Promise<void>;

/**
 * Takes a snapshot of a volume that is here or nowhere; with the same request again it comes to the same one. Everything
 * that may take time comes before the writers stand still, and outside of the volume's turn.
 * @throws DriverError ATTACHED_ELSEWHERE where another node has it, unless it may be as after a crash; IN_USE_HERE where
 * something here has it that cannot be frozen; EC2_LIMIT while EC2 copies too many; EC2_UNAVAILABLE when it cannot be told
 * whether there is one.
 */
export async function takeSnapshot(
  node: Node,
  name: string,
  wanted: Wanted,
  care: Care,
  begin?: Begin,
): Promise<Taken> {
  try {
    return await tryToTake(node, name, wanted, care, begin);
  } catch (error) {
    count(wanted, error);
    throw error;
  }
}

/** Told to whoever counts: what was begun, and what the catalogue knows as a failure. */
function count({ slots }: Wanted, error?: unknown): void {
  const kind = slots === undefined ? 'manual' : 'scheduled';
  if (error === undefined) publish('snapshot', { kind, outcome: 'ok' });
  else if (error instanceof DriverError) publish('snapshot', { kind, outcome: error.code });
}

async function tryToTake(node: Node, name: string, wanted: Wanted, care: Care, begin?: Begin): Promise<Taken> {
  for (let attempt = 1; ; attempt += 1) {
    const volume = await volumeNow(node, name);
    if (care === 'consistent' && heldAs(node.held, name) === undefined) refuseOwned(name, volume);
    const earlier = await readyFor(node, name, volume, wanted);
    if (earlier !== undefined) return asTaken(earlier, wanted, volume);
    try {
      const taken = await node.queue.run(name, () => takeNow(node, name, wanted, care, begin));
      count(wanted);
      await telling(node, name, taken);
      return taken;
    } catch (error) {
      if (isCode(error, 'EC2_UNAVAILABLE')) return asTaken(await settled(node, name, wanted, error), wanted, volume);
      if (!isCode(error, 'EC2_THROTTLED') || attempt >= mostAttempts) throw error;
    }
  }
}

/**
 * Waits until EC2 would take a snapshot of the volume. The look also opens the connection, so that no writer waits for that.
 * @returns the snapshot of this request, or of one of its slots, if there is one.
 * @throws DriverError EC2_LIMIT; INVALID_REQUEST where another snapshot of the volume has the name.
 */
export async function readyFor(
  node: Node,
  name: string,
  volume: EbsVolume,
  wanted?: Wanted,
): Promise<EbsSnapshot | undefined> {
  const snapshots = await node.ec2.snapshotsOf([volume.id]);
  const same = snapshots.find((each) => wanted !== undefined && isSame(each, wanted));
  if (same !== undefined) return same;
  // The name of one that a schedule takes may have been given by a person: its slots tell it apart.
  if (
    wanted?.slots === undefined &&
    wanted !== undefined &&
    snapshots.some(({ tags }) => tags[tagKeys.snapshotName] === wanted.name)
  ) {
    const why = `it has one of the name ${JSON.stringify(wanted.name)} already`;
    throw new DriverError('INVALID_REQUEST', { volume: name, tried, why, todo: 'Give another name' });
  }
  const most = hardDisks.includes(volume.type) ? 1 : mostPending;
  if (snapshots.filter(({ state }) => state === 'pending').length >= most) {
    const why = `EC2 still copies ${most} of ${volume.id}, and takes no more at once`;
    throw new DriverError('EC2_LIMIT', { volume: name, tried, why, todo: 'Try again once one of them is complete' });
  }
  const last = Math.max(0, ...snapshots.map(({ startedAt }) => Date.parse(startedAt)));
  const wait = Math.min(intervalMs, last + intervalMs - Date.now());
  if (wait > 0) {
    await waiting(node, name, 'EC2, which takes one snapshot of a volume in 15 s', () => sleep(wait));
  }
  return undefined;
}

/** The same request; or a slot that it stands for, unless that one has failed. */
function isSame({ tags, state }: EbsSnapshot, { request, slots = [] }: Wanted): boolean {
  const theirs = tags[tagKeys.snapshotRequest] === undefined ? '' : tags[tagKeys.slots];
  const isOfSlot = theirs?.split(' ').some((each) => slots.includes(each)) === true && state !== 'error';
  return isOfSlot || tags[tagKeys.snapshotRequest] === request;
}

/** @throws DriverError NO_SUCH_VOLUME, EC2_*. */
export async function volumeNow(node: Node, name: string): Promise<EbsVolume> {
  const volume = heldAs(node.held, name)?.volume ?? (await findVolume(node, name));
  if (volume === undefined) throw noSuchVolume(name, tried);
  return volume;
}

/** Runs in the volume's queue: nobody mounts or unmounts it here meanwhile. */
async function takeNow(node: Node, name: string, wanted: Wanted, care: Care, begin?: Begin): Promise<Taken> {
  const agreed = care === 'crash' ? heldAs(node.held, name) : await agree(node, name);
  await begin?.();
  const held = agreed && (node.held.get(name) ?? agreed);
  if (held !== undefined) return takeHere(node, held, wanted, care);
  const volume = await findVolume(node, name);
  if (volume === undefined) throw noSuchVolume(name, tried);
  if (care === 'consistent') refuseOwned(name, volume);
  const owner = attachmentOf(volume);
  const snapshotId = await create(node, name, volume, wanted);
  const after = owner === undefined ? await node.ec2.describeVolume(volume.id) : undefined;
  return taken(volume, wanted, snapshotId, isAtRest(volume, after) ? 'unmounted' : 'crash');
}

function refuseOwned(name: string, volume: EbsVolume): void {
  if (attachmentOf(volume) !== undefined) refuseElsewhere(name, volume);
}

/** @throws DriverError ATTACHED_ELSEWHERE */
export function refuseElsewhere(name: string, volume: EbsVolume): never {
  const owner = attachmentOf(volume);
  throw new DriverError('ATTACHED_ELSEWHERE', {
    volume: name,
    tried,
    why: `${owner === undefined ? 'another node' : ownerText(owner)} has it, and only there its writers can be held for a moment`,
    todo: 'Run docker-volume-ebs snapshot take there, or give --crash-consistent; a node with DVE_SNAPSHOT_REQUESTS takes what others ask for',
  });
}

/** Whoever attaches a volume writes so in its tags: nobody has had it between two such looks. */
const isAtRest = (before: EbsVolume, after: EbsVolume | undefined): boolean =>
  after !== undefined &&
  attachmentOf(after) === undefined &&
  after.tags[tagKeys.epoch] === before.tags[tagKeys.epoch] &&
  after.tags[tagKeys.owner] === before.tags[tagKeys.owner];

/**
 * Takes a snapshot of a volume that is here and that nothing uses, in its queue: sent once, and given up by the signal. What
 * its tag says comes later.
 * @throws DriverError EC2_*
 */
export async function takeIdle(
  node: Node,
  { name, volume }: Held,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<Taken> {
  try {
    const now = taken(volume, wanted, await create(node, name, volume, wanted, signal), 'unmounted');
    count(wanted);
    void telling(node, name, now);
    return now;
  } catch (error) {
    count(wanted, error);
    throw error;
  }
}

async function takeHere(node: Node, held: Held, wanted: Wanted, care: Care): Promise<Taken> {
  const { name, volume } = held;
  if (care === 'crash' || rescueOf(held) !== undefined)
    return taken(volume, wanted, await create(node, name, volume, wanted), 'crash');
  const disk = await findDisk(node, held);
  const target = mountpointOf(node.settings, name);
  if ((await node.host.mountedAt(target, disk)).what === 'disk') {
    return takeFrozen(node, held, wanted, await node.host.openFreezer(disk, target));
  }
  if (!(await node.host.isDeviceBusy(disk))) {
    return taken(volume, wanted, await create(node, name, volume, wanted), 'unmounted');
  }
  const why = 'a container or program has it mounted, and this daemon has not';
  const todo = 'Try again when that has ended, or give --crash-consistent';
  throw new DriverError('IN_USE_HERE', { volume: name, tried, why, todo });
}

type Freezer = Awaited<ReturnType<Node['host']['openFreezer']>>;

/** It is journalled before: whatever ends this daemon, the next one sees to it that nothing stays frozen. */
async function takeFrozen(node: Node, held: Held, wanted: Wanted, freezer: Freezer): Promise<Taken> {
  const { name, volume } = held;
  const late = new AbortController();
  let consistency: Consistency = 'crash';
  let frozenSeconds: number | undefined;
  try {
    await keep(node, { ...held, freezing: true });
    const snapshotId = await create(node, name, volume, wanted, late.signal, async (send) => {
      // Where somebody else has frozen it, it is his to thaw, and nobody can say whether it stays so.
      if ((await freezer.freeze()) === 'busy') return send();
      const seconds = stopwatch();
      const timer = setTimeout(() => late.abort(unanswered(name)), answerMs);
      try {
        return await send();
      } finally {
        clearTimeout(timer);
        if (await freezer.thaw()) consistency = 'frozen';
        frozenSeconds = seconds();
        publish('freeze', { seconds: frozenSeconds });
      }
    });
    return taken(volume, wanted, snapshotId, consistency, frozenSeconds);
  } finally {
    await freezer.thaw();
    const now = node.held.get(name);
    if (now !== undefined) await keep(node, { ...now, freezing: undefined });
  }
}

const unanswered = (volume: string) =>
  new DriverError('EC2_UNAVAILABLE', {
    volume,
    tried,
    why: `EC2 has not answered within ${answerMs / 1000} s, while its writers stood still`,
    todo: 'Try again',
  });

function create(
  node: Node,
  name: string,
  volume: EbsVolume,
  wanted: Wanted,
  signal?: AbortSignal,
  around: <T>(send: () => Promise<T>) => Promise<T> = (send) => send(),
): Promise<string> {
  const description = `docker-volume-ebs: ${wanted.name} of ${name}`.slice(0, 255);
  return waiting(node, name, `a snapshot of ${volume.id}`, () =>
    node.ec2.createSnapshot(volume.id, description, snapshotTags(node.settings.cluster, name, volume, wanted), {
      signal,
      once: around,
    }),
  );
}
