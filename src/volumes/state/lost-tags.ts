import { tagKeys, tagPrefix } from '../../ebs/tags.ts';
import type { EbsVolume, Tags } from '../../ebs/types.ts';
import { DriverError, shellWord } from '../../errors.ts';
import { decodeName, encodeName } from '../options/names.ts';

/** Tags of ours that say how it stands with a volume at a time; the others say what it is. */
const passing: readonly string[] = [
  tagKeys.formatting,
  tagKeys.clean,
  tagKeys.owner,
  tagKeys.fenceLog,
  tagKeys.confirmed,
  tagKeys.paused,
  tagKeys.retained,
  tagKeys.trash,
  tagKeys.replacing,
  tagKeys.replacedBy,
  tagKeys.replaces,
  tagKeys.slotsDone,
  tagKeys.proof,
  tagKeys.verifySlot,
  tagKeys.leaving,
  tagKeys.snapshotWanted,
  tagKeys.looks,
];

/** What our tags must say of the volume of a name, besides what is known of them. */
export const identityTags = (cluster: string, name: string): Tags => ({
  [tagKeys.cluster]: cluster,
  [tagKeys.name]: encodeName(name),
});

/** Our tags that tell what a volume is: those that somebody who takes tags off must not take. */
export function lastingTags(tags: Tags): Tags {
  const lasting = ([key]: [string, string]) =>
    key.startsWith(tagPrefix) && !key.startsWith(tagKeys.intentPrefix) && !passing.includes(key);
  return Object.fromEntries(Object.entries(tags).filter(lasting));
}

/**
 * True for a volume that was of this name, and by its tags belongs to no name or to no cluster any more, though nobody has
 * removed it here. One that was removed and retained says so; one that has both tags has been given another name by
 * somebody who knows them.
 */
export function hasLostTags({ tags }: EbsVolume, name: string): boolean {
  if (decodeName(tags[tagKeys.retained] ?? '') === name) return false;
  return tags[tagKeys.cluster] === undefined || decodeName(tags[tagKeys.name] ?? '') === undefined;
}

/** Of the tags that a volume should have, those that it has not. */
export function missingTags({ tags }: EbsVolume, wanted: Tags): Tags {
  return Object.fromEntries(Object.entries(wanted).filter(([key]) => tags[key] === undefined));
}

/**
 * The refusal to take a name for free whose volume has lost its tags.
 * @param wanted what its tags should say. @param proof a clause: how it is known to be the volume of the name.
 * @param empty the volume that has the name meanwhile, and holds nothing.
 */
export function tagsLost(
  name: string,
  volume: EbsVolume,
  wanted: Tags,
  tried: string,
  proof: string,
  empty?: Pick<EbsVolume, 'id'>,
): DriverError {
  const missing = missingTags(volume, wanted);
  const given = missing[tagKeys.adopted] === undefined ? '' : ', or given it back with docker-volume-ebs adopt --undo';
  return new DriverError('TAGS_LOST', {
    volume: name,
    tried,
    why: `${volume.id} is its EBS volume (${proof}) and has lost ${Object.keys(missing).join(', ')}: somebody has taken tags off${given}`,
    todo: `Put them back: ${empty === undefined ? '' : `${retireCommand(empty.id, name)} && `}${createTagsCommand(volume.id, missing)}. If the name is to begin anew with an empty volume and this one is to be kept without a name, say so instead: ${createTagsCommand(volume.id, { [tagKeys.retained]: encodeName(name) })}`,
  });
}

/** Takes the name off a volume as a removal that retains it does. */
function retireCommand(volumeId: string, name: string): string {
  const retained = createTagsCommand(volumeId, { [tagKeys.retained]: encodeName(name) });
  return `${retained} && aws ec2 delete-tags --resources ${volumeId} --tags Key=${tagKeys.name}`;
}

/** The command of the AWS CLI that writes tags on a volume. */
export function createTagsCommand(volumeId: string, tags: Tags): string {
  const entries = Object.entries(tags);
  // The short form reads commas, quotes and brackets as its own.
  const plain = entries.every(([, value]) => /^[\w.@+:/=-]+$/.test(value));
  const list = plain
    ? entries.map(([key, value]) => `Key=${key},Value=${value}`).join(' ')
    : shellWord(JSON.stringify(entries.map(([Key, Value]) => ({ Key, Value }))));
  return `aws ec2 create-tags --resources ${volumeId} --tags ${list}`;
}
