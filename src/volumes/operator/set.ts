import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume, Tags } from '../../ebs/types.ts';
import { attachmentOf, ownerText } from '../../ebs/volume-record.ts';
import { DriverError } from '../../errors.ts';
import { filesystemTypes } from '../../host/types.ts';
import { nearest } from '../../spelling.ts';
import { doneIn, duesOf, scheduleOf } from '../copies/dues.ts';
import { type DiskPlan, filesystemComplaint } from '../options/filesystem-options.ts';
import { mountTags } from '../options/mount-plan.ts';
import { readOption, whyBad } from '../options/options.ts';
import { heldAs } from '../state/held.ts';
import { noSuchVolume } from '../state/lookup.ts';
import { keep, type Node } from '../state/node.ts';
import type { OptionChange, OptionsSet } from './types.ts';

/** The options of an existing volume that can be changed, and their tags. */
const settable = {
  ...mountTags,
  snapshots: tagKeys.snapshots,
  onRemove: tagKeys.onRemove,
  verify: tagKeys.verify,
} as const;
type Option = keyof typeof settable;
const options = Object.keys(settable) as Option[];

const tried = 'set its options';
const atRemoval = 'It counts when the volume is removed, on whichever node';

/**
 * Changes the options that say how an existing volume is mounted, its schedules of snapshots and verifications, and what its removal does; an
 * empty text takes an option off. They are read as at create and written to the volume's tags; nothing that is mounted changes. Runs in the volume's queue, so that no mount
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
    .map(([option, is]): OptionChange => ({ option, was: volume.tags[settable[option as Option]], is }))
    .filter(({ was, is }) => was !== is);
  const keyed = wanted.map(([option, is]) => [settable[option as Option], is] as const);
  if (!dryRun) {
    await writeTags(
      node,
      volume.id,
      keyed.filter(([key, is]) => volume.tags[key] !== is),
    );
    // What an attachment that is here goes by is its record, which another node's change has not reached.
    const now = heldAs(node.held, name);
    if (now !== undefined && keyed.some(([key, is]) => now.volume.tags[key] !== is)) {
      await keep(node, { ...now, volume: { ...now.volume, tags: changed(now.volume.tags, keyed) } });
    }
    if (changes.length > 0)
      node.log.info({ volume: name, volumeId: volume.id, changes }, 'an operator has set its options');
  }
  const after = { ...volume, tags: changed(volume.tags, keyed) };
  const ofMount = changes.some(({ option }) => !['snapshots', 'onRemove', 'verify'].includes(option));
  const effective = [
    ...(ofMount || changes.length === 0 ? [whenEffective(node, name, volume)] : []),
    ...(changes.some(({ option }) => option === 'onRemove') ? [atRemoval] : []),
    ...('snapshots' in given ? [whenTaken(node, name, after)] : []),
    ...('verify' in given ? [whenVerified(after)] : []),
  ];
  return { volumeId: volume.id, changes, effective: effective.join('. ') };
}

/** What becomes of verifications, as a sentence without its full stop. */
const whenVerified = ({ tags }: EbsVolume): string =>
  tags[tagKeys.verify] === undefined
    ? 'Its snapshots are no longer verified by themselves'
    : 'The node that has it verifies its newest snapshot, once in each of these times; another than this one from its next attachment on';

/** What becomes of a schedule, as a sentence without its full stop. */
function whenTaken(node: Node, name: string, volume: EbsVolume): string {
  if (scheduleOf(volume.tags) === undefined) return 'No more are taken by a schedule; those that are there stay';
  const held = heldAs(node.held, name);
  const owner = attachmentOf(volume);
  if (held !== undefined) {
    const at = duesOf({ ...held, volume }, doneIn(volume.tags), Date.now())?.at ?? Date.now();
    const next = new Date(Math.max(at, Date.now())).toISOString().slice(0, 16);
    return `The next one is taken at ${next} UTC if it is in use then, or when it is given back`;
  }
  if (owner === undefined)
    return 'The first one is taken at the beginning of a slot in which it is in use, or when it is given back';
  return `${ownerText(owner)} has it, and goes by this from its next slot on; where it had no schedule, from when the same is set there, or when it is attached anew`;
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
    const written = known === 'mode' ? Number(value).toString(8).padStart(4, '0') : String(value);
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
