import { type Row, verdictOf } from './row.ts';
import { type Cells, cellsOf, headings } from './wording.ts';

const columns = Object.keys(headings) as (keyof Cells)[];

/** True when no budget is missed. */
export const isMet = (rows: readonly Row[]): boolean => rows.every((row) => verdictOf(row) !== 'missed');

/** The rows as a table for a terminal, with the notes below. */
export function textTable(rows: readonly Row[]): string {
  const lines = [headings, ...rows.map(cellsOf)];
  const widths = columns.map((column) => Math.max(...lines.map((cells) => cells[column].length)));
  const table = lines.map((cells) =>
    columns
      .map((column, index) => cells[column].padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const notes = rows.flatMap(({ operation, note }) => (note === undefined ? [] : [`${operation}: ${note}.`]));
  return `${[...table, '', ...notes].join('\n')}\n`;
}

/** The rows as a Markdown table, with the notes as a list below. */
export function markdownTable(rows: readonly Row[]): string {
  const line = (cells: Cells) => `| ${columns.map((column) => cells[column]).join(' | ')} |`;
  const rule = `| ${columns.map(() => '---').join(' | ')} |`;
  const notes = rows.flatMap(({ operation, note }) => (note === undefined ? [] : [`- ${operation}: ${note}.`]));
  return [line(headings), rule, ...rows.map((row) => line(cellsOf(row))), '', ...notes].join('\n');
}

/** The result for machines. Times are in milliseconds, memory in 10^6 bytes. */
export function jsonReport(about: object, rows: readonly Row[]): string {
  return `${JSON.stringify({ ...about, met: isMet(rows), rows: rows.map((row) => ({ ...row, verdict: verdictOf(row) })) })}\n`;
}
