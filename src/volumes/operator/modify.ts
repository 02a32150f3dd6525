import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume, Tags, VolumeModification, VolumeShape } from '../../ebs/types.ts';
import { attachmentOf, ownerText } from '../../ebs/volume-record.ts';
import { DriverError, shellWord } from '../../errors.ts';
import { fills } from '../../host/grow.ts';
import { nearest } from '../../spelling.ts';
import { modifiable, notesOn, readWanted } from '../growth/asked.ts';
import { type Change, differing, modify } from '../growth/modify.ts';
import { growthComplaint, growthOptions, growthOptionTags, optionOfTag } from '../options/growth-options.ts';
import { readOption, whyBad } from '../options/options.ts';
import { heldAs } from '../state/held.ts';
import { noSuchVolume } from '../state/lookup.ts';
import { keep, type Node } from '../state/node.ts';
import type { ShownShape } from './modify-report.ts';
import { changed, type TagChange, writeTags } from './set.ts';
import type { ModifyReport, OptionChange } from './types.ts';

const tried = 'modify it';
const known = [...modifiable, ...growthOptions];

/**
 * Changes an existing volume: its size, type and performance by ModifyVolume, how it grows by itself in its tags. Asked
 * again with the same values it comes to the same. Runs in the volume's queue.
 * @param given texts by the option's name at create; an empty one takes an option of automatic growth off.
 * @throws DriverError INVALID_OPTION, NO_SUCH_VOLUME, EC2_*.
 */
export async function modifyVolume(
  node: Node,
  name: string,
  given: Readonly<Record<string, string>>,
  { dryRun }: { readonly dryRun: boolean },
): Promise<ModifyReport> {
  refuseUnknown(name, given);
  const volume = await described(node, name);
  const wanted = readWanted(name, volume, given);
  const change = differing(volume, wanted);
  const tags = growthChanges(name, volume, change, given);
  const changes = changesOf(volume, change, tags);
  const notes = [...notesOn(volume, change), ...notesElsewhere(node, name, volume, tags)];
  if (dryRun) return { ...report(node, name, volume, undefined, change), changes, notes, sent: false };
  if (tags.length > 0) await writeTags(node, volume.id, tags);
  const { modification, sent } =
    Object.keys(wanted).length === 0
      ? { modification: undefined, sent: false }
      : await modify(node, name, volume, wanted);
  await noteRecord(node, name, { ...volume, tags: changed(volume.tags, tags) }, change);
  if (changes.length > 0) node.log.info({ volume: name, volumeId: volume.id, changes }, 'an operator has modified it');
  return { ...report(node, name, volume, modification, change), changes, notes, sent };
}

/** How far the last modification of a volume is. @throws DriverError NO_SUCH_VOLUME, EC2_*. */
export async function modificationOf(node: Node, name: string): Promise<ModifyReport> {
  const volume = await described(node, name);
  const modification = await node.ec2.describeModification(volume.id);
  return {
    ...report(node, name, volume, modification, modification?.target ?? {}),
    changes: [],
    notes: [],
    sent: false,
  };
}

/** The volume as EC2 has it now. */
async function described(node: Node, name: string): Promise<EbsVolume> {
  const held = heldAs(node.held, name);
  const found = await (held === undefined ? node.lookup.find(name) : node.ec2.describeVolume(held.volume.id));
  if (found === undefined) throw noSuchVolume(name, tried);
  // EC2 may not show yet what this node has just written.
  return { ...found, tags: { ...held?.volume.tags, ...found.tags } };
}

function refuseUnknown(name: string, given: Readonly<Record<string, string>>): void {
  const stranger = Object.keys(given).find((option) => !known.some((each) => each === option));
  if (stranger === undefined) return;
  const guess = nearest(stranger, known);
  refuse(
    name,
    `${stranger} cannot be modified`,
    `${guess === undefined ? '' : `Did you mean ${guess}? `}These can: ${known.join(', ')}`,
  );
}

function growthChanges(
  name: string,
  { tags, sizeGib }: EbsVolume,
  change: Change,
  given: Readonly<Record<string, string>>,
): TagChange[] {
  const options = growthOptions.filter((option) => given[option] !== undefined);
  // Without autoGrow the others say nothing.
  const off = given['autoGrow'] !== undefined && isOff(given['autoGrow']);
  const wanted = new Map<string, string | undefined>(
    off
      ? growthOptions.map((option) => [growthOptionTags[option], undefined])
      : options.map((option) => [growthOptionTags[option], readText(name, option, given[option] ?? '')]),
  );
  const after = { ...tags, ...Object.fromEntries(wanted) };
  if (wanted.size > 0 && !off) {
    const most = after[tagKeys.autoGrowMax];
    const complaint = growthComplaint({
      autoGrow: after[tagKeys.autoGrow],
      autoGrowBy: after[tagKeys.autoGrowBy],
      autoGrowMax: most === undefined ? undefined : Number(most),
      size: change.sizeGib ?? sizeGib,
    });
    if (complaint !== undefined) refuse(name, ...complaint);
  }
  return [...wanted].filter(([key, value]) => tags[key] !== value);
}

