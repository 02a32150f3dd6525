import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { attachBound } from '../../bench/cases/fleet.ts';
import { cases } from '../../bench/cases/index.ts';
import type { Conditions } from '../../bench/conditions.ts';
import { median, percentile, spreadOf } from '../../bench/figures.ts';
import { page } from '../../bench/page.ts';
import { isMet, jsonReport, markdownTable, textTable } from '../../bench/report.ts';
import { failedRow, memoryRow, rowOf, verdictOf } from '../../bench/row.ts';
import { ec2Time, type Sample } from '../../bench/sample.ts';
import { duration } from '../../bench/wording.ts';
import type { CallRecord } from '../../src/sandbox/calls.ts';
import type { Moment } from '../../src/sandbox/moments.ts';

const called = (action: string, at = 0, more: Partial<CallRecord> = {}): CallRecord => ({
  time: new Date(at).toISOString(),
  action,
  volume: 'vol-1',
  instance: undefined,
  caller: 'i-1',
  result: 'OK',
  ...more,
});
const moment = (what: Moment['what'], at: number, volume = 'vol-1'): Moment => ({ what, at, volume });
const sample = (wallMs: number, ec2Ms = 0, ...actions: string[]): Sample => ({
  wallMs,
  ec2Ms,
  calls: actions.map((action) => called(action)),
});

describe('figures', () => {
  const values = fc.array(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), { minLength: 1 });

  test('the median has as many values above as below it', () => {
    expect(median([5, 1, 3])).toBe(3);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    fc.assert(
      fc.property(values, (given) => {
        const middle = median(given);
        expect(given.filter((value) => value < middle).length).toBeLessThanOrEqual(given.length / 2);
        expect(given.filter((value) => value > middle).length).toBeLessThanOrEqual(given.length / 2);
      }),
    );
  });

  test('a percentile is the least value that enough values do not exceed', () => {
    expect(percentile([10, 30, 20, 40], 0.5)).toBe(20);
    expect(percentile([10, 30, 20, 40], 0.99)).toBe(40);
    fc.assert(
      fc.property(values, fc.double({ noNaN: true, min: 0.01, max: 1 }), (given, share) => {
        const value = percentile(given, share);
        expect(given).toContain(value);
        expect(given.filter((each) => each <= value).length).toBeGreaterThanOrEqual(share * given.length - 1e-9);
        expect(given.filter((each) => each < value).length).toBeLessThan(share * given.length);
      }),
    );
  });

  test('nothing measured is no figure', () => {
    expect([median([]), percentile([], 0.5)]).toEqual([Number.NaN, Number.NaN]);
    expect(spreadOf([7, 9, 8])).toEqual({ median: 8, max: 9 });
  });
});

describe("EC2's own time", () => {
  const span = { from: 1000, to: 9000 };

  test('is from accepting a call to its effect, for what is asked of the right volume', () => {
    const moments = [moment('plugged', 1500), moment('plugged', 2600, 'vol-2'), moment('plugged', 3000)];
    expect(ec2Time([called('AttachVolume', 2000)], moments, span)).toBe(1000);
    expect(ec2Time([called('DescribeVolumes', 2000), called('CreateTags', 2000)], moments, span)).toBe(0);
  });

  test('counts work on several volumes at once once', () => {
    const calls = [called('AttachVolume', 2000), called('AttachVolume', 2500, { volume: 'vol-2' })];
    expect(ec2Time(calls, [moment('plugged', 4000), moment('plugged', 4500, 'vol-2')], span)).toBe(2500);
    expect(ec2Time(calls, [moment('plugged', 2200), moment('plugged', 4500, 'vol-2')], span)).toBe(2200);
  });

  test('ends with the operation, and a refused call is no work', () => {
    expect(ec2Time([called('DetachVolume', 8000)], [moment('detached', 10_000)], span)).toBe(1000);
    expect(ec2Time([called('DetachVolume', 8000)], [], span)).toBe(1000);
    expect(ec2Time([called('DetachVolume', 9500)], [moment('detached', 9900)], span)).toBe(0);
    expect(ec2Time([called('AttachVolume', 2000, { result: 'VolumeInUse' })], [], span)).toBe(0);
  });
});

describe('a row', () => {
  const samples = [
    sample(2100, 1600, 'DescribeVolumes', 'AttachVolume'),
    sample(1800, 1600, 'DescribeVolumes', 'DescribeVolumes', 'AttachVolume'),
    sample(1900, 1700, 'AttachVolume'),
  ];

  test('holds times by their median and calls by the most against the limits', () => {
    const row = rowOf({ id: 'm', operation: 'mount', samples, limits: { calls: 2, wall: 2000, overhead: 200 } });
    expect(row).toMatchObject({
      runs: 3,
      calls: { DescribeVolumes: 2, AttachVolume: 1 },
      wallMs: { median: 1900, max: 2100 },
      ec2Ms: 1600,
      overheadMs: { median: 200, max: 500 },
      checks: [
        { what: 'calls', value: 3, limit: 2 },
        { what: 'wall', value: 1900, limit: 2000 },
        { what: 'overhead', value: 200, limit: 200 },
      ],
    });
    expect(verdictOf(row)).toBe('missed');
    expect(verdictOf({ ...row, checks: row.checks.slice(1) })).toBe('met');
    expect(verdictOf({ ...row, checks: [] })).toBe('none');
  });

  test('leaves out of the overhead what the operation consists of', () => {
    expect(rowOf({ id: 'm', operation: 'mount', samples, apart: () => 150 }).overheadMs).toEqual({
      median: 50,
      max: 350,
    });
  });

  test('counts what EC2 throttled, and failures', () => {
    const refused = { ...sample(1), calls: [called('AttachVolume', 0, { result: 'RequestLimitExceeded' })] };
    const row = rowOf({ id: 's', operation: 'storm', samples: [refused], failures: 1 });
    expect(row).toMatchObject({ throttled: 1, checks: [{ what: 'failures', value: 1, limit: 0 }] });
    expect(verdictOf(row)).toBe('missed');
  });

  test('a figure that could not be taken meets no limit', () => {
    expect(verdictOf(memoryRow('idle', 'idle', [80, Number.NaN, 85], 90))).toBe('missed');
    expect(verdictOf(memoryRow('idle', 'idle', [80, 90], 90))).toBe('met');
  });
});

