import fc from 'fast-check';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { bestLane } from '../../src/ebs/lanes.ts';
import { Pacer } from '../../src/ebs/pacer.ts';
import type { Lane } from '../../src/ebs/types.ts';
import { failure, pass, played, useVirtualTime } from '../support/virtual-time.ts';

beforeEach(useVirtualTime);

/** A pacer of AttachVolume (40 at once, 2.5 a second), and in which order calls went, with the seconds they waited. */
function bench(action = 'AttachVolume') {
  const pacer = new Pacer();
  const went: string[] = [];
  const since = performance.now();
  const seconds = () => Math.round((performance.now() - since) / 100) / 10;
  return {
    pacer,
    went,
    seconds,
    ask: (name: string, call: { lane?: Lane; signal?: AbortSignal } = {}, of = action) =>
      pacer.turn(of, pacer.entrant(call), call.signal).then(() => void went.push(name)),
    /** Uses up the burst. */
    drain: async (of = action, calls = 40) => {
      for (let call = 0; call < calls; call++) await pacer.turn(of, pacer.entrant({}));
    },
  };
}

describe('the pacer', () => {
  it('lets 40 attachments at once wait for nothing', async () => {
    const { ask, went } = bench();
    const names = Array.from({ length: 40 }, (_, index) => `attach ${index}`);
    await Promise.all(names.map((name) => ask(name)));
    expect(went).toEqual(names);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('lets more go at the steady rate', async () => {
    const { ask, drain, seconds } = bench();
    await drain();
    await played(Promise.all(Array.from({ length: 10 }, (_, index) => ask(`${index}`))));
    expect(seconds()).toBe(4);
  });

  it('serves a takeover before a mount before a list, and first come first within', async () => {
    const { ask, drain, went } = bench();
    await drain();
    const order = ['list', 'mount', 'takeover', undefined, 'list', 'takeover', 'mount'] as const;
    await played(Promise.all(order.map((lane, index) => ask(`${lane} ${index}`, lane === undefined ? {} : { lane }))));
    expect(went).toEqual(['takeover 2', 'takeover 5', 'mount 1', 'undefined 3', 'mount 6', 'list 0', 'list 4']);
  });

  it('serves a call in the lane it has by then', async () => {
    const { ask, drain, went } = bench();
    await drain();
    const batch: { lane: Lane } = { lane: 'list' };
    const all = [ask('batch', batch), ask('mount')];
    batch.lane = 'takeover';
    await played(Promise.all(all));
    expect(went).toEqual(['batch', 'mount']);
  });

  it('keeps the place of a call that comes again', async () => {
    const { pacer, ask, drain, went } = bench();
    await drain();
    const early = pacer.entrant({});
    const later = ask('later');
    const again = pacer.turn('AttachVolume', early).then(() => void went.push('early'));
    await played(Promise.all([later, again]));
    expect(went).toEqual(['early', 'later']);
  });

  it('lets no action wait for another', async () => {
    const { pacer, ask, drain, went } = bench();
    await drain();
    pacer.refused('AttachVolume', performance.now());
    const attach = ask('attach');
    await ask('detach', {}, 'DetachVolume');
    expect(went).toEqual(['detach']);
    await played(attach);
  });

  it('ends a wait with its signal, and lets the next go in its time', async () => {
    const { ask, drain, went, seconds } = bench();
    await drain();
    const controller = new AbortController();
    const left = failure(ask('left', { signal: controller.signal }));
    const stays = ask('stays');
    controller.abort('gone');
    expect(await left).toBe('gone');
    await played(stays);
    expect([went, seconds()]).toEqual([['stays'], 0.4]);
    expect(await failure(ask('late', { signal: controller.signal }))).toBe('gone');
  });

  it('slows down when refused, and recovers', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(1);
    const { pacer, ask, seconds } = bench();
    await ask('first');
    await pass(1);
    pacer.refused('AttachVolume', performance.now());
    // Empty, at half the rate of 2.5 a second.
    await played(Promise.all([ask('a'), ask('b'), ask('c'), ask('d')]));
    expect(seconds()).toBeGreaterThanOrEqual(2.8);
    await pass(600_000);
    const before = seconds();
    await Promise.all(Array.from({ length: 40 }, (_, index) => ask(`${index}`)));
    await played(ask('one more'));
    expect(seconds() - before).toBeCloseTo(0.4, 1);
  });

  it('never lets a call go before a better one that waits, nor more than its budget', async () => {
    const lane = fc.constantFrom<Lane>('takeover', 'mount', 'list');
    const arrival = fc.record({
      afterMs: fc.integer({ min: 0, max: 400 }),
      lane,
      leavesAfterMs: fc.option(fc.nat(900)),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(arrival, { minLength: 1, maxLength: 60 }), async (arrivals) => {
        const { pacer, drain } = bench();
        await drain('AttachVolume', 35);
        const waiting = new Map<number, Lane>();
        const times: number[] = [];
        const start = performance.now();
        const all = arrivals.map(async (each, index) => {
          await new Promise((resolve) => void setTimeout(resolve, index * 50 + each.afterMs));
          const controller = new AbortController();
          if (each.leavesAfterMs !== null) setTimeout(() => controller.abort(), each.leavesAfterMs);
          controller.signal.addEventListener('abort', () => waiting.delete(entrant.place));
          const entrant = pacer.entrant({ lane: each.lane });
          waiting.set(entrant.place, each.lane);
          await pacer.turn('AttachVolume', entrant, controller.signal).catch(() => undefined);
          if (!waiting.delete(entrant.place)) return;
          times.push(performance.now());
          const better = [...waiting].filter(
            ([place, other]) =>
              bestLane([other, each.lane]) === other && (other !== each.lane || place < entrant.place),
          );
          expect(better).toEqual([]);
        });
        await played(Promise.all(all));
        for (const [index, time] of times.entries()) {
          expect(index + 1).toBeLessThanOrEqual(5 + (2.5 * (time - start)) / 1000 + 1e-6);
        }
      }),
      { numRuns: 30 },
    );
  });
});
