import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume, Tags } from '../../ebs/types.ts';
import { attachmentOf, ownerText } from '../../ebs/volume-record.ts';
import { DriverError } from '../../errors.ts';
import { filesystemTypes } from '../../host/types.ts';
import { nearest } from '../../spelling.ts';
import { type DiskPlan, filesystemComplaint } from '../options/filesystem-options.ts';
import { mountTags } from '../options/mount-plan.ts';
import { readOption, whyBad } from '../options/options.ts';
import { heldAs } from '../state/held.ts';
import { noSuchVolume } from '../state/lookup.ts';
import { keep, type Node } from '../state/node.ts';
import type { OptionChange, OptionsSet } from './types.ts';

type Option = keyof typeof mountTags;
const options = Object.keys(mountTags) as Option[];

const tried = 'set its options';

/**
 * Changes the options that say how an existing volume is mounted; an empty text takes an option off. They are read as at
 * create and written to the volume's tags; nothing that is mounted changes. Runs in the volume's queue, so that no mount
 * reads half of them.
 * @param given by the option's name, as `mountOptions`.
 * @throws DriverError INVALID_OPTION; NO_SUCH_VOLUME; EC2_*.
 */
export async function setOptions(
  node: Node,
  name: string,
  given: Readonly<Record<string, string>>,
  { dryRun }: { readonly dryRun: boolean },
): Promise<OptionsSet> {
  const held = heldAs(node.held, name);
  const found = await (held === undefined ? node.lookup.find(name) : node.ec2.describeVolume(held.volume.id));
  if (found === undefined) throw noSuchVolume(name, tried);
  // EC2 may not show yet what this node has just written, as that it is formatted.
  const volume = { ...found, tags: { ...held?.volume.tags, ...found.tags } };
  const wanted = Object.entries(given).map(([option, text]) => [option, asTag(name, option, text)] as const);
  refuseUnusable(node, name, volume, Object.fromEntries(wanted));
  const changes = wanted
    .map(([option, is]): OptionChange => ({ option, was: volume.tags[mountTags[option as Option]], is }))
    .filter(({ was, is }) => was !== is);
  if (!dryRun && changes.length > 0) {
    const keyed = changes.map(({ option, is }) => [mountTags[option as Option], is] as const);
    await writeTags(node, volume.id, keyed);
    // The next mount of an attachment that is here goes by its record.
    const now = heldAs(node.held, name);
    if (now !== undefined)
      await keep(node, { ...now, volume: { ...now.volume, tags: changed(now.volume.tags, keyed) } });
    node.log.info({ volume: name, volumeId: volume.id, changes }, 'an operator has set its options');
  }
  return { volumeId: volume.id, changes, effective: whenEffective(node, name, volume) };
}

/** The text that the option's tag gets; undefined for none. */
function asTag(name: string, option: string, text: string): string | undefined {
  const known = options.find((each) => each === option);
  if (known === undefined) {
    const guess = nearest(option, options);
    const todo = `${guess === undefined ? '' : `Did you mean ${guess}? `}These can be set: ${options.join(', ')}`;
    return refuse(name, `${option} is no option of an existing volume`, todo);
  }
  if (text.trim() === '') return undefined;
  try {
    const value = readOption(known, text.trim());
    const written = known === 'mode' ? value.toString(8).padStart(4, '0') : String(value);
    return written.length <= 256
      ? written
      : refuse(name, `${option} does not fit a tag of 256 characters`, 'Shorten it');
  } catch (error) {
    if (error instanceof DriverError) throw error;
    return refuse(name, ...whyBad(option, text, error));
  }
}

function refuseUnusable(
  { settings }: Node,
  name: string,
  { tags, snapshotId }: EbsVolume,
  wanted: Readonly<Partial<Record<Option, string | undefined>>>,
): void {
  const formatted = tags[tagKeys.formatted];
  if ('mkfsOptions' in wanted && formatted !== undefined) {
    refuse(name, `it is formatted (${formatted}), and never again`, 'Leave mkfsOptions as they are');
  }
  const type = filesystemTypes.find((each) => each === (formatted ?? tags[tagKeys.fsType]));
  const isNew = formatted === undefined && snapshotId === undefined && tags[tagKeys.adopted] === undefined;
  const disk: DiskPlan = {
    types: type === undefined ? filesystemTypes : [type],
    isNew,
    madeWith: wanted.mkfsOptions ?? tags[tagKeys.mkfsOptions] ?? '',
  };
  // What it has already is not judged: each option may be wrong, and is corrected by itself.
  const complaint = filesystemComplaint(wanted, disk, settings);
  if (complaint !== undefined) refuse(name, ...complaint);
}

const refuse = (volume: string, why: string, todo: string): never => {
  throw new DriverError('INVALID_OPTION', { volume, tried, why, todo });
};

/** A tag to write; undefined to take it off. */
export type TagChange = readonly [key: string, value: string | undefined];

const written = (changes: readonly TagChange[]): Tags =>
  Object.fromEntries(changes.flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])));

/** Writes tags and takes others off. */
export async function writeTags({ ec2 }: Node, id: string, changes: readonly TagChange[]): Promise<void> {
  const gone = changes.filter(([, value]) => value === undefined);
  const kept = written(changes);
  if (Object.keys(kept).length > 0) await ec2.createTags(id, kept);
  if (gone.length > 0) await ec2.deleteTags(id, Object.fromEntries(gone));
}

/** Tags as they are after that. */
export function changed(tags: Tags, changes: readonly TagChange[]): Tags {
  const keys = new Set(changes.map(([key]) => key));
  const others = Object.entries(tags).filter(([key]) => !keys.has(key));
  return { ...Object.fromEntries(others), ...written(changes) };
}

function whenEffective(node: Node, name: string, volume: EbsVolume): string {
  const held = heldAs(node.held, name);
  if (held?.phase === 'mounted' && held.holders.length > 0) {
    return 'It is mounted here: they take effect when all who use it have ended and it is mounted again';
  }
  const owner = attachmentOf(volume);
  if (held === undefined && owner !== undefined) {
    return `${ownerText(owner)} has it: they take effect when it is attached anew`;
  }
  return 'They take effect at the next mount';
}
