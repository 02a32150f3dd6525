import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume } from '../../ebs/types.ts';
import { DriverError } from '../../errors.ts';
import { readOwner } from '../../fencing/records.ts';
import { encodeName } from '../options/names.ts';

/** Several EBS volumes carry one name: what is known of each, and how to keep one of them without losing any. */
export function ambiguous(name: string, found: readonly EbsVolume[]): DriverError {
  const described = found.map((volume) => `${volume.id} (${volume.zone}, ${volume.state}, ${whatIsKnown(volume)})`);
  return new DriverError('AMBIGUOUS_NAME', {
    volume: name,
    tried: 'tell which EBS volume it is',
    why: `${found.length} carry its name: ${described.join('; ')}`,
    todo: todo(name, found),
  });
}

/** What EC2 and the tags tell of a volume that shares its name with others, as a clause. */
export function whatIsKnown({ createdAt, sizeGib, snapshotId, tags }: EbsVolume): string {
  const owner = readOwner(tags)?.instanceId;
  return [
    `created ${createdAt}`,
    `${sizeGib} GiB`,
    snapshotId === undefined ? 'made empty' : `made from ${snapshotId}`,
    tags[tagKeys.formatted] === undefined
      ? 'never formatted by this driver'
      : `formatted with ${tags[tagKeys.formatted]}`,
    owner === undefined ? 'claimed by no node yet' : `last on ${owner}`,
  ].join(', ');
}

function todo(name: string, found: readonly EbsVolume[]): string {
  const unused = found.filter(isUnused);
  const [sure] = unused;
  if (sure !== undefined && unused.length === 1) {
    return `${sure.id} was made empty and never formatted, nor had by any node: take the name from that one (${unnaming(name, sure.id)}); it stays as it is, and ls shows it as retained`;
  }
  return `Find out which has the data you want, and take the name from the other, which stays as it is: ${unnaming(name, 'ID')}`;
}

/** Made empty, and by its tags nobody has written on it since. */
export const isUnused = (volume: EbsVolume): boolean =>
  volume.snapshotId === undefined && volume.tags[tagKeys.from] === undefined && isNew(volume);

/** Made by this driver, and by its record and tags nobody has ever attached it. */
export function isNew({ attachments, tags }: EbsVolume): boolean {
  return (
    attachments.length === 0 &&
    tags[tagKeys.generation] !== undefined &&
    (tags[tagKeys.from] !== undefined || tags[tagKeys.formatted] === undefined) &&
    [tagKeys.formatting, tagKeys.owner, tagKeys.epoch].every((key) => tags[key] === undefined)
  );
}

/** What a Remove does to a volume that is to be retained: no name leads to it any more, and its data stays. */
function unnaming(name: string, id: string): string {
  const tags = `Key=${tagKeys.retained},Value=${encodeName(name)}`;
  return `aws ec2 create-tags --resources ${id} --tags ${tags} && aws ec2 delete-tags --resources ${id} --tags Key=${tagKeys.name}`;
}
