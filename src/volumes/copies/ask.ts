import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../../ebs/tags.ts';
import type { Attachment, EbsVolume } from '../../ebs/types.ts';
import { attachmentOf, ownerText } from '../../ebs/volume-record.ts';
import { DriverError } from '../../errors.ts';
import { isSame } from '../../fencing/records.ts';
import { type Node, waiting } from '../state/node.ts';
import { type Asked, askedForMs, askedTag, looksOf, readAsked } from './asked.ts';
import type { Wanted } from './snapshot-tags.ts';
import { refuseElsewhere, takeSnapshot } from './take.ts';
import { asTaken, type Taken, tried } from './taken.ts';

/** How often an answer is looked for; how long it is waited for beyond two of the owner's looks. */
const lookMs = 2000;
const patienceMs = 60_000;

/**
 * Asks the node that has a volume for a snapshot of it, by a tag of the volume, and waits for that. The snapshot itself is the
 * answer. Where the volume becomes free meanwhile it is taken from here.
 * @throws DriverError ATTACHED_ELSEWHERE where that node does not look for requests, refuses, or does not answer; STILL_WORKING
 * while another request waits; EC2_*.
 */
export async function askOwner(node: Node, name: string, volume: EbsVolume, wanted: Wanted): Promise<Taken> {
  const owner = attachmentOf(volume);
  const every = owner && looksOf(volume.tags, owner);
  if (owner === undefined || every === undefined) return refuseElsewhere(name, volume);
  const other = readAsked(volume.tags);
  if (other !== undefined && other.refused === undefined && Date.now() - Date.parse(other.at) < askedForMs) {
    const why = `${other.by} has asked for one at ${other.at}, which is not taken yet`;
    throw new DriverError('STILL_WORKING', { volume: name, tried, why, todo: 'Try again in some minutes' });
  }
  const at = new Date().toISOString();
  const tag = askedTag({ ...wanted, at, by: node.instanceId, refused: undefined });
  const longestMs = Math.min(askedForMs, 2000 * every + patienceMs);
  const what = `${ownerText(owner)} to take the snapshot: it looks for requests every ${every} s`;
  try {
    await node.ec2.createTags(volume.id, { [tagKeys.snapshotWanted]: tag });
    const answer = await waiting(node, name, what, () => answered(node, name, owner, wanted, longestMs), longestMs);
    if (answer === 'free') return await takeSnapshot(node, name, wanted, 'consistent');
    if (answer !== undefined) return answer;
  } finally {
    await withdraw(node, volume.id, tag);
  }
  throw elsewhere(
    name,
    `${ownerText(owner)} has it, and has not answered for ${Math.round(longestMs / 1000)} s`,
    'See whether its daemon runs, and with docker-volume-ebs snapshot ls whether the snapshot has come all the same; or give --crash-consistent',
  );
}

/** The snapshot, or that nobody has the volume any more; undefined where neither comes in time. */
async function answered(
  { ec2 }: Node,
  name: string,
  owner: Attachment,
  wanted: Wanted,
  longestMs: number,
): Promise<Taken | 'free' | undefined> {
  for (let waited = 0; waited < longestMs; waited += lookMs) {
    await sleep(lookMs);
    const [snapshots, volume] = await Promise.all([
      ec2.findSnapshots(tagKeys.snapshotRequest, wanted.request),
      ec2.describeVolume(owner.volumeId),
    ]);
    const [found] = snapshots;
    if (found !== undefined) return asTaken(found, wanted, { id: owner.volumeId });
    const mine = readAsked(volume?.tags ?? {});
    if (mine?.request === wanted.request && mine.refused !== undefined) {
      const todo = 'Do what it says there, or give --crash-consistent';
      throw elsewhere(name, `${ownerText(owner)} has it, and could not: ${mine.refused}`, todo);
    }
    const now = volume && attachmentOf(volume);
    if (volume !== undefined && now === undefined) return 'free';
    if (now !== undefined && !isSameOwner(now, owner)) {
      throw elsewhere(name, `${ownerText(now)} has it by now`, 'Try again');
    }
  }
  return undefined;
}

const isSameOwner = (one: Attachment, other: Attachment): boolean =>
  isSame({ ...one, instanceId: one.instanceId ?? '' }, { ...other, instanceId: other.instanceId ?? '' });

const elsewhere = (volume: string, why: string, todo: string) =>
  new DriverError('ATTACHED_ELSEWHERE', { volume, tried, why, todo });

/** Nobody is to take it any more. The owner's answer in its place is taken off, too. */
async function withdraw({ ec2, log }: Node, volumeId: string, tag: string): Promise<void> {
  try {
    const now = (await ec2.describeVolume(volumeId))?.tags ?? {};
    const [asked, mine]: (Asked | undefined)[] = [readAsked(now), readAsked({ [tagKeys.snapshotWanted]: tag })];
    if (asked?.request !== mine?.request) return;
    await ec2.deleteTags(volumeId, { [tagKeys.snapshotWanted]: now[tagKeys.snapshotWanted] });
  } catch (error) {
    log.warn({ volumeId, err: error }, 'a request for a snapshot was not taken back; it is over in ten minutes');
  }
}
