import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expired, type Kept } from '../../../src/volumes/copies/retention.ts';
import { slotOf } from '../../../src/volumes/copies/schedule.ts';
import { classesOf, readSchedule, slotClasses } from '../../../src/volumes/options/schedule.ts';

const hourMs = 3600_000;
const start = Date.parse('2026-11-30T00:00Z');

const snapshot = (id: string, hour: number, change: Partial<Kept> = {}): Kept => ({
  id,
  kind: 'scheduled',
  volumeId: 'vol-1',
  state: 'completed',
  startedAt: new Date(start + hour * hourMs).toISOString(),
  slots: [slotOf('hourly', start + hour * hourMs).id],
  ...change,
});
const ids = (schedule: string, ...all: Kept[]) => expired(readSchedule(schedule), 'vol-1', all).map(({ id }) => id);

describe('retention', () => {
  const four = [1, 2, 3, 4].map((hour) => snapshot(`s${hour}`, hour));

  it('deletes what is beyond the number, the oldest first', () => {
    expect(ids('hourly:2', ...four)).toEqual(['s1', 's2']);
    expect(ids('hourly:4', ...four)).toEqual([]);
  });

  it('counts those alone that are complete', () => {
    expect(ids('hourly:2', ...four, snapshot('new', 5, { state: 'pending' }))).toEqual(['s1', 's2']);
  });

  it('keeps for each class, and one that any class keeps', () => {
    const daily = snapshot('d', 0, { slots: ['hourly/2026-11-30T00', 'daily/2026-11-30'] });
    expect(ids('hourly:2,daily:7', daily, ...four)).toEqual(['s1', 's2']);
  });

  it('leaves those of a class that the schedule does not name any more', () => {
    const both = snapshot('b', 0, { slots: ['hourly/2026-11-30T00', 'daily/2026-11-30'] });
    expect(ids('daily:1', both, ...four, snapshot('d', 30, { slots: ['daily/2026-12-01'] }))).toEqual([]);
  });

  it('deletes one that failed once a newer one is complete', () => {
    const failed = snapshot('f', 3.5, { state: 'error' });
    expect(ids('hourly:9', ...four, failed)).toEqual(['f']);
    expect(ids('hourly:9', ...four, { ...failed, startedAt: snapshot('', 5).startedAt })).toEqual([]);
  });

  it('is lawful whatever there is', () => {
    const kinds = ['scheduled', 'scheduled', 'scheduled', 'manual', 'removal', 'rescue', 'foreign'] as const;
    const anySnapshot = fc
      .record({
        hour: fc.integer({ min: 0, max: 400 }),
        classes: fc.subarray([...slotClasses]),
        kind: fc.constantFrom(...kinds),
        volumeId: fc.constantFrom('vol-1', 'vol-1', 'vol-2'),
        state: fc.constantFrom('completed', 'completed', 'pending', 'error', 'recoverable', 'recovering'),
      })
      .map(({ hour, classes, ...rest }) => ({
        ...rest,
        hour,
        slots: classes.map((each) => slotOf(each, start + hour * hourMs).id),
      }));
    const count = fc.integer({ min: 1, max: 5 });
    const schedules = fc.record({ hourly: count, daily: count, weekly: count }, { requiredKeys: [] });
    fc.assert(
      fc.property(schedules, fc.array(anySnapshot, { maxLength: 40 }), (schedule, made) => {
        const all = made.map(({ hour, ...rest }, n) => snapshot(`s${n}`, hour, rest as Partial<Kept>));
        const gone = new Set(expired(schedule, 'vol-1', all).map(({ id }) => id));
        const good = all.filter(
          (one) => one.kind === 'scheduled' && one.volumeId === 'vol-1' && one.state === 'completed',
        );
        const left = good.filter(({ id }) => !gone.has(id));
        for (const { id, kind, volumeId, state, startedAt } of all.filter((one) => gone.has(one.id))) {
          expect([kind, volumeId, state === 'completed' || state === 'error']).toEqual(['scheduled', 'vol-1', true]);
          // A newer one is complete, and stays.
          expect(left.some((one) => one.id !== id && one.startedAt >= startedAt)).toBe(true);
        }
        for (const each of classesOf(schedule)) {
          const slots = (some: readonly Kept[]) =>
            [...new Set(some.flatMap((one) => one.slots.filter((slot) => slot.startsWith(each))))].sort().reverse();
          const most = schedule[each] ?? 0;
          // The last slots of each class keep one each, and what none keeps is gone.
          expect(slots(left).slice(0, most)).toEqual(slots(good).slice(0, most));
        }
        // What is left needs no second look.
        expect(
          expired(
            schedule,
            'vol-1',
            all.filter(({ id }) => !gone.has(id)),
          ),
        ).toEqual([]);
      }),
    );
  });
});
