/**
 * What fencing writes into a volume's tags, and reads back. EC2 gives a value 256 characters. Each begins with the
 * version of its format; one that is not in it (an operator's edit) counts as absent, one of another version is listed
 * by {@link unknownFormats}. Instances, devices and times are written as in the clean tag. Pure.
 */
import { tagKeys } from '../ebs/tags.ts';
import type { Attachment, Tags } from '../ebs/types.ts';
import { actsOnLive, windowMs } from './damping.ts';
import {
  type Confirmation,
  type Evidence,
  type FenceLogEntry,
  fencePolicies,
  type Intent,
  type OwnerRecord,
} from './types.ts';

const version = '1';
const longest = 256;
const longestReason = 120;
const absent = '-';

/** Each evidence's letter in the fence log. */
const letters: Readonly<Record<Evidence, string>> = {
  clean: 'c',
  terminated: 't',
  stopped: 's',
  'stopped-by-force': 'f',
  confirmed: 'o',
  suspected: 'u',
  preempted: 'p',
};
const evidences = Object.keys(letters) as Evidence[];

/** The value of the owner tag. A scheduler identity too long for it is left out: half of one names nobody. */
export function ownerTag(record: OwnerRecord): string {
  const { instanceId, device, attachTime, boot, scheduler } = record;
  const value = join(instanceId, device, attachTime, boot, scheduler);
  return value.length <= longest ? value : join(instanceId, device, attachTime, boot, undefined);
}

/** Who attached the volume last; undefined when nobody wrote it, or not in a way we know. */
export function readOwner(tags: Tags): OwnerRecord | undefined {
  const [instanceId, device, attachTime, boot, scheduler, ...rest] = split(tags[tagKeys.owner]);
  const named = token(instanceId, device, attachTime);
  if (named === undefined || boot === undefined || rest.length > 0) return undefined;
  return { instanceId: named.victim, device: named.device, attachTime: named.attachTime, boot, scheduler };
}

/** The record of who made this very attachment. */
export function ownerOf(tags: Tags, attachment: Attachment): OwnerRecord | undefined {
  const owner = readOwner(tags);
  return owner !== undefined && isSame(owner, attachment) ? owner : undefined;
}

/**
 * The tag key of an intent: one for each takeover, so that nobody erases another's. Not even its own author's, who may
 * have crashed after sending a detach that still is to arrive.
 */
export function intentKey(taker: string, fenceId: string): string {
  return `${tagKeys.intentPrefix}${taker}.${fenceId}`;
}

/** The value of an intent's tag; its key says who wrote it. */
export function intentTag(intent: Intent): string {
  const { fenceId, victim, device, attachTime, launchTime, policy, evidence } = intent;
  return join(fenceId, victim, device, attachTime, launchTime, policy, evidence);
}

/** All announced takeovers of a volume, whatever attachment they are about. */
export function readIntents(tags: Tags): Intent[] {
  return Object.entries(tags)
    .filter(([key]) => key.startsWith(tagKeys.intentPrefix))
    .flatMap(([key, value]) => readIntent(key.slice(tagKeys.intentPrefix.length).split('.')[0] ?? '', value));
}

/** The announced takeovers of this very attachment. */
export function intentsOf(tags: Tags, attachment: AttachmentName): Intent[] {
  return readIntents(tags).filter(({ victim, ...intent }) => isSame({ ...intent, instanceId: victim }, attachment));
}

function readIntent(taker: string, value: string): Intent[] {
  const [fenceId, victim, device, attachTime, launchTime, ...words] = split(value);
  const policy = fencePolicies.find((each) => each === words[0]);
  const evidence = evidences.find((each) => each === words[1]);
  const named = token(victim, device, attachTime);
  if (fenceId === undefined || named === undefined || words.length > 2) return [];
  if (policy === undefined || evidence === undefined) return [];
  return [{ fenceId, taker, ...named, launchTime, policy, evidence }];
}

