import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../../ebs/tags.ts';
import type { Attachment, EbsVolume, Ec2, Tags } from '../../ebs/types.ts';
import { attachmentOf, isGone, ownerText, visibilityMs } from '../../ebs/volume-record.ts';
import { DriverError } from '../../errors.ts';
import type { Step } from './plan.ts';

type Calls = Pick<Ec2, 'createTags' | 'deleteTags' | 'describeVolume' | 'findVolumes'>;

const lookMs = 500;
/** A node that looked the name up just before a change of tags makes or attaches a volume well within this. */
const rivalMs = 2_000;

/**
 * Adopts one volume: its tags in one call, which takes effect whole or not at all. Done again it comes to the same.
 * @throws DriverError EC2_*; AMBIGUOUS_NAME when a volume of the name was made at the same moment: the adoption is undone
 * then, unless somebody has attached the volume by now.
 */
export async function adoptVolume(ec2: Calls, step: Extract<Step, { kind: 'adopt' }>): Promise<void> {
  const { volume, name } = step.candidate;
  const { tags, clear } = step;
  await ec2.deleteTags(volume.id, Object.fromEntries(clear.map((key) => [key, undefined])));
  await ec2.createTags(volume.id, tags);
  await untilFound(ec2, volume, tags);
  for (let waited = 0; ; waited += lookMs) {
    await refuseRivals(ec2, volume, name, tags);
    if (waited >= rivalMs) return;
    await sleep(lookMs);
  }
}

/** Looks as a node does, which would make a volume of the name as long as it finds none. */
async function untilFound(ec2: Calls, { id }: EbsVolume, tags: Tags): Promise<void> {
  for (let waited = 0; ; waited += lookMs) {
    const found = await ec2.findVolumes(tags[tagKeys.name] ?? '');
    const seen = found.find((volume) => volume.id === id)?.tags ?? {};
    if (Object.entries(tags).every(([key, value]) => seen[key] === value)) return;
    if (waited >= visibilityMs) {
      throw new DriverError('EC2_UNAVAILABLE', {
        tried: `read back the tags of ${id}`,
        why: `EC2 does not show them after ${visibilityMs / 1000} s`,
        todo: 'Run the same command again: it finds what is done',
      });
    }
    await sleep(lookMs);
  }
}

async function refuseRivals(ec2: Calls, volume: EbsVolume, name: string, tags: Tags): Promise<void> {
  const found = await ec2.findVolumes(tags[tagKeys.name] ?? '');
  const rival = found.find((each) => each.id !== volume.id && !isGone(each));
  if (rival === undefined) return;
  const now = found.find(({ id }) => id === volume.id) ?? volume;
  const owner = attachmentOf(now);
  const moved = owner !== undefined && attachmentOf(volume) === undefined;
  // Only what was written here: another adoption's tags stay.
  if (!moved) await ec2.deleteTags(volume.id, tags);
  throw new DriverError('AMBIGUOUS_NAME', {
    volume: name,
    tried: `adopt ${volume.id}`,
    why: `${rival.id} got this name at the same moment, and ${moved ? `${ownerText(owner)} has attached the adopted one by now` : 'the adoption was undone'}`,
    todo: 'Run docker-volume-ebs ls: it says what is known of each, and how to keep one',
  });
}

/**
 * Takes every tag of the driver off a volume: its name first, so that no node finds it any more; the others once nobody
 * has attached it who looked before that. Done again it comes to the same.
 * @throws DriverError EC2_*; ATTACHED_ELSEWHERE when somebody has: it keeps its name and its tags then.
 */
export async function giveBack(ec2: Calls, step: Extract<Step, { kind: 'give-back' }>): Promise<void> {
  const { volume, name, clear } = step;
  await ec2.deleteTags(volume.id, { [tagKeys.name]: undefined });
  for (let waited = 0; ; waited += lookMs) {
    const now = await ec2.describeVolume(volume.id);
    const owner = now === undefined ? undefined : attachmentOf(now);
    if (owner !== undefined) {
      // The cluster is there still: a role that may adopt may write both together only.
      await ec2.createTags(volume.id, pick(volume.tags, [tagKeys.cluster, tagKeys.name]));
      throw attachedMeanwhile(name, volume, owner);
    }
    if (waited >= rivalMs) break;
    await sleep(lookMs);
  }
  await ec2.deleteTags(volume.id, Object.fromEntries(clear.map((key) => [key, undefined])));
}

const pick = (tags: Tags, keys: readonly string[]): Tags =>
  Object.fromEntries(Object.entries(tags).filter(([key]) => keys.includes(key)));

function attachedMeanwhile(name: string, { id }: EbsVolume, owner: Attachment): DriverError {
  return new DriverError('ATTACHED_ELSEWHERE', {
    volume: name,
    tried: `give ${id} back`,
    why: `${ownerText(owner)} has attached it as ${owner.device} at the same moment`,
    todo: 'Stop the containers that use it, wait until it is detached, and give it back then',
  });
}
