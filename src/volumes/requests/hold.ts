import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume } from '../../ebs/types.ts';
import { attachmentOf } from '../../ebs/volume-record.ts';
import { DriverError, isCode } from '../../errors.ts';
import { follow } from '../growth/follow.ts';
import { adoptMounted } from '../lifecycle/adopt.ts';
import { agree, unmounted } from '../lifecycle/agree.ts';
import { acquire } from '../lifecycle/attach.ts';
import { unmountOurs } from '../lifecycle/detach.ts';
import { refuseWhileDraining } from '../lifecycle/drain.ts';
import { refuseFailed } from '../lifecycle/faults.ts';
import { mountHeld } from '../lifecycle/mount.ts';
import { refuseRescued } from '../lifecycle/rescue.ts';
import type { Held } from '../state/held.ts';
import { addHolder, type Holder, removeHolder } from '../state/holders.ts';
import { noSuchVolume } from '../state/lookup.ts';
import { findVolume, keep, type Node } from '../state/node.ts';

/** A volume brought here for a caller who left waits at least this long for the next one: callers try again. */
const abandonedLingerMs = 30_000;

/**
 * Mounts a volume here for a holder. Runs in the volume's queue.
 * @param signal aborted when the caller has gone: then the volume is brought up all the same, and released after a
 * while if nobody comes for it.
 * @param pid the caller's process, as {@link CallerOptions.pid} has it.
 * @returns the directory the holder uses.
 */
export async function holdVolume(
  node: Node,
  name: string,
  id: string | undefined,
  signal: AbortSignal | undefined,
  pid?: number | undefined,
): Promise<string> {
  await refuseWhileDraining(node, name, id);
  node.cancelRelease(name);
  try {
    const held = await bringUp(node, name);
    // A drain may have begun meanwhile.
    await refuseWhileDraining(node, name, id);
    if (signal?.aborted) throw callerGone(name);
    // A caller without an id is no engine: where its process is not known, none that runs is to be taken for it.
    const engine = id === undefined && pid === undefined ? undefined : await node.host.engineOf(pid);
    const holders = addHolder(held.holders, id, new Date(), engine);
    node.mountCalls.lastOf.set(name, performance.now());
    const now = { ...held, holders };
    // That one who returns is young again needs no record, since a restarted daemon judges nobody for a while.
    if (sameHolders(holders, held.holders)) node.held.set(name, now);
    else await keep(node, now);
    if (signal?.aborted) {
      await keep(node, held);
      throw callerGone(name);
    }
    return held.directory ?? '';
  } finally {
    releaseLater(node, name, signal?.aborted ? abandonedLingerMs : 0);
  }
}

/** The same ids, each of the same engine. */
function sameHolders(some: readonly Holder[], others: readonly Holder[]): boolean {
  const keyOf = ({ id, engine }: Holder) => `${id} ${engine?.pid} ${engine?.startedAt}`;
  return some.map(keyOf).join() === others.map(keyOf).join();
}

/** Counts a Mount call for as long as its caller waits, its turn in the volume's queue included. One that fails starts no container. */
export async function countedMount<T>(
  { mountCalls }: Node,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  let ended = false;
  const end = () => {
    if (ended) return;
    ended = true;
    mountCalls.inHand -= 1;
  };
  mountCalls.inHand += 1;
  signal?.addEventListener('abort', end, { once: true });
  try {
    const result = await work();
    mountCalls.lastEnd = performance.now();
    return result;
  } finally {
    signal?.removeEventListener('abort', end);
    end();
  }
}

/** Mounted, with a filesystem that fills its disk where it can. */
const mountWhole = async (node: Node, held: Held): Promise<Held> => follow(node, await mountHeld(node, held));