/** The value of the tag of an operator's word; its reason becomes one line of at most 120 characters. */
export function confirmationTag({ victim, device, attachTime, reason }: Confirmation): string {
  return `${join(victim, device, attachTime)} ${oneLine(reason, longestReason)}`.trimEnd();
}

/** An operator's word about some attachment of the volume; see {@link confirmationOf}. */
export function readConfirmation(tags: Tags): Confirmation | undefined {
  const value = tags[tagKeys.confirmed];
  const [victim, device, attachTime] = split(value);
  const named = token(victim, device, attachTime);
  if (value === undefined || named === undefined) return undefined;
  return { ...named, reason: value.split(' ').slice(4).join(' ') };
}

/** An operator's word about this very attachment. */
export function confirmationOf(tags: Tags, attachment: Attachment): Confirmation | undefined {
  const confirmation = readConfirmation(tags);
  if (confirmation === undefined) return undefined;
  return isSame({ ...confirmation, instanceId: confirmation.victim }, attachment) ? confirmation : undefined;
}

/** The device names under which this instance has had the volume, as far as its tags remember. */
export function devicesOf(tags: Tags, instanceId: string): string[] {
  const [cleanedBy, cleaned] = (tags[tagKeys.clean] ?? '').split(' ');
  const owner = readOwner(tags);
  const had = [
    { by: cleanedBy, device: cleaned },
    { by: owner?.instanceId, device: owner?.device },
    ...readIntents(tags).map(({ victim, device }) => ({ by: victim, device })),
  ];
  return had.flatMap(({ by, device }) => (by === instanceId && device !== undefined ? [device] : []));
}

/** What tells one attachment of a volume from all others. */
type AttachmentName = {
  readonly [Key in 'instanceId' | 'device' | 'attachTime']: Attachment[Key] | undefined;
};

/** True for the same attachment, whatever its state: a volume may come back to the same instance under the same name. */
export function isSame(one: AttachmentName, other: AttachmentName): boolean {
  return one.instanceId === other.instanceId && one.device === other.device && one.attachTime === other.attachTime;
}

/**
 * The value of the fence-log tag once `entry` has been added: the newest that fit, newest first. What damping counts is
 * kept longest, so that proofs in between cannot make a loop look like none.
 */
export function fenceLogTag(tags: Tags, entry: FenceLogEntry): string {
  const entries = [entry, ...readFenceLog(tags)];
  while (entries.length > 1 && logValue(entries).length > longest) entries.splice(leastNeeded(entries), 1);
  return logValue(entries);
}

/** The last takeovers, newest first; entries that cannot be read are left out. */
export function readFenceLog(tags: Tags): FenceLogEntry[] {
  const value = tags[tagKeys.fenceLog];
  if (value === undefined || !value.startsWith(`${version} `)) return [];
  return value
    .slice(version.length + 1)
    .split('/')
    .flatMap(readLogEntry);
}

/** The seconds in base 36, and no "i-": so that four entries fit. */
function logValue(entries: readonly FenceLogEntry[]): string {
  const texts = entries.map(({ at, fenceId, victim, taker, evidence }) => {
    const seconds = Math.floor(Date.parse(at) / 1000).toString(36);
    return [seconds, encodeField(fenceId).replaceAll('/', encode), bare(victim), bare(taker), letters[evidence]].join(
      ' ',
    );
  });
  return `${version} ${texts.join('/')}`;
}

const bare = (instanceId: string) => encodeField(instanceId.replace(/^i-/, ''));

function readLogEntry(text: string): FenceLogEntry[] {
  const [seconds = '', fenceId, victim, taker, letter, ...rest] = text.split(' ');
  const evidence = evidences.find((each) => letters[each] === letter);
  if (!/^[0-9a-z]{1,7}$/.test(seconds) || rest.length > 0) return [];
  if (!fenceId || !victim || !taker || evidence === undefined) return [];
  const at = new Date(Number.parseInt(seconds, 36) * 1000).toISOString();
  return [
    {
      at,
      fenceId: decodeField(fenceId),
      victim: `i-${decodeField(victim)}`,
      taker: `i-${decodeField(taker)}`,
      evidence,
    },
  ];
}

