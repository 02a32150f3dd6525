import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume } from '../../ebs/types.ts';
import { isGone } from '../../ebs/volume-record.ts';
import { DriverError, isCode } from '../../errors.ts';
import { isOurs, keyOf } from '../lifecycle/attachment-key.ts';
import { attachFree } from '../lifecycle/attempt.ts';
import { confirmNameless } from '../lifecycle/confirm-name.ts';
import { detachTimeoutMs } from '../lifecycle/detach.ts';
import { release } from '../lifecycle/release.ts';
import { displayName, encodeName } from '../options/names.ts';
import { whatIsKnown } from '../state/duplicates.ts';
import type { Held } from '../state/held.ts';
import { keep, type Node, waiting } from '../state/node.ts';
import { untilGivenBack } from './given-back.ts';

/**
 * Reads lag by at most `visibleMs`. From the answer that the name is on the volume until nobody can have made another of this
 * name without either seeing it or being seen, that is twice as long: their read may be as old as that, and so may ours.
 */
const settledMs = ({ visibleMs }: Node): number => 2 * visibleMs;
/** What the maker of another volume of the name has to see this one and delete its own, which is new and empty. */
const givingWayMs = ({ visibleMs }: Node): number => visibleMs + 10_000;
const lookMs = 1000;

/**
 * Gives a volume of the trash, or one that was kept without a name, a name. The attachment to this node is the lock: from
 * before the name is on it until it is certain that no other volume has the name nobody can mount, remove or delete it. The
 * name on the volume is what others see, and what a Create looks for again once it has made a volume: so either it gives
 * way to this one, or we see its volume and take the name off again. Runs in the name's queue; takes 45 s.
 * @returns the volume, detached. @throws DriverError EXISTS_DIFFERENT when the name is taken; ATTACHED_ELSEWHERE,
 * NO_SUCH_VOLUME when it is gone; WRONG_ZONE, NODE_FULL, EC2_*. It stays where it was then.
 */
export async function giveName(node: Node, name: string, volume: EbsVolume): Promise<EbsVolume> {
  const lock = await lockNameless(node, name, volume);
  const held = await keep(node, { ...lock, phase: 'detaching', giving: true }).catch((error: unknown) => {
    node.scheduleRelease(name, node.visibleMs);
    throw error;
  });
  const failure = await waiting(node, name, `EC2 to give ${volume.id} the name`, () =>
    node.ec2.createTags(volume.id, { [tagKeys.name]: encodeName(name) }).catch((error: unknown) => error),
  );
  if (isCode(failure, 'EC2_DENIED', 'EC2_REJECTED')) {
    await letGo(node, held, 0);
    throw failure;
  }
  // After any other failure it may have the name all the same.
  return settleName(node, held, failure !== undefined).catch((error: unknown) => {
    throw failure ?? error;
  });
}

/** Goes on after a crash with a volume that was being given a name here. @throws DriverError as {@link giveName}. */
export async function finishGiving(node: Node, name: string): Promise<void> {
  const held = node.held.get(name);
  if (held?.giving === undefined) return;
  // Before this phase it has not been given the name.
  if (held.phase === 'detaching') await settleName(node, held, true);
  else await release(node, name);
}

async function lockNameless(node: Node, name: string, volume: EbsVolume): Promise<Held> {
  const kept = await keepLock(node, name, volume);
  if (kept !== undefined) return kept;
  // What is left here of its removal, or of that of another volume of the name, ends first.
  if (node.held.has(name)) await release(node, name);
  const { id } = volume;
  const until = performance.now() + node.visibleMs + detachTimeoutMs;
  let refusal: DriverError | undefined;
  do {
    const outcome = await attachFree(node, name, volume, undefined, false, {
      look: confirmNameless,
      giving: true,
    }).catch((error: unknown) => {
      throw isCode(error, 'EC2_NO_SUCH_VOLUME', 'NO_SUCH_VOLUME') ? gone(name, id) : error;
    });
    if ('held' in outcome) return outcome.held;
    ({ refusal } = outcome);
    // EC2 takes a moment to attach again what it shows as free: one attempt waits for that.
    if (refusal !== undefined) await untilGivenBack(node, name, outcome.volume, `give ${id} its name`);
  } while (refusal !== undefined && performance.now() < until);
  const why = 'somebody else has it, or has given it a name, at the same moment';
  throw refusal ?? refused(name, id, why, 'Look at docker-volume-ebs ls');
}

/**
 * The attachment under which this node has just taken the name off the volume. Nobody else has had the volume since, and
 * nothing was mounted under it; so it goes on as the lock, unless its end has begun.
 */
