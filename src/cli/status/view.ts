import { shellWord } from '../../errors.ts';
import { type Counters, summaryOf } from '../fence/fence.ts';
import { ageOf, type Column, partOf, type Row, tableLines, wrapped } from '../table.ts';

/** What the daemon answers; see dvdi/seen.ts. */
export interface Status {
  readonly InstanceId: string;
  readonly Zone: string;
  readonly Cluster: string;
  readonly FencePolicy: string;
  readonly Version: string;
  readonly Since: string;
  readonly Unready: string;
  /** Absent in answers of version 0.1.0. */
  readonly ReserveUsedSince?: string;
  readonly Draining?: { readonly Reason: string; readonly By: 'operator' | 'notice'; readonly Since: string };
  readonly Slots: { readonly Used: number; readonly Limit?: number };
  readonly Volumes: readonly StatusVolume[];
  readonly Foreign: readonly { readonly Name: string; readonly VolumeId: string; readonly Device: string }[];
  readonly Takeovers: readonly {
    readonly FenceId: string;
    readonly Volume: string;
    readonly VolumeId: string;
    readonly Owner: string;
    readonly Device: string;
    readonly Since: string;
  }[];
  readonly Paused?: { readonly Reason: string; readonly SeenAt: string };
  readonly Fences: Counters;
  readonly Notices: readonly string[];
}

export interface StatusVolume {
  readonly Name: string;
  readonly VolumeId: string;
  readonly Phase: 'attaching' | 'attached' | 'mounted' | 'detaching' | 'waiting';
  readonly Device: string;
  readonly Mountpoint: string;
  readonly Holders: readonly { readonly Id: string; readonly Since: string }[];
  readonly Since: string;
  readonly WaitingFor: string;
  readonly Rescue?: { readonly Path: string; readonly SnapshotId: string };
  readonly Ghost: boolean;
  readonly Fault: string;
  readonly Usage?: {
    readonly Bytes: { readonly Total: number; readonly Used: number; readonly Available: number };
    readonly Inodes: { readonly Total: number; readonly Used: number };
  };
}

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
export function statusLines(status: Status, { names, width, now }: StatusOptions): string[] {
  const volumes = chosen(status, names);
  const absent = names.filter((name) => !volumes.some(({ Name }) => Name === name));
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
export function chosen({ Volumes: volumes }: Status, names: readonly string[]): readonly StatusVolume[] {
  return names.length === 0 ? volumes : volumes.filter(({ Name }) => names.includes(Name));
}

function nodeTexts(status: Status, now: number): string[] {
  const { Slots: slots, Draining: draining, Paused: paused, ReserveUsedSince: full = '' } = status;
  const who = status.InstanceId === '' ? 'an instance not known yet' : `${status.InstanceId} in ${status.Zone}`;
  const limit = slots.Limit === undefined ? '' : ` of ${slots.Limit}`;
  const ended = { operator: 'docker-volume-ebs drain --cancel ends that', notice: 'as long as the notice stands' };
  return [
    `node ${who}, cluster ${status.Cluster}, fence policy ${status.FencePolicy}, ` +
      `disk slots ${slots.Used}${limit}, daemon ${status.Version} up ${ageOf(status.Since, now)}`,
    ...(status.Unready === '' ? [] : [`NOT READY: ${status.Unready}`]),
    ...(full === ''
      ? []
      : [`DISK FULL since ${full}: volumes leave by a reserve, and none comes; free space where DVE_ROOT is`]),
    ...(draining === undefined
      ? []
      : [`DRAINING since ${draining.Since}: ${draining.Reason} (no new mounts; ${ended[draining.By]})`]),
    ...(paused === undefined ? [] : [`FENCING PAUSED, as seen ${ageOf(paused.SeenAt, now)} ago: ${paused.Reason}`]),
    ...status.Foreign.map(
      ({ Name, VolumeId, Device }) =>
        `NOT OURS: ${VolumeId} (${Name}) is attached here as ${Device}, and not by this daemon: it is left alone, and mounts of it are refused. ` +
        `Once nobody works on it: aws ec2 detach-volume --volume-id ${VolumeId} --instance-id ${status.InstanceId} --device ${Device}`,
    ),
    ...status.Notices.map((text) => `NOTICE: ${text}`),
  ];
}

const rowOf =
  (now: number) =>
  (volume: StatusVolume): Row => ({
    cells: [
      volume.Name,
      volume.VolumeId || '-',
      stateOf(volume),
      volume.Device || '-',
      usedOf(volume),
      holdersOf(volume),
      ageOf(volume.Since, now),
    ],
    below: remarks(volume),
  });

/** One that nobody holds, and whose release nothing prevents, is kept for the next mount until its linger is over. */
function stateOf({ Ghost, Fault, Phase, Holders, WaitingFor, Rescue }: StatusVolume): string {
  if (Ghost) return 'GHOST';
  if (Fault !== '') return 'FAILED';
  if (Rescue !== undefined) return 'rescue';
  return Phase === 'attached' && Holders.length === 0 && WaitingFor === '' ? 'lingering' : Phase;
}

function usedOf({ Phase, Usage: usage }: StatusVolume): string {
  if (usage === undefined) return Phase === 'mounted' ? 'not known' : '-';
  const { Used, Total, Available } = usage.Bytes;
  // As df has it: what is kept for root is neither used nor free.
  return `${partOf(Used, Total)} (${Math.ceil((100 * Used) / Math.max(1, Used + Available))}%)`;
}

function holdersOf({ Holders: holders }: StatusVolume): string {
  if (holders.length === 0) return '-';
  const ids = holders.slice(0, namedHolders).map(({ Id }) => Id.slice(0, shortId));
  const more = holders.length > namedHolders ? ', …' : '';
  return `${holders.length} (${ids.join(', ')}${more})`;
}

function remarks({ Name, Ghost, Fault, WaitingFor, Usage, Rescue }: StatusVolume): string[] {
  const inodes = Usage === undefined ? 0 : Usage.Inodes.Used / Math.max(1, Usage.Inodes.Total);
  return [
    ...(Ghost
      ? ['its disk is gone from this machine: containers that use it get I/O errors and must be restarted']
      : []),
    ...(Fault === ''
      ? []
      : [`${Fault}: stop all containers that use it, and the next mount checks and mounts it anew`]),
    ...(Rescue === undefined
      ? []
      : [`its disk is ${Rescue.Path}; docker-volume-ebs rescue ${shellWord(Name)} --end gives it back`]),
    ...(WaitingFor === '' ? [] : [`waits for ${WaitingFor}`]),
    ...(inodes < mostInodes ? [] : [`${Math.floor(inodes * 100)}% of its inodes are used`]),
  ];
}

function takeoverTexts({ Takeovers: takeovers, Fences: fences }: Status, now: number): string[] {
  const none = Object.keys(fences.Decisions).length === 0;
  return [
    ...takeovers.map(
      ({ FenceId, Volume, VolumeId, Owner, Device, Since }) =>
        `takeover ${FenceId} of ${Volume} (${VolumeId} on ${Owner}, ${Device}), for ${ageOf(Since, now)}`,
    ),
    ...(none ? [] : [`Fencing since the daemon's start: ${summaryOf(fences)}`]),
  ];
}
