import { shellWord } from '../../errors.ts';
import type { NodeStatus, NodeVolume, VolumeSize } from '../../volumes/types.ts';
import { summaryOf } from '../fence/words.ts';
import { ageOf, type Column, partOf, type Row, sizeText, tableLines, wrapped } from '../table.ts';
import { proofTexts } from './proofs.ts';

interface StatusOptions {
  /** Only these; all where there are none. */
  readonly names: readonly string[];
  /** Of the terminal; undefined where nothing needs to fit. */
  readonly width: number | undefined;
  /** Milliseconds since 1970. */
  readonly now: number;
}

const columns: readonly Column[] = [
  { title: 'NAME', least: 16 },
  { title: 'VOLUME' },
  { title: 'STATE' },
  { title: 'DEVICE', rank: 2 },
  { title: 'USED', rank: 1 },
  { title: 'HOLDERS', least: 8, rank: 3 },
  { title: 'FOR' },
];

/** Fewer inodes than that are worth a word: df does not show them. */
const mostInodes = 0.9;
/** What Docker shows of an id. */
const shortId = 12;
const namedHolders = 2;

/** The status as lines for people. Pure. */
export function statusLines(status: NodeStatus, { names, width, now }: StatusOptions): string[] {
  const volumes = chosen(status, names);
  const absent = names.filter((name) => !volumes.some((volume) => volume.name === name));
  const table = volumes.length === 0 ? [] : tableLines(columns, volumes.map(rowOf(now)), width);
  const empty = names.length === 0 && volumes.length === 0 ? ['No volume is held on this node.'] : [];
  const about = (texts: readonly string[]) => texts.flatMap((text) => wrapped(text, width));
  return [
    ...about(nodeTexts(status, now)),
    '',
    ...table,
    ...about([...empty, ...absent.map((name) => `${name}: not held on this node, and nothing here waits for it.`)]),
    ...about(takeoverTexts(status, now)).flatMap((line, n) => (n === 0 ? ['', line] : [line])),
  ];
}

/** The volumes of these names; all where there are none. */
export function chosen({ volumes }: NodeStatus, names: readonly string[]): readonly NodeVolume[] {
  return names.length === 0 ? volumes : volumes.filter(({ name }) => names.includes(name));
}

function nodeTexts(status: NodeStatus, now: number): string[] {
  const { slots, draining, paused, reserveUsedSince: full, node } = status;
  const who = node.instanceId === undefined ? 'an instance not known yet' : `${node.instanceId} in ${node.zone}`;
  const limit = slots.limit === undefined ? '' : ` of ${slots.limit}`;
  const ended = { operator: 'docker-volume-ebs drain --cancel ends that', notice: 'as long as the notice stands' };
  return [
    `node ${who}, cluster ${node.cluster}, fence policy ${node.fencePolicy}, ` +
      `disk slots ${slots.used}${limit}, daemon ${node.version} up ${ageOf(status.since, now)}`,
    ...(status.unready === undefined ? [] : [`NOT READY: ${status.unready}`]),
    ...(full === undefined
      ? []
      : [`DISK FULL since ${full}: volumes leave by a reserve, and none comes; free space where DVE_ROOT is`]),
    ...(draining === undefined
      ? []
      : [`DRAINING since ${draining.since}: ${draining.reason} (no new mounts; ${ended[draining.by]})`]),
    ...(paused === undefined ? [] : [`FENCING PAUSED, as seen ${ageOf(paused.seenAt, now)} ago: ${paused.reason}`]),
    ...status.foreign.map(
      ({ name, volumeId, device }) =>
        `NOT OURS: ${volumeId} (${name}) is attached here as ${device}, and not by this daemon: it is left alone, and mounts of it are refused. ` +
        `Once nobody works on it: aws ec2 detach-volume --volume-id ${volumeId} --instance-id ${node.instanceId} --device ${device}`,
    ),
    ...status.notices.map((text) => `NOTICE: ${text}`),
    ...troubleTexts(status),
  ];
}

/** What is wrong though no table shows it, a sentence each. */
function troubleTexts({ ec2, impaired = [], ghosts, volumes, verifications }: NodeStatus): string[] {
  const { failing } = ec2;
  const ec2Fails = { EC2_UNAVAILABLE: 'EC2 DOES NOT ANSWER', EC2_CREDENTIALS: 'EC2 REFUSES THE CREDENTIALS' };
  return [
    ...(failing === undefined ? [] : [`${ec2Fails[failing.code]} since ${failing.since}: ${failing.why}`]),
    ...impaired.map((check) => `IMPAIRED: EC2 shows this instance as impaired: ${check}`),
    ...ghosts.map(
      ({ name, volumeId, at, users }) =>
        `GHOST: the disk of ${name} (${volumeId}) went from this machine at ${at}; restart ` +
        `${users.length === 0 ? 'the container that used it' : users.join(' and ')}, then docker-volume-ebs status --acknowledge`,
    ),
    ...volumes.flatMap(filesystemTexts),
    ...proofTexts(volumes, verifications),
  ];
}

/** A filesystem with less room than this is told of above the table. */
const nearlyFull = 0.95;

