import { setTimeout as sleep } from 'node:timers/promises';
import type { EbsVolume, Ec2 } from '../../ebs/types.ts';
import { isGone, visibilityMs } from '../../ebs/volume-record.ts';
import { waitUntilCreated } from '../../ebs/volume-waits.ts';
import { DriverError, isCode } from '../../errors.ts';
import { ambiguous, isNew } from '../state/duplicates.ts';
import { nameOf } from '../state/lookup.ts';
import { type Node, waiting } from '../state/node.ts';

/** EC2 makes a volume in 1.5 s (median; 4 s at p99, aws-ebs-csi-driver): looking earlier only costs calls. */
const firstLookMs = 600;
export const lookMs = 500;
/** How long after the last doubt a rival's volume is looked for before the new one is handed out. */
const doubtMs = 5000;
/** What another node has to delete its volume of our name; what it did before that is visible then. */
const givingWayMs = visibilityMs + 10_000;
/** A volume that is older is none that is being settled about: EC2 may repeat its answer about one made hours ago, too. */
const youngMs = 120_000;

/**
 * Waits until a volume is made, and then until it is the only one of its name. AWS does not say whether a ClientToken of
 * CreateVolume counts in the region or in one zone: in the latter case nodes of two zones may both make one. Which stays,
 * all nodes tell alike ({@link staysFirst}), and the maker of another deletes it before anybody was given it. Reads go by
 * the name, so that this costs no call; only what they show is handed out, since then they show any older one, too.
 * @param isMine made by this very call, so that it may be deleted.
 * @returns the volume that has the name then, which may be another one; a volume of another name as it is.
 * @throws DriverError AMBIGUOUS_NAME when none of them may be deleted; CREATE_VANISHED, STILL_WORKING, EC2_*.
 */
export async function untilOnlyOne(node: Node, name: string, volume: EbsVolume, isMine: boolean): Promise<EbsVolume> {
  const seen = { listed: [] as readonly EbsVolume[] };
  // One that is made already is looked at by its name, too.
  const made = await waiting(node, name, `EC2 to make ${volume.id}`, () =>
    waitUntilCreated(
      readerByName(node, name, seen),
      { ...volume, state: 'creating' },
      {
        timeoutMs: node.settings.mountTimeout * 1000,
        delayMs: volume.state === 'creating' ? firstLookMs : 0,
        intervalMs: lookMs,
      },
    ),
  );
  if (nameOf(made) !== name || seen.listed.length < 2) return made;
  return settle(node, name, seen.listed, isMine ? made : undefined);
}

/**
 * Looks a while longer for others: another node may have made this name at the same moment under a token that we passed
 * over, because EC2 did not show that volume yet.
 * @param made by this very call. @returns and throws as {@link untilOnlyOne}.
 */
export async function afterDoubt(node: Node, name: string, made: EbsVolume): Promise<EbsVolume> {
  return waiting(node, name, 'volumes of this name that other nodes may be making', async () => {
    for (let waited = 0; waited < doubtMs; waited += lookMs) {
      await sleep(lookMs);
      const listed = await node.lookup.named(name);
      if (listed.length > 1) return settle(node, name, listed, made);
    }
    return made;
  });
}

/** The volume of a name as EC2 shows it, once there is one: while several are young, their makers may be settling it. */
export async function shownOnce(node: Node, name: string): Promise<EbsVolume | undefined> {
  try {
    return await node.lookup.shown(name);
  } catch (error) {
    if (!isCode(error, 'AMBIGUOUS_NAME')) throw error;
    const listed = await node.lookup.named(name);
    if (!listed.some(isYoung)) throw error;
    return settle(node, name, listed, undefined);
  }
}

/** One read of a volume: with those of its name, and by its id where they do not list it. */
function readerByName(node: Node, name: string, seen: { listed: readonly EbsVolume[] }): Pick<Ec2, 'describeVolume'> {
  const began = performance.now();
  return {
    async describeVolume(id, options) {
      seen.listed = await node.lookup.named(name, options);
      const listed = seen.listed.find((each) => each.id === id);
      if (listed !== undefined) return listed;
      const volume = await node.ec2.describeVolume(id, options);
      if (volume === undefined || isGone(volume) || nameOf(volume) !== name) return volume;
      const patient = performance.now() - began < visibilityMs;
      return patient ? { ...volume, state: 'creating' } : volume;
    },
  };
}

const isYoung = ({ createdAt }: EbsVolume): boolean => Date.now() - Date.parse(createdAt) < youngMs;

/** Which of several stays: one that was ever used before any that was not, then the oldest; of two as old the one with the lower id. */
function staysFirst(one: EbsVolume, other: EbsVolume): number {
  const rank = (volume: EbsVolume) => `${isNew(volume) ? 1 : 0} ${volume.createdAt} ${volume.id}`;
  return rank(one) < rank(other) ? -1 : 1;
}

/**
 * Waits until one is left. Ours is deleted when it is not the one that stays; also when it is, but the maker of the other
 * does not delete that: it may have been given to somebody before ours was seen.
 */
async function settle(
  node: Node,
  name: string,
  found: readonly EbsVolume[],
  mine: EbsVolume | undefined,
): Promise<EbsVolume> {
  return waiting(node, name, 'one of several volumes that were made of this name at the same moment', async () => {
    const began = performance.now();
    for (let listed = found; ; listed = await node.lookup.named(name)) {
      const [only, ...others] = listed;
      if (only !== undefined && others.length === 0) return only;
      const isOver = performance.now() - began >= givingWayMs;
      const ours = listed.find((volume) => volume.id === mine?.id && isNew(volume) && isYoung(volume));
      const stays = ours && otherThatStays(listed, ours, isOver);
      if (ours !== undefined && stays !== undefined) return giveUp(node, name, ours, stays);
      if (isOver) throw stillSeveral(name, found, listed);
      await sleep(lookMs);
    }
  });
}

/** Deletes a volume that was just made here, which EC2 refuses should somebody have attached it; gives the one that stays. */
async function giveUp(node: Node, name: string, ours: EbsVolume, stays: EbsVolume): Promise<EbsVolume> {
  const ids = { volume: name, volumeId: ours.id, stays: stays.id };
  node.log.warn(
    ids,
    'another node has made a volume of this name at the same moment, which stays: deleting ours, which is new',
  );
  try {
    await node.ec2.deleteVolume(ours.id);
  } catch (error) {
    if (isCode(error, 'EC2_VOLUME_IN_USE', 'EC2_DENIED')) throw ambiguous(name, [ours, stays]);
    if (!isCode(error, 'EC2_NO_SUCH_VOLUME')) throw error;
  }
  node.names.removed(name, ours);
  node.names.learn(name, stays, true);
  return stays;
}

/** The volume that ours makes way for; undefined while the others have to make way for ours. */
function otherThatStays(listed: readonly EbsVolume[], ours: EbsVolume, isOver: boolean): EbsVolume | undefined {
  const [first, second] = listed.toSorted(staysFirst);
  if (first?.id !== ours.id) return first;
  return isOver ? second : undefined;
}

function stillSeveral(name: string, found: readonly EbsVolume[], listed: readonly EbsVolume[]): DriverError {
  if (listed.length > 0) return ambiguous(name, listed);
  return new DriverError('STILL_WORKING', {
    volume: name,
    tried: 'tell which EBS volume it is',
    why: `${found.map(({ id }) => id).join(' and ')} were listed, and are not any more`,
    todo: 'Try again',
  });
}
