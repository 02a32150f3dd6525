/** What the model of fencing remembers: one volume, its holder A, two takers, and what EC2 would answer about them. */
import type { History } from './reads.ts';

export const nodeNames = ['A', 'B', 'C'] as const;
export type NodeName = (typeof nodeNames)[number];

/** `asleep` is hibernated: EC2 says stopped, and the guest comes back with its mounts. */
export const powers = ['running', 'stopping', 'stopped', 'asleep'] as const;
export type Power = (typeof powers)[number];

/**
 * How far A's daemon has come with its attachment; the driver's phases (volumes/state/held.ts), of which detaching has three
 * parts here: `told`, the clean tag is written; `sent`, the detach is on its way. `found`, `quarantined`, `sure`: how the
 * other protocol keeps an attachment over a boot.
 */
export const phases = [
  'none',
  'attaching',
  'attached',
  'mounted',
  'detaching',
  'told',
  'sent',
  'found',
  'quarantined',
  'sure',
] as const;
export type Phase = (typeof phases)[number];

export interface Holder {
  readonly power: Power;
  readonly phase: Phase;
  /** The attachment that the phase is about; 0 in phase none. */
  readonly lease: number;
}

export interface Taker {
  /** The next step of its plan; `mounted` when it has the volume. */
  readonly at: number;
  /** The attachment it judges, or its own. */
  readonly lease: number;
  /** It has crashed after it announced itself, and begun anew: a detach of its own may be on its way that it knows nothing of. */
  readonly crashed: boolean;
}

/** Places of a taker beyond every plan: it has the volume; it has crashed for good. */
export const mounted = 15;
export const gone = 14;

/** Attachments ("leases"), instance records and tags are numbers of the catalogue (catalogue.ts); 0 is no attachment. */
export interface State {
  readonly holder: Holder;
  readonly takers: readonly [Taker, Taker];
  /** EC2's truth: who has the volume. */
  readonly lease: number;
  /** What EC2's reads may answer. */
  readonly volume: History;
  readonly instance: History;
  readonly tags: History;
  /** DetachVolume calls on their way, by the attachment each is meant for; sorted. */
  readonly detaches: readonly number[];
  /** A's AttachVolume on its way: the attachment it would make; 0 is none. */
  readonly attach: number;
  /** A StopInstances call on its way. */
  readonly stop: boolean;
  /** Attachments made so far, and the second in which the last was made. */
  readonly leases: number;
  readonly second: number;
  /** The second of A's last start, where the protocol looks at it. */
  readonly launched: number;
  /** What may still happen to A. */
  readonly left: Left;
}

export interface Left {
  /** Starts after a stop, and reboots. */
  readonly boots: number;
  readonly releases: number;
  readonly attaches: number;
  readonly sleeps: number;
}

/** Calls on their way at one time; no more are sent. */
export const maxDetaches = 3;

/** Cells of a list; a shorter one ends with a number that no item has. */
const listWidth = 4;
const nothing = 0xffff;

/** Cells of a state. */
export const width = 7 + 4 * listWidth;

/** Writes a state as `width` cells. */
export function encode(state: State, rows: Uint16Array, at: number): void {
  const { holder, takers, left } = state;
  rows[at] = powers.indexOf(holder.power) | (phases.indexOf(holder.phase) << 3) | (holder.lease << 8);
  rows[at + 1] = takerCell(takers[0]);
  rows[at + 2] = takerCell(takers[1]);
  rows[at + 3] = state.lease;
  rows[at + 4] = state.attach | (state.stop ? 0x100 : 0) | (state.launched << 9);
  rows[at + 5] = state.leases | (state.second << 8);
  rows[at + 6] = left.boots | (left.releases << 4) | (left.attaches << 8) | (left.sleeps << 12);
  writeList(state.volume, rows, at + 7);
  writeList(state.instance, rows, at + 7 + listWidth);
  writeList(state.tags, rows, at + 7 + 2 * listWidth);
  writeList(state.detaches, rows, at + 7 + 3 * listWidth);
}

const takerCell = ({ at, lease, crashed }: Taker): number => at | (crashed ? 16 : 0) | (lease << 5);

function writeList(list: readonly number[], rows: Uint16Array, at: number): void {
  for (let index = 0; index < listWidth; index++) rows[at + index] = list[index] ?? nothing;
}

/** The state that {@link encode} wrote. */
export function decode(rows: Uint16Array, at: number): State {
  const cell = (offset: number): number => rows[at + offset]!;
  const taker = (offset: number): Taker => ({
    at: cell(offset) & 15,
    lease: cell(offset) >> 5,
    crashed: (cell(offset) & 16) !== 0,
  });
  return {
    holder: { power: powers[cell(0) & 7]!, phase: phases[(cell(0) >> 3) & 31]!, lease: cell(0) >> 8 },
    takers: [taker(1), taker(2)],
    lease: cell(3),
    attach: cell(4) & 0xff,
    stop: (cell(4) & 0x100) !== 0,
    launched: cell(4) >> 9,
    leases: cell(5) & 0xff,
    second: cell(5) >> 8,
    left: {
      boots: cell(6) & 15,
      releases: (cell(6) >> 4) & 15,
      attaches: (cell(6) >> 8) & 15,
      sleeps: cell(6) >> 12,
    },
    volume: readList(rows, at + 7),
    instance: readList(rows, at + 7 + listWidth),
    tags: readList(rows, at + 7 + 2 * listWidth),
    detaches: readList(rows, at + 7 + 3 * listWidth),
  };
}

function readList(rows: Uint16Array, at: number): number[] {
  const list: number[] = [];
  for (let cell = at; cell < at + listWidth && rows[cell] !== nothing; cell++) list.push(rows[cell]!);
  return list;
}
