import type { Moment } from '../../src/sandbox/moments.ts';
import { readRecords, type WrittenRecord } from './writer-records.ts';

/** One writer's time, as those who asked it to write know it. */
export interface Term {
  readonly epoch: number;
  readonly node: string;
  /** Milliseconds since 1970: when its node's Mount was answered. */
  readonly mountedAt: number;
  /** The numbers of the records that were acknowledged to be safe. */
  readonly acknowledged: readonly number[];
  /** When it acknowledged its last record. */
  readonly lastAt: number;
}

export interface Findings {
  /** Acknowledged records that are there. */
  readonly checked: number;
  /** What must never be, a sentence each. */
  readonly violations: readonly string[];
}

/**
 * Looks whether a volume's file holds what its writers, one after another, were promised: every acknowledged record,
 * numbers without a gap, epochs that never decrease, each of one node, and no two writers at a time. Pure.
 */
export function checkRecords(file: Buffer, terms: readonly Term[]): Findings {
  const { records, later } = readRecords(file);
  const hole = later === 0 ? [] : [`${later} records are behind a place that holds none, after ${records.length}`];
  const lost = terms.map((term) => lostOf(records, term));
  const promised = terms.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0);
  return {
    checked: promised - lost.flat().length,
    violations: [
      ...hole,
      ...terms.flatMap((term, index) => sayLost(records, term, lost[index] ?? [])),
      ...disorder(records),
      ...together(terms),
    ],
  };
}

/** The acknowledged numbers at whose place there is no record of this term. */
function lostOf(records: readonly WrittenRecord[], { epoch, node, acknowledged }: Term): number[] {
  return acknowledged.filter((number) => {
    const found = records[number - 1];
    return found?.epoch !== epoch || found.node !== node;
  });
}

function sayLost(records: readonly WrittenRecord[], { epoch, node, acknowledged }: Term, lost: number[]): string[] {
  const [first] = lost;
  if (first === undefined) return [];
  const found = records[first - 1];
  const instead = found === undefined ? `there are ${records.length}` : `it is of ${found.node}, epoch ${found.epoch}`;
  const share = `${lost.length} of ${acknowledged.length} acknowledged records of ${node}, epoch ${epoch}`;
  return [`${share}, are lost, first number ${first}: ${instead}`];
}

function disorder(records: readonly WrittenRecord[]): string[] {
  const nodes = new Map<number, string>();
  return records.flatMap(({ number, epoch, node }, place) => {
    const before = records[place - 1];
    const known = nodes.get(epoch) ?? node;
    nodes.set(epoch, known);
    return [
      ...(number === place + 1 ? [] : [`record ${number} stands at place ${place + 1}`]),
      ...(before !== undefined && epoch < before.epoch
        ? [`record ${number} of epoch ${epoch} follows ${before.epoch}`]
        : []),
      ...(known === node ? [] : [`epoch ${epoch} is of ${known} and, by record ${number}, of ${node}`]),
    ];
  });
}

function together(terms: readonly Term[]): string[] {
  return terms.flatMap(({ node, lastAt }, index) => {
    const next = terms[index + 1];
    if (next === undefined || lastAt <= next.mountedAt) return [];
    return [`${node} acknowledged a record ${lastAt - next.mountedAt} ms after ${next.node} had mounted the volume`];
  });
}

/** What the machines saw of a volume: its disk is plugged in anew only after the attachment before is over. Pure. */
export function checkAttachments(moments: readonly Moment[], volumeId: string): string[] {
  let plugged = false;
  return moments.flatMap(({ what, volume, at }) => {
    if (volume !== volumeId) return [];
    const twice = what === 'plugged' && plugged;
    if (what === 'plugged' || what === 'detached') plugged = what === 'plugged';
    return twice ? [`at ${new Date(at).toISOString()} the disk of ${volume} was plugged in a second time`] : [];
  });
}

/** What an owner's change does to the epoch that the volume's tag holds. Pure. */
export function checkEpoch(
  before: { readonly epoch: number; readonly node: string } | undefined,
  now: { readonly epoch: number; readonly node: string },
): string[] {
  if (before === undefined) return now.epoch === 1 ? [] : [`the first epoch is ${now.epoch}`];
  const changed = before.node !== now.node;
  if (changed ? now.epoch > before.epoch : now.epoch === before.epoch) return [];
  return [`the epoch goes from ${before.epoch} on ${before.node} to ${now.epoch} on ${now.node}`];
}
