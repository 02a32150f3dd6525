import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dueSlots, nextBegin, readSlot, readSlots, type Slot, slotOf } from '../../../src/volumes/copies/schedule.ts';
import { classesOf, readSchedule, scheduleText, slotClasses } from '../../../src/volumes/options/schedule.ts';

const anyClass = fc.constantFrom(...slotClasses);
const anyTime = fc.integer({ min: 0, max: Date.parse('2100-01-01') });
const anySchedule = fc
  .record({ hourly: kept(), daily: kept(), weekly: kept() }, { requiredKeys: [] })
  .filter((schedule) => classesOf(schedule).length > 0);
const at = (text: string) => Date.parse(text);

function kept() {
  return fc.integer({ min: 1, max: 1000 });
}

describe('a schedule', () => {
  it.each([
    ['hourly:24,daily:7,weekly:4', { hourly: 24, daily: 7, weekly: 4 }],
    [' Weekly:4 , daily:1000', { daily: 1000, weekly: 4 }],
  ])('%j is read', (text, schedule) => {
    expect(readSchedule(text)).toEqual(schedule);
  });

  it.each([
    '',
    'hourly',
    'hourly:0',
    'hourly:1001',
    'hourly:-1',
    'monthly:3',
    'hourly:24;daily:7',
    'hourly:24,',
    'toString:3',
  ])('%j is none, and what is one is said', (text) => {
    expect(() => readSchedule(text)).toThrow(/hourly, daily, weekly, each with how many are kept \(1 to 1000\)/);
  });

  it('names each class once', () => {
    expect(() => readSchedule('daily:7,daily:8')).toThrow('takes each class once: daily is there twice');
  });

  it('is what its text says', () => {
    fc.assert(
      fc.property(anySchedule, (schedule) => {
        expect(readSchedule(scheduleText(schedule))).toEqual(schedule);
      }),
    );
  });
});

describe('a slot', () => {
  it.each([
    ['hourly', '2026-11-30T12:59:59.999Z', 'hourly/2026-11-30T12', '2026-11-30T12:00Z', '2026-11-30T13:00Z'],
    ['daily', '2026-11-30T00:00:00Z', 'daily/2026-11-30', '2026-11-30T00:00Z', '2026-12-01T00:00Z'],
    ['weekly', '2026-12-06T23:59:59Z', 'weekly/2026-11-30', '2026-11-30T00:00Z', '2026-12-07T00:00Z'],
    ['weekly', '1970-01-01T00:00:00Z', 'weekly/1969-12-29', '1969-12-29T00:00Z', '1970-01-05T00:00Z'],
  ] as const)('%s at %s is %s', (slotClass, time, id, begin, end) => {
    expect(slotOf(slotClass, at(time))).toEqual({ class: slotClass, id, begin: at(begin), end: at(end) });
  });

  it('holds its time, follows on the one before, sorts by time as text, and is read from its text', () => {
    fc.assert(
      fc.property(anyClass, anyTime, (slotClass, time) => {
        const slot = slotOf(slotClass, time);
        expect(slot.begin <= time && time < slot.end).toBe(true);
        const next = slotOf(slotClass, slot.end);
        expect(next.begin).toBe(slot.end);
        expect(slotOf(slotClass, slot.end - 1)).toEqual(slot);
        expect(next.id > slot.id).toBe(true);
        expect(readSlot(slot.id)).toEqual(slot);
      }),
    );
  });

  it('is not read from what nobody here has written', () => {
    expect(
      readSlots('hourly/2026-11-30T12 x hourly/2026-11-30 weekly/2026-12-01 daily/ monthly/2026-11 daily/2026-13-01'),
    ).toEqual([slotOf('hourly', at('2026-11-30T12:00Z'))]);
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(readSlots(text).every(({ id }) => text.includes(id))).toBe(true);
      }),
    );
    expect(readSlots(undefined)).toEqual([]);
  });
});

describe('what is due', () => {
  const now = at('2026-12-01T12:30Z');
  const schedule = readSchedule('hourly:24,daily:7');

  it.each([
    ['nothing done', '', ['hourly/2026-12-01T12', 'daily/2026-12-01']],
    ['slots that are over', 'hourly/2026-12-01T11 daily/2026-11-30', ['hourly/2026-12-01T12', 'daily/2026-12-01']],
    ['one of them', 'daily/2026-12-01', ['hourly/2026-12-01T12']],
    ['both', 'hourly/2026-12-01T12 daily/2026-12-01', []],
    ['one by a clock that is ahead', 'hourly/2026-12-01T13 daily/2026-12-01', []],
    ['one that nobody can have done', 'hourly/2096-12-01T12 daily/2026-12-01', ['hourly/2026-12-01T12']],
  ])('with %s', (_what, done, due) => {
    expect(dueSlots(schedule, readSlots(done), now).map(({ id }) => id)).toEqual(due);
  });

  it('is due once in each slot, whenever one looks, and the next begins when nothing is due any more', () => {
    fc.assert(
      fc.property(
        anySchedule,
        anyTime,
        fc.array(fc.integer({ min: 1, max: 200 * 3600_000 })),
        (schedule, start, steps) => {
          let time = start;
          const slots: Slot[] = [];
          for (const step of steps) {
            time += step;
            slots.push(...dueSlots(schedule, slots, time));
            expect(dueSlots(schedule, slots, time)).toEqual([]);
          }
          expect(new Set(slots.map(({ id }) => id)).size).toBe(slots.length);
          const next = nextBegin(schedule, time) ?? Number.NaN;
          const now = dueSlots(schedule, [], time);
          expect(dueSlots(schedule, now, next - 1)).toEqual([]);
          expect(dueSlots(schedule, now, next).length).toBeGreaterThan(0);
        },
      ),
    );
  });
});
