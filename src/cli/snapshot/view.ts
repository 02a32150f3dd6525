import type { VolumeSnapshot } from '../../volumes/types.ts';
import { type Column, tableLines } from '../table.ts';

const columns: readonly Column[] = [
  { title: 'VOLUME', least: 12 },
  { title: 'SNAPSHOT' },
  { title: 'NAME', least: 10 },
  { title: 'TAKEN' },
  { title: 'BY', rank: 2 },
  { title: 'STATE' },
  { title: 'CONTENT', rank: 3 },
  { title: 'SIZE', rank: 4 },
];

/** Snapshots as lines for people. @param width of the terminal; undefined where nothing needs to fit. Pure. */
export function snapshotLines(snapshots: readonly VolumeSnapshot[], width: number | undefined): string[] {
  if (snapshots.length === 0) return ['There is no snapshot.'];
  return tableLines(
    columns,
    snapshots.map((each) => ({ cells: cellsOf(each), below: each.message === undefined ? [] : [each.message] })),
    width,
  );
}

function cellsOf(snapshot: VolumeSnapshot): string[] {
  const { kind, startedAt } = snapshot;
  return [
    snapshot.volume ?? '-',
    snapshot.id,
    snapshot.name ?? '-',
    `${startedAt.slice(0, 19)}Z`,
    kind === 'foreign' ? 'another tool' : kind,
    snapshot.state,
    snapshot.consistency ?? '-',
    `${snapshot.sizeGiB} GiB`,
  ];
}