function filesystemTexts({ name, fault, usage, size }: NodeVolume): string[] {
  const { used, available } = usage?.bytes ?? { used: 0, available: 1 };
  const share = used / Math.max(1, used + available);
  return [
    ...(fault === undefined ? [] : [`READ-ONLY OR FAILED: the filesystem of ${name}: ${fault}`]),
    ...(share < nearlyFull ? [] : [`NEARLY FULL: the filesystem of ${name} is ${Math.ceil(share * 100)}% full`]),
    ...(size?.refused === undefined ? [] : [`SMALLER THAN ITS DISK: the filesystem of ${name}; see below`]),
  ];
}

const rowOf =
  (now: number) =>
  (volume: NodeVolume): Row => ({
    cells: [
      volume.name,
      volume.volumeId ?? '-',
      stateOf(volume),
      volume.device ?? '-',
      usedOf(volume),
      holdersOf(volume),
      ageOf(volume.since, now),
    ],
    below: remarks(volume),
  });

/** One that nobody holds, and whose release nothing prevents, is kept for the next mount until its linger is over. */
function stateOf({ ghost, fault, phase, holders, waitingFor, rescue }: NodeVolume): string {
  if (ghost) return 'GHOST';
  if (fault !== undefined) return 'FAILED';
  if (rescue !== undefined) return 'rescue';
  return phase === 'attached' && holders.length === 0 && waitingFor === undefined ? 'lingering' : phase;
}

function usedOf({ phase, usage }: NodeVolume): string {
  if (usage === undefined) return phase === 'mounted' ? 'not known' : '-';
  const { used, total, available } = usage.bytes;
  // As df has it: what is kept for root is neither used nor free.
  return `${partOf(used, total)} (${Math.ceil((100 * used) / Math.max(1, used + available))}%)`;
}

/** As containers, where they are seen: these are the ids that an engine shows; a mount id is known to it alone. */
function holdersOf({ holders, users }: NodeVolume): string {
  if (holders.length === 0) return '-';
  const containers = users.flatMap((user) => /container ([0-9a-f-]{12,36})/.exec(user)?.[1] ?? []);
  const named = containers.length === 0 ? holders.map(({ id }) => id) : containers;
  const ids = named.slice(0, namedHolders).map((id) => id.slice(0, shortId));
  const more = named.length > namedHolders ? ', …' : '';
  return `${holders.length} (${ids.join(', ')}${more})`;
}

function remarks({
  name,
  users,
  ghost,
  fault,
  waitingFor,
  usage,
  rescue,
  size,
  autoGrow,
  snapshots,
  initialized,
}: NodeVolume): string[] {
  const inodes = usage === undefined ? 0 : usage.inodes.used / Math.max(1, usage.inodes.total);
  return [
    ...(ghost
      ? ['its disk is gone from this machine: containers that use it get I/O errors and must be restarted']
      : []),
    ...(fault === undefined
      ? []
      : [`${fault}: stop all containers that use it, and the next mount checks and mounts it anew`]),
    ...(rescue === undefined
      ? []
      : [`its disk is ${rescue.path}; docker-volume-ebs rescue ${shellWord(name)} --end gives it back`]),
    ...(size?.refused === undefined ? [] : [smallerText(size)]),
    ...(autoGrow?.warning === undefined ? [] : [`grows by itself, but ${autoGrow.warning}`]),
    ...(snapshots?.warning === undefined ? [] : [`its snapshots are not as its schedule says: ${snapshots.warning}`]),
    ...(initialized === undefined ? [] : [initializedText(initialized)]),
    ...(users.length === 0 ? [] : [`used by ${users.join(', ')}`]),
    ...(waitingFor === undefined ? [] : [`waits for ${waitingFor}`]),
    ...(inodes < mostInodes ? [] : [`${Math.floor(inodes * 100)}% of its inodes are used`]),
  ];
}

function initializedText({ share, secondsLeft }: NonNullable<NodeVolume['initialized']>): string {
  const left = secondsLeft === undefined ? '' : `, for about ${Math.ceil(secondsLeft / 60)} minutes more`;
  return `EC2 has fetched ${Math.floor(share * 100)}% of what it was made from${left}: the rest is slow to read the first time`;
}

function smallerText({ diskBytes, filesystemBytes, refused }: VolumeSize): string {
  const filesystem = filesystemBytes === undefined ? 'is smaller' : `${sizeText(filesystemBytes)}`;
  return `its disk has ${sizeText(diskBytes)}, its filesystem ${filesystem}, and does not grow: ${refused}`;
}

function takeoverTexts({ takeovers, fencesDone: fences }: NodeStatus, now: number): string[] {
  const none = Object.keys(fences.decisions).length === 0;
  return [
    ...takeovers.map(
      ({ fenceId, volume, volumeId, instanceId, device, since }) =>
        `takeover ${fenceId} of ${volume} (${volumeId} on ${instanceId}, ${device}), for ${ageOf(since, now)}`,
    ),
    ...(none ? [] : [`Fencing since the daemon's start: ${summaryOf(fences)}`]),
  ];
}