/** The volume mounted here, whatever that takes. */
async function bringUp(node: Node, name: string): Promise<Held> {
  const held = await agree(node, name);
  refuseRescued(node, held, 'mount it');
  if (held?.phase === 'mounted') return whole(node, held);
  if (held !== undefined) return mountWhole(node, held);
  const acquired = (await acquireKnown(node, name)) ?? (await acquireFound(node, name));
  if (acquired.phase === 'mounted') return whole(node, acquired);
  // A mount of an earlier attachment may be in the way.
  return mountWhole(node, (await agree(node, name)) ?? acquired);
}

/**
 * Attaches the volume that this node knows by the name, without a look before: the one after the attach tells whether it
 * is the right one. Undefined when it is not known, not likely to be had at once, or not there any more.
 */
async function acquireKnown(node: Node, name: string): Promise<Held | undefined> {
  const known = node.names.known(name)?.value;
  if (known === undefined || !isLikelyFree(node, known)) return undefined;
  // Its record is lost: what became of it, EC2 and the mounts tell.
  if ((await node.host.attachedVolumeIds()).has(known.id)) return undefined;
  try {
    return await acquire(node, name, known);
  } catch (error) {
    // The name may mean another volume by now.
    if (isCode(error, 'EC2_NO_SUCH_VOLUME', 'NO_SUCH_VOLUME')) return undefined;
    throw error;
  }
}

function isLikelyFree({ zone }: Node, known: EbsVolume): boolean {
  const free = known.state === 'available' && attachmentOf(known) === undefined;
  const isLeaving = known.tags[tagKeys.leaving] !== undefined;
  return free && known.zone === zone && !known.multiAttach && !isLeaving;
}

async function acquireFound(node: Node, name: string): Promise<Held> {
  const volume = await findVolume(node, name);
  if (volume === undefined) throw noSuchVolume(name, 'mount it');
  return (await adoptMounted(node, name, volume)) ?? acquire(node, name, volume);
}

/** A mounted volume that can be written to: one that cannot, and that nobody holds, is mounted anew. @throws DriverError FILESYSTEM_FAILED */
async function whole(node: Node, held: Held): Promise<Held> {
  try {
    await refuseFailed(node, held);
    return held;
  } catch (error) {
    if (held.holders.length > 0 || (await unmountOurs(node, held)) !== undefined) throw error;
    return mountWhole(node, await keep(node, unmounted(held)));
  }
}

/** Ends a holder; with the last one the filesystem is unmounted at once and the detach lingers. */
export async function letVolumeGo(node: Node, name: string, id: string | undefined): Promise<void> {
  const before = node.held.get(name);
  if (before === undefined) return;
  const holders = removeHolder(before.holders, id);
  if (holders.length === before.holders.length) {
    // A Mount whose caller gave up brought it here and nobody has come for it since: now nobody will.
    if (holders.length === 0 && !before.removing && !before.giving) releaseLater(node, name, 0);
    return;
  }
  const held = await keep(node, { ...before, holders });
  if (held.holders.length > 0) return;
  node.cancelRelease(name);
  try {
    if (held.phase !== 'mounted') return;
    const blockedBy = await unmountOurs(node, held);
    if (blockedBy === undefined) await keep(node, unmounted(held));
    else node.log.warn({ volume: name, op: 'unmount', blockedBy }, 'cannot be unmounted yet; it will be tried again');
  } finally {
    releaseLater(node, name, 0);
  }
}

/** Only a disk that is here and may be mounted again lingers; what came to nothing is settled at once. */
function releaseLater(node: Node, name: string, atLeastMs: number): void {
  const held = node.held.get(name);
  const usable = held?.phase === 'attached' || held?.phase === 'mounted';
  if (held === undefined || held.holders.length > 0) node.waits.delete(name);
  else node.scheduleRelease(name, usable ? Math.max(node.settings.linger * 1000, atLeastMs) : 0);
}

function callerGone(name: string): DriverError {
  return new DriverError('STILL_WORKING', {
    volume: name,
    tried: 'mount it for this caller',
    why: 'the caller has gone while it was brought here',
    todo: 'Try again: it is here now, and stays for a while',
  });
}
