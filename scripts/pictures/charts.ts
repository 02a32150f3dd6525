import { type RexRayFigure, rexRay } from '../../bench/rexray.ts';
import type { Row } from '../../bench/row.ts';
import { duration } from '../../bench/wording.ts';
import { shape, svg, text } from './svg.ts';

const [ours, theirs, soft] = ['#0969da', '#818b98', '#54aeff'];
const [labelWidth, barWidth, barHeight] = [300, 380, 15];

interface Bar {
  readonly value: number;
  readonly words: string;
  readonly fill: string;
}

interface Group {
  readonly label: string;
  readonly bars: readonly Bar[];
}

/** The charts of docs/benchmarks.md, by file name, from the rows of `npm run bench -- --json`: of those that were measured. Pure. */
export function chartPictures(rows: readonly Row[]): Readonly<Record<string, string>> {
  return drawn({
    'bench-calls.svg': [
      'EC2 calls of an operation',
      besideRexRay(
        rows,
        ({ calls }, row) => calls !== undefined && { theirs: calls, ours: callsOf(row), word: String },
      ),
    ],
    'bench-times.svg': [
      'How long an operation takes',
      besideRexRay(
        rows,
        ({ seconds }, { wallMs }) =>
          seconds !== undefined &&
          wallMs !== undefined && { theirs: seconds * 1000, ours: wallMs.median, word: duration },
      ),
    ],
    'bench-attach.svg': ['How long a mount takes when attaching takes longer', besideEc2(rows, 'attach-')],
    'bench-together.svg': ['How long it takes to mount many volumes at once', besideEc2(rows, 'together-')],
  });
}

const drawn = (charts: Readonly<Record<string, readonly [string, readonly Group[]]>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(charts).flatMap(([name, [title, groups]]) =>
      groups.length === 0 ? [] : [[name, chart(title, groups)]],
    ),
  );

const callsOf = ({ calls }: Row): number => Object.values(calls).reduce((sum, count) => sum + count, 0);

interface Pair {
  readonly theirs: number;
  readonly ours: number;
  readonly word: (value: number) => string;
}

function besideRexRay(rows: readonly Row[], pair: (figure: RexRayFigure, row: Row) => Pair | false): Group[] {
  return rexRay.flatMap((figure) => {
    const row = rows.find(({ id }) => id === figure.id);
    const found = row !== undefined && pair(figure, row);
    if (!found) return [];
    const bars = [
      { value: found.theirs, words: `REX-Ray ${found.word(found.theirs)}`, fill: theirs },
      { value: found.ours, words: `docker-volume-ebs ${found.word(found.ours)}`, fill: ours },
    ];
    return [{ label: figure.operation.replace(/by force; ours \w+ |;.*/, ''), bars }];
  });
}

/** EC2's own time of the cases with such ids, and what they take in all. */
function besideEc2(rows: readonly Row[], ids: string): Group[] {
  return rows.flatMap(({ id, operation, wallMs, ec2Ms }) => {
    if (!id.startsWith(ids) || wallMs === undefined || ec2Ms === undefined) return [];
    const bars = [
      { value: ec2Ms, words: `EC2's own ${duration(ec2Ms)}`, fill: soft },
      { value: wallMs.median, words: `in all ${duration(wallMs.median)}`, fill: ours },
    ];
    return [{ label: operation, bars }];
  });
}

function chart(title: string, groups: readonly Group[]): string {
  const most = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => value)));
  const step = 2 * barHeight + 14;
  const lines = groups.flatMap(({ label, bars }, index) => {
    const top = 56 + index * step;
    return [
      text(20, top + barHeight + 3, label, { 'font-size': 13 }),
      ...bars.flatMap(({ value, words, fill }, nth) => {
        const [y, width] = [top + nth * (barHeight + 2), Math.max(2, Math.round((value / most) * barWidth))];
        return [
          shape('rect', { x: labelWidth, y, width, height: barHeight, fill }),
          text(labelWidth + width + 6, y + 12, words, { 'font-size': 12, fill: '#59636e' }),
        ];
      }),
    ];
  });
  const heading = text(20, 32, title, { 'font-weight': 'bold', 'font-size': 16 });
  const description = groups
    .map(({ label, bars }) => `${label}: ${bars.map(({ words }) => words).join(', ')}.`)
    .join('\n');
  const [width, height] = [labelWidth + barWidth + 220, 70 + groups.length * step];
  return svg({ width, height, title, description }, heading, ...lines);
}