/** The place of the entry to drop: one older than damping looks back, else a proof, else simply the oldest. */
function leastNeeded(entries: readonly FenceLogEntry[]): number {
  const since = Date.parse(entries[0]?.at ?? '') - windowMs;
  const past = entries.findLastIndex(({ at }) => Date.parse(at) <= since);
  if (past >= 0) return past;
  const proof = entries.findLastIndex(({ evidence }) => !actsOnLive(evidence));
  return proof > 0 ? proof : entries.length - 1;
}

/** How many changes of owner the volume has seen; undefined when the tag holds no positive whole number. */
export function readEpoch(tags: Tags): number | undefined {
  const value = tags[tagKeys.epoch] ?? '';
  return /^[1-9]\d{0,14}$/.test(value) ? Number(value) : undefined;
}

/** The epoch that a holder writes after its AttachVolume succeeded; 1 for a volume without one. */
export function nextEpoch(tags: Tags, isNewOwner: boolean): number {
  const epoch = readEpoch(tags);
  return epoch === undefined ? 1 : epoch + (isNewOwner ? 1 : 0);
}

/** The value of the tag that pauses fencing in the cluster. `at` is for people only. */
export function pauseTag(reason: string, at: string): string {
  return `${oneLine(reason, longestReason) || 'no reason given'} (since ${at})`;
}

/** Why an operator has paused fencing, by one volume's tags. Whatever the tag holds, it pauses. */
export function readPause(tags: Tags): string | undefined {
  const value = tags[tagKeys.paused];
  return value === undefined ? undefined : value.trim() || 'no reason given';
}

/** Keys of the tags of fencing that another version of the driver wrote in a format unknown to this one. */
export function unknownFormats(tags: Tags): string[] {
  const ours: readonly string[] = [tagKeys.owner, tagKeys.confirmed, tagKeys.fenceLog];
  return Object.entries(tags)
    .filter(([key]) => ours.includes(key) || key.startsWith(tagKeys.intentPrefix))
    .filter(([, value]) => /^\d+( |$)/.test(value) && value.split(' ')[0] !== version)
    .map(([key]) => key)
    .sort();
}

function join(...fields: readonly (string | undefined)[]): string {
  return [version, ...fields.map((field) => (field === undefined ? absent : encodeField(field)))].join(' ');
}

/** The fields of a value in our format; none of any other. */
function split(value: string | undefined): (string | undefined)[] {
  const [first, ...fields] = value?.split(' ') ?? [];
  return first === version ? fields.map((field) => (field === absent ? undefined : decodeField(field))) : [];
}

/** What names one attachment, if the three fields can be that. */
function token(victim: string | undefined, device: string | undefined, attachTime: string | undefined) {
  if (victim === undefined || device === undefined || attachTime === undefined) return undefined;
  if (!/^i-./.test(victim) || !/^\/./.test(device) || Number.isNaN(Date.parse(attachTime))) return undefined;
  return { victim, device, attachTime };
}

const encodeField = (field: string) => field.replace(/[%\s]|^-$/g, encode);
const encode = (character: string) => `%${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
const decodeField = (text: string) =>
  text.replace(/%([0-9a-f]{4})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));

/** One line of at most `most` UTF-16 units, cut between characters. */
function oneLine(text: string, most: number): string {
  const line = text.replace(/[\s\p{Cc}\p{Cs}]+/gu, ' ').trim();
  return line.length <= most
    ? line
    : `${line
        .slice(0, most - 1)
        .replace(/[\uD800-\uDBFF]$/, '')
        .trimEnd()}…`;
}
