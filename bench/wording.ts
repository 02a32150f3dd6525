import type { Spread } from './figures.ts';
import { type Check, isKept, type Row, verdictOf } from './row.ts';

/** A row as people read it. */
export interface Cells {
  readonly operation: string;
  readonly runs: string;
  readonly calls: string;
  readonly wall: string;
  readonly ec2: string;
  readonly overhead: string;
  readonly budget: string;
  readonly verdict: string;
}

export const headings: Cells = {
  operation: 'operation',
  runs: 'runs',
  calls: 'EC2 calls',
  wall: 'wall (max)',
  ec2: "EC2's own",
  overhead: 'overhead (max)',
  budget: 'budget',
  verdict: 'verdict',
};

export function cellsOf(row: Row): Cells {
  return {
    operation: row.operation,
    runs: String(row.runs),
    calls: callsCell(row),
    wall: spreadCell(row.wallMs, row.runs),
    ec2: row.ec2Ms === undefined || row.ec2Ms === 0 ? '–' : duration(row.ec2Ms),
    overhead: spreadCell(row.overheadMs, row.runs),
    budget: row.checks.map(limitOf).join(', ') || '–',
    verdict: verdictCell(row),
  };
}

/** As "4.2 ms" or "2.17 s". */
export function duration(ms: number): string {
  return Math.abs(ms) < 100 ? `${ms.toFixed(1)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

const spreadCell = (spread: Spread | undefined, runs: number): string => {
  if (spread === undefined) return '–';
  return runs === 1 ? duration(spread.median) : `${duration(spread.median)} (${duration(spread.max)})`;
};

function callsCell({ calls, throttled, wallMs }: Row): string {
  if (wallMs === undefined) return '–';
  const entries = Object.entries(calls);
  const total = entries.reduce((sum, [, count]) => sum + count, 0);
  if (total === 0) return '0';
  const refused = throttled === 0 ? '' : ` (${throttled} throttled)`;
  return `${total}: ${entries.map(([action, count]) => `${action} ${count}`).join(', ')}${refused}`;
}

function limitOf(check: Check): string {
  return check.limit === 0 ? `no ${check.what}` : `${check.what} ≤ ${amount(check, check.limit)}`;
}

function verdictCell(row: Row): string {
  if (verdictOf(row) === 'none') return '–';
  const missed = row.checks.filter((check) => !isKept(check));
  if (missed.length === 0) return 'met';
  return `MISSED: ${missed.map((check) => `${check.what} ${amount(check, check.value)}`).join(', ')}`;
}

function amount({ unit }: Check, value: number): string {
  if (unit === 'ms') return duration(value).replace('.0 ms', ' ms');
  return unit === 'MB' ? `${Math.round(value)} MB` : String(value);
}
