import { type Growth, growthsTag, readGrowths } from '../../../src/volumes/growth/history.ts';
import { planGrowth } from '../../../src/volumes/growth/planner.ts';
import { fillRate, type Sample, withSample } from '../../../src/volumes/growth/rate.ts';
import type { AutoGrow } from '../../../src/volumes/options/growth-options.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** A volume and its writer. */
export interface Story {
  readonly sizeGib: number;
  readonly auto: AutoGrow;
  /** GiB an hour, one after another, each for so many hours. */
  readonly writes: readonly { readonly hours: number; readonly gibPerHour: number }[];
  /** How long EC2 optimizes, as a part of what is reckoned with. */
  readonly optimizing: number;
  /** The daemon is killed, and forgets all but the tag, at every so-manieth look; 0 for never. */
  readonly killedEach: number;
}

export interface Told {
  /** Sizes that EC2 was asked for and took. */
  readonly taken: readonly number[];
  /** ModifyVolume calls that EC2 refused. */
  readonly refused: number;
  /** GiB of the disk when a write found no room; undefined where all had some. */
  readonly fullAtGib: number | undefined;
  /** Whether that was warned of before. */
  readonly warned: boolean;
  readonly sizeGib: number;
}

const lookMs = 2 * minuteMs;
const modifyMs = minuteMs;

/** Plays a story on a volume with EC2's rules: one modification at a time, four in 24 hours, hours of optimizing. */
export function play(story: Story): Told {
  const began = Date.parse('2026-01-01T00:00:00Z');
  let tag = '';
  let samples: readonly Sample[] = [];
  let blockedUntil = 0;
  let sizeGib = story.sizeGib;
  let used = sizeGib * 0.1;
  const modifications: { at: number; toGib: number; usableAt: number; doneAt: number }[] = [];
  const taken: number[] = [];
  let refused = 0;
  let warned = false;
  let looks = 0;

  const modify = (now: number, toGib: number): void => {
    const last = modifications.at(-1);
    const recent = modifications.filter(({ at }) => at > now - dayMs);
    if ((last !== undefined && last.doneAt > now) || recent.length >= 4 || toGib <= (last?.toGib ?? sizeGib)) {
      refused += 1;
      return;
    }
    const optimizeMs = Math.min(dayMs, 6 * hourMs * Math.max(1, Math.ceil(sizeGib / 1024))) * story.optimizing;
    modifications.push({ at: now, toGib, usableAt: now + modifyMs, doneAt: now + modifyMs + optimizeMs });
    taken.push(toGib);
  };
  const look = (now: number): void => {
    looks += 1;
    if (story.killedEach > 0 && looks % story.killedEach === 0) {
      samples = [];
      blockedUntil = 0;
    }
    const growths = readGrowths({ 'docker-volume-ebs:growth': tag });
    samples = withSample(samples, { at: now, usedGib: used });
    const rate = fillRate(samples, growths.at(-1));
    const { auto } = story;
    const plan = planGrowth({
      ...{ now, sizeGib, usedGib: used, rate, auto, growths, blockedUntil, busyUntil: 0 },
      mostGib: 65_536,
      nodeGib: 1_000_000,
    });
    warned ||= plan.warning !== undefined;
    if (plan.grow === undefined) return;
    // As the holder does: what is under way is not asked for again.
    const underWay = modifications.some(({ doneAt }) => doneAt > now);
    blockedUntil = now + 20_000;
    if (underWay) return;
    const entry: Growth = { at: now, fromGib: sizeGib, toGib: plan.grow.toGib, usedGib: used };
    if (plan.grow.begun === undefined) tag = growthsTag([...growths, entry]);
    modify(now, plan.grow.toGib);
  };

  let now = began;
  for (const { hours, gibPerHour } of story.writes) {
    for (const until = now + hours * hourMs; now < until; now += lookMs) {
      for (const { usableAt, toGib } of modifications) if (usableAt <= now) sizeGib = Math.max(sizeGib, toGib);
      look(now);
      used += (gibPerHour * lookMs) / hourMs;
      if (used >= sizeGib) return { taken, refused, fullAtGib: sizeGib, warned, sizeGib };
    }
  }
  return { taken, refused, fullAtGib: undefined, warned, sizeGib };
}