async function keepLock(node: Node, name: string, volume: EbsVolume): Promise<Held | undefined> {
  const held = node.held.get(name);
  const locks = held?.removing && !held.leaving && held.phase === 'detaching' && held.attachTime !== undefined;
  if (!locks || held.volume.id !== volume.id) return undefined;
  const { volume: seen } = await confirmNameless(node, held, Promise.resolve(undefined));
  const ours = seen?.attachments.find((each) => isOurs(keyOf(held), each));
  if (seen === undefined || ours?.state !== 'attached') return undefined;
  node.cancelRelease(name);
  // That look may be from before the removal, and then shows the name and nothing of the trash.
  const tags = { ...seen.tags, ...keptTags({ volume }) };
  return { ...held, volume: { ...seen, attachments: [], tags }, removing: undefined };
}

/**
 * Waits until whoever else has the name must be seen, and then keeps it or takes it off again.
 * @param doubtful the call that gives it the name has not been answered: it may arrive for as long as reads lag.
 */
async function settleName(node: Node, held: Held, doubtful: boolean): Promise<EbsVolume> {
  const { name, volume } = held;
  const reason = `others that may be making a volume of this name: ${volume.id} has had it for less than ${settledMs(node) / 1000} s`;
  const { mine, other } = await waiting(node, name, reason, async () => {
    await sleep(settledMs(node) + (doubtful ? node.visibleMs : 0));
    return othersOf(node, name, volume.id);
  });
  if (mine !== undefined && other === undefined) return finish(node, held, mine);
  // One that was being removed has had the name all the time.
  if (mine !== undefined && !(tagKeys.leaving in volume.tags)) {
    await waiting(node, name, `EC2 to take the name off ${volume.id} again`, async () => {
      await node.ec2.createTags(volume.id, keptTags(held));
      await node.ec2.deleteTags(volume.id, { [tagKeys.name]: undefined });
    });
  }
  // Whoever has seen it with the name sees it without before it can be attached.
  await letGo(node, held, node.visibleMs);
  throw other === undefined
    ? refused(name, volume.id, 'its name did not stay on it', 'Try again')
    : refused(name, volume.id, `${other.id} has this name (${whatIsKnown(other)})`, 'Choose another name with --as');
}

/** What consoles show is no key of ours: the role may not be allowed to write it. */
async function showName({ ec2, log }: Node, name: string, { id, tags }: EbsVolume): Promise<void> {
  if (tags[tagKeys.displayName] === displayName(name)) return;
  await ec2.createTags(id, { [tagKeys.displayName]: displayName(name) }).catch((error: unknown) => {
    log.warn({ volume: name, volumeId: id, err: error }, 'consoles show it under its former name');
  });
}

async function letGo(node: Node, held: Held, delayMs: number): Promise<void> {
  await keep(node, { ...held, giving: undefined, removing: true });
  node.scheduleRelease(held.name, delayMs);
}

/** The volume itself as it bears the name, and another that does and does not give way. */
async function othersOf(node: Node, name: string, id: string) {
  for (let waited = 0; ; waited += lookMs) {
    const named = (await node.ec2.findVolumes(encodeName(name))).filter((volume) => !isGone(volume));
    const mine = named.find((each) => each.id === id);
    const other = named.find((each) => each.id !== id);
    if (mine === undefined || other === undefined || waited >= givingWayMs(node)) return { mine, other };
    await sleep(lookMs);
  }
}

/**
 * Under the lock nobody else writes these tags: nobody can have removed it meanwhile. A time that it was to live for is over,
 * or no longer meant: it would go again by itself.
 */
async function finish(node: Node, held: Held, named: EbsVolume): Promise<EbsVolume> {
  const { name } = held;
  const kept = [...Object.keys(keptTags(held)), ...(tagKeys.ttl in named.tags ? [tagKeys.ttl] : [])];
  await waiting(node, name, `EC2 to take ${named.id} out of the trash`, () =>
    node.ec2.deleteTags(named.id, Object.fromEntries(kept.map((key) => [key, undefined]))),
  );
  const left = Object.entries(named.tags).filter(([key]) => !kept.includes(key));
  const volume = { ...named, tags: Object.fromEntries(left) };
  await showName(node, name, named);
  node.names.returned(name, { ...volume, attachments: [], state: 'available' });
  await node.names.saved();
  const outcome = await release(node, name);
  if (typeof outcome !== 'string') node.scheduleRelease(name, 0);
  return volume;
}

const keptKeys: readonly string[] = [tagKeys.retained, tagKeys.trash, tagKeys.leaving];

/** The tags that say that it is kept, and where, or about to be deleted. */
const keptTags = ({ volume }: Pick<Held, 'volume'>) =>
  Object.fromEntries(Object.entries(volume.tags).filter(([key]) => keptKeys.includes(key)));

function refused(name: string, id: string, why: string, todo: string): DriverError {
  return new DriverError('EXISTS_DIFFERENT', { volume: name, tried: `give ${id} its name`, why, todo });
}

function gone(name: string, id: string): DriverError {
  return new DriverError('NO_SUCH_VOLUME', {
    volume: name,
    tried: `give ${id} its name`,
    why: `${id} is not in the trash any more`,
    todo: 'Look at docker-volume-ebs trash ls, and in the Recycle Bin',
  });
}
