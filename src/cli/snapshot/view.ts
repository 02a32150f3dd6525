import type { VolumeSnapshot } from '../../volumes/types.ts';
import { type Column, tableLines } from '../table.ts';

const columns: readonly Column[] = [
  { title: 'VOLUME', least: 10 },
  { title: 'SNAPSHOT' },
  { title: 'NAME', least: 8 },
  { title: 'TAKEN', rank: 1 },
  { title: 'BY', rank: 2 },
  { title: 'STATE' },
  { title: 'CONTENT', rank: 3 },
  { title: 'VERIFIED', rank: 1 },
  { title: 'SIZE', rank: 4 },
];

/** Snapshots as lines for people. @param width of the terminal; undefined where nothing needs to fit. Pure. */
export function snapshotLines(snapshots: readonly VolumeSnapshot[], width: number | undefined): string[] {
  if (snapshots.length === 0) return ['There is no snapshot.'];
  return tableLines(
    columns,
    snapshots.map((each) => ({ cells: cellsOf(each), below: remarks(each) })),
    width,
  );
}

/** Of a schedule: what it is the snapshot of, as "hourly daily". */
const classesOf = ({ slots }: VolumeSnapshot): string[] => slots.flatMap((slot) => slot.split('/')[0] ?? []);

function cellsOf(snapshot: VolumeSnapshot): string[] {
  const { kind, startedAt } = snapshot;
  return [
    snapshot.volume ?? '-',
    snapshot.id,
    snapshot.name ?? '-',
    `${startedAt.slice(0, 19)}Z`,
    kind === 'foreign' ? 'another tool' : [kind, ...classesOf(snapshot)].join(' '),
    snapshot.state,
    snapshot.consistency ?? '-',
    verifiedOf(snapshot),
    `${snapshot.sizeGiB} GiB`,
  ];
}

const verifiedOf = ({ verified }: VolumeSnapshot): string => {
  if (verified === undefined) return '-';
  return verified.ok ? verified.at.slice(0, 10) : 'FAILED';
};

const remarks = ({ message, verified }: VolumeSnapshot): string[] => [
  ...(message === undefined ? [] : [message]),
  ...(verified === undefined || verified.ok
    ? []
    : [`not to be restored from, as of ${verified.at}: ${verified.words}`]),
];