/** Who has it mounted reads its tags at an attach, and looks at them again only before it grows it. */
function notesElsewhere(node: Node, name: string, volume: EbsVolume, tags: readonly TagChange[]): string[] {
  const owner = attachmentOf(volume);
  if (tags.length === 0 || owner === undefined || heldAs(node.held, name) !== undefined) return [];
  return [
    `${ownerText(owner)} has it: run the same there for how it grows by itself to count there before the next attach`,
  ];
}

const isOff = (text: string): boolean => ['', 'off'].includes(text.trim().toLowerCase());

function readText(name: string, option: (typeof growthOptions)[number], text: string): string | undefined {
  if (isOff(text)) return undefined;
  try {
    return String(readOption(option, text.trim()));
  } catch (error) {
    return refuse(name, ...whyBad(option, text, error));
  }
}

function changesOf(volume: EbsVolume, change: Change, tags: readonly TagChange[]): OptionChange[] {
  const text = (value: unknown) => (value === undefined ? undefined : String(value));
  const shape = Object.entries(change).map(([key, value]) => ({
    option: key === 'sizeGib' ? 'size' : key,
    was: text(volume[key as keyof VolumeShape]),
    is: text(value),
  }));
  const growth = tags.map(([key, is]) => ({
    option: optionOfTag(key),
    was: volume.tags[key],
    is,
  }));
  return [...shape, ...growth];
}

/** What is held here has its options at once; its size is the disk's. */
async function noteRecord(node: Node, name: string, { id, tags }: { id: string; tags: Tags }, change: Change) {
  const held = heldAs(node.held, name);
  if (held?.volume.id !== id) return;
  const { sizeGib: _, ...performance } = change;
  await keep(node, { ...held, volume: { ...held.volume, ...performance, tags } });
}

function report(
  node: Node,
  name: string,
  volume: EbsVolume,
  modification: VolumeModification | undefined,
  change: Change,
): Omit<ModifyReport, 'changes' | 'notes' | 'sent'> {
  const original = modification?.original ?? volume;
  const before = shown(original);
  const after = shown({ ...original, ...(modification?.target ?? change) });
  const { state, progress, startedAt, message } = modification ?? {};
  const filesystem = filesystemHere(node, name);
  const owner = attachmentOf(volume);
  return {
    name,
    volumeId: volume.id,
    before,
    after,
    modification: state && { state, progress: progress ?? 0, startedAt: startedAt ?? '', message },
    filesystem,
    done: modification === undefined || isDone(modification, filesystem),
    next: whatFollows(node, name, owner && ownerText(owner), before.sizeGiB !== after.sizeGiB),
  };
}

const shown = ({ sizeGib: sizeGiB, type, iops, throughput }: VolumeShape): ShownShape => ({
  sizeGiB,
  type,
  iops,
  throughput,
});

/** Its disk and filesystem where they are mounted here. */
function filesystemHere({ held, sizes }: Node, name: string): ModifyReport['filesystem'] {
  const here = heldAs(held, name);
  const size = sizes.get(name);
  if (here?.phase !== 'mounted' || size === undefined) return undefined;
  return { ...size, filesystemBytes: here.filesystemBytes };
}

function isDone(modification: VolumeModification, filesystem: ModifyReport['filesystem']): boolean {
  if (modification.state === 'modifying') return false;
  if (modification.state === 'failed' || filesystem === undefined) return true;
  const { diskBytes, filesystemBytes, refused } = filesystem;
  const isHere = diskBytes >= modification.target.sizeGib * 2 ** 30;
  return isHere && (refused !== undefined || fills(filesystemBytes, diskBytes));
}

/** What happens to the filesystem, as a sentence without its full stop. */
function whatFollows(node: Node, name: string, owner: string | undefined, isLarger: boolean): string | undefined {
  if (!isLarger) return undefined;
  const held = heldAs(node.held, name);
  if (held?.phase === 'mounted') return 'Its filesystem grows here within 10 s of its disk';
  if (held !== undefined || owner === undefined) return 'Its filesystem grows at the next mount';
  return `${owner} has it: its filesystem grows there within 10 s of its disk (docker-volume-ebs status ${shellWord(name)} there)`;
}

const refuse = (volume: string, why: string, todo: string): never => {
  throw new DriverError('INVALID_OPTION', { volume, tried, why, todo });
};
