import { expect, test } from 'vitest';
import { historyLines, summaryOf } from '../../src/cli/fence/words.ts';
import { nothingCounted } from '../../src/fencing/audit.ts';

const subject = { volume: 'data', volumeId: 'vol-1', instanceId: 'i-2', device: '/dev/xvdba' };
const entry = (at: string, text: string, fenceId?: string) => ({
  at,
  text: fenceId === undefined ? text : `data (vol-1 on i-2, /dev/xvdba): ${text} [${fenceId}]`,
  entry: fenceId === undefined ? { event: 'operator' } : { ...subject, fenceId },
});

test('the history shows one takeover as one block, in its order, the newest block first', () => {
  const entries = [
    entry('t6', 'detached', 'f-2'),
    entry('t5', 'an operator pauses fencing'),
    entry('t4', 'detached', 'f-1'),
    entry('t3', 'decides to take', 'f-2'),
    entry('t2', 'decides to take', 'f-1'),
  ];
  expect(historyLines(entries)).toEqual([
    'takeover f-2 of data (vol-1 on i-2, /dev/xvdba)',
    '  t3  decides to take',
    '  t6  detached',
    't5  an operator pauses fencing',
    'takeover f-1 of data (vol-1 on i-2, /dev/xvdba)',
    '  t2  decides to take',
    '  t4  detached',
  ]);
});

test('counters are words, and what did not happen is left out', () => {
  expect(summaryOf(nothingCounted())).toBe('no decision about another owner');
  const stops = { graceful: 1, forced: 2 };
  expect(summaryOf({ ...nothingCounted(), decisions: { 'preempt - pull': 1 }, stops, aborted: 1 })).toBe(
    'decided once to take the volume from under its owner (policy preempt); 1 owner stopped; 2 owners stopped by force; 1 takeover given up',
  );
});
