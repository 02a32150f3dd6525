import { type Spread, spreadOf } from './figures.ts';
import { type Sample, throttledOf } from './sample.ts';

/** One thing that was measured against its limit; it may be equal to it. */
export interface Check {
  readonly what: 'calls' | 'wall' | 'overhead' | 'memory' | 'cpu' | 'failures';
  readonly unit: 'ms' | 'MB' | '';
  readonly value: number;
  readonly limit: number;
}

/** One line of the result. Times are in milliseconds. */
export interface Row {
  /** The same in every run of the benchmark, as "mount-here". */
  readonly id: string;
  readonly operation: string;
  readonly runs: number;
  /** EC2 calls by action as the sandbox counted them: the most that any run made. */
  readonly calls: Readonly<Record<string, number>>;
  /** Of these, refused with RequestLimitExceeded. */
  readonly throttled: number;
  readonly wallMs: Spread | undefined;
  /** Of the wall time: EC2 at work on what it had accepted. */
  readonly ec2Ms: number | undefined;
  /** Wall time without EC2's own, and without waits that the operation consists of. */
  readonly overheadMs: Spread | undefined;
  readonly checks: readonly Check[];
  /** What else is to be known about these figures. */
  readonly note: string | undefined;
}

type Verdict = 'met' | 'missed' | 'none';

/** What a row may cost. Times, in milliseconds, are held against the median of the runs, calls against the most. */
export interface Limits {
  readonly calls?: number;
  readonly wall?: number;
  readonly overhead?: number;
}

interface RowParts {
  readonly id: string;
  readonly operation: string;
  readonly samples: readonly Sample[];
  readonly limits?: Limits;
  /** Of one sample's wall time, what is neither EC2's nor ours to cut: a wait by design, mkfs. */
  readonly apart?: (sample: Sample) => number;
  readonly failures?: number;
  readonly note?: string | undefined;
}

/** A row from the samples of one operation. */
export function rowOf({ id, operation, samples, limits = {}, apart = () => 0, failures, note }: RowParts): Row {
  const wall = spreadOf(samples.map(({ wallMs }) => wallMs));
  const ec2 = spreadOf(samples.map(({ ec2Ms }) => ec2Ms));
  const overhead = spreadOf(samples.map((sample) => sample.wallMs - sample.ec2Ms - apart(sample)));
  const calls = mostCalls(samples);
  const total = Math.max(...samples.map((sample) => sample.calls.length));
  const checks: Check[] = [
    ...check('calls', '', total, limits.calls),
    ...check('wall', 'ms', wall.median, limits.wall),
    ...check('overhead', 'ms', overhead.median, limits.overhead),
    ...(failures === undefined ? [] : check('failures', '', failures, 0)),
  ];
  return {
    id,
    operation,
    runs: samples.length,
    calls,
    throttled: Math.max(...samples.map((sample) => throttledOf(sample).length)),
    wallMs: wall,
    ec2Ms: ec2.median,
    overheadMs: overhead,
    checks,
    note,
  };
}

/** A row that says why a case has no others. */
export function failedRow(id: string, error: unknown): Row {
  return {
    ...unmeasured,
    id,
    operation: `the case ${id}`,
    runs: 0,
    checks: check('failures', '', 1, 0),
    note: error instanceof Error ? error.message : String(error),
  };
}

/** A row that says how much memory something takes, in MB (10^6 bytes). */
export function memoryRow(id: string, operation: string, megabytes: readonly number[], limit?: number): Row {
  const { max } = spreadOf(megabytes);
  return {
    ...unmeasured,
    id,
    operation,
    runs: megabytes.length,
    checks: check('memory', 'MB', max, limit),
    note: `${Math.round(max)} MB resident`,
  };
}

/** A row that says how much CPU time something takes, in milliseconds. */
export function cpuRow(id: string, operation: string, ms: number, limit?: number): Row {
  return {
    ...unmeasured,
    id,
    operation,
    runs: 1,
    checks: check('cpu', 'ms', ms, limit),
    note: `${ms.toFixed(1)} ms`,
  };
}

const unmeasured = { calls: {}, throttled: 0, wallMs: undefined, ec2Ms: undefined, overheadMs: undefined } as const;

const check = (what: Check['what'], unit: Check['unit'], value: number, limit: number | undefined): Check[] =>
  limit === undefined ? [] : [{ what, unit, value, limit }];

/** The most calls of each action that any sample made. */
function mostCalls(samples: readonly Sample[]): Record<string, number> {
  const most: Record<string, number> = {};
  for (const { calls } of samples) {
    for (const [action, group] of Map.groupBy(calls, (call) => call.action)) {
      most[action] = Math.max(most[action] ?? 0, group.length);
    }
  }
  return most;
}

/** A limit is kept when the value is not above it; a value that is no number keeps none. */
export const isKept = ({ value, limit }: Check): boolean => value <= limit;

export function verdictOf({ checks }: Row): Verdict {
  if (checks.length === 0) return 'none';
  return checks.every(isKept) ? 'met' : 'missed';
}