test('a case that fails is a missed budget and says why', () => {
  const row = failedRow('fleet', new Error('no root'));
  expect([verdictOf(row), row.note]).toEqual(['missed', 'no root']);
  expect(textTable([row])).toMatch(/the case fleet .* MISSED: failures 1\n\nthe case fleet: no root\.\n$/);
});

describe('reports', () => {
  const rows = [
    rowOf({
      id: 'mount',
      operation: 'mount',
      samples: [sample(1850, 1600, 'AttachVolume')],
      limits: { calls: 0, overhead: 250 },
      note: 'a note',
    }),
    rowOf({ id: 'mount-here', operation: 'here', samples: [sample(4.21), sample(5)], limits: { wall: 10 } }),
    memoryRow('idle', 'idle', [85.4], 90),
  ];
  const about: Conditions = {
    date: '2026-01-31',
    version: '1.2.3',
    node: 'v26.0.0',
    cores: 2,
    processor: 'Some CPU',
    memoryGib: 8,
    kernel: '6.18.1',
    load: 0.123,
  };

  test('a terminal gets a table and the notes', () => {
    const lines = textTable(rows).split('\n');
    expect(lines[1]?.split(/ {2,}/)).toEqual([
      'mount',
      '1',
      '1: AttachVolume 1',
      '1.85 s',
      '1.60 s',
      '0.25 s',
      'no calls, overhead ≤ 0.25 s',
      'MISSED: calls 1',
    ]);
    expect(lines[2]?.split(/ {2,}/)).toEqual([
      'here',
      '2',
      '0',
      '4.6 ms (5.0 ms)',
      '–',
      '4.6 ms (5.0 ms)',
      'wall ≤ 10 ms',
      'met',
    ]);
    expect(lines[3]?.split(/ {2,}/)).toEqual(['idle', '1', '–', '–', '–', '–', 'memory ≤ 90 MB', 'met']);
    expect(lines.slice(-3)).toEqual(['mount: a note.', 'idle: 85 MB resident.', '']);
  });

  test('Markdown has the same cells in every row', () => {
    const table = markdownTable(rows).split('\n').slice(0, 5);
    expect(new Set(table.map((line) => line.split(' | ').length))).toEqual(new Set([8]));
    expect(table[2]).toBe(
      '| mount | 1 | 1: AttachVolume 1 | 1.85 s | 1.60 s | 0.25 s | no calls, overhead ≤ 0.25 s | MISSED: calls 1 |',
    );
  });

  test('machines get one line of JSON with milliseconds and verdicts', () => {
    const text = jsonReport(about, rows);
    expect(text.trim()).not.toContain('\n');
    const { met, cores, rows: given } = JSON.parse(text);
    expect([met, cores]).toEqual([false, 2]);
    expect(given.map(({ id, verdict }: { id: string; verdict: string }) => [id, verdict])).toEqual([
      ['mount', 'missed'],
      ['mount-here', 'met'],
      ['idle', 'met'],
    ]);
    expect(given[0]).toMatchObject({ calls: { AttachVolume: 1 }, wallMs: { median: 1850, max: 1850 }, ec2Ms: 1600 });
    expect(isMet(rows.slice(1))).toBe(true);
  });

  test('the page says when and on what, and sets our figures beside REX-Ray’s', () => {
    const text = page(about, rows);
    expect(text).toMatch(/2026-01-31 with docker-volume-ebs 1\.2\.3 on Node v26\.0\.0, Linux 6\.18\.1, 2 cores/);
    expect(text).toContain('at a load of 0.1 before');
    expect(text).toContain('| mount, attach needed | 12 | 5.0 s | 1 | 1.85 s |');
    expect(text).not.toContain('| create | 9 |');
  });

  test.each([
    [0.44, '0.4 ms'],
    [99.9, '99.9 ms'],
    [100, '0.10 s'],
    [-0.4, '-0.4 ms'],
  ])('%d ms reads %j', (ms, text) => {
    expect(duration(ms)).toBe(text);
  });
});

test('the bucket of AttachVolume lets 50 through at once and then 5 a second', () => {
  expect([attachBound(400), attachBound(51), attachBound(50), attachBound(1)]).toEqual([70, 0.2, 0, 0]);
});

describe('the command', () => {
  const main = join(import.meta.dirname, '../../bench/main.ts');
  const bench = (...argv: string[]) => spawnSync(process.execPath, [main, ...argv], { encoding: 'utf8' });

  test('names its cases, each once', () => {
    const { status, stdout } = bench('--help');
    expect(status).toBe(0);
    const listed = stdout.split('Cases:\n')[1]?.match(/^ {2}\S+/gm) ?? [];
    expect(listed.map((line) => line.trim())).toEqual(cases.map(({ name }) => name));
    expect(new Set(listed).size).toBe(cases.length);
  });

  test('an unknown case is bad usage', () => {
    const { status, stdout, stderr } = bench('--only', 'create,nonsense');
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/there is no case "nonsense"\. Choose from create, mount/);
  });
});
