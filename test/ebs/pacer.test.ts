import fc from 'fast-check';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { bestLane } from '../../src/ebs/lanes.ts';
import { type Over, Pacer } from '../../src/ebs/pacer.ts';
import type { Lane } from '../../src/ebs/types.ts';
import { failure, pass, played, useVirtualTime } from '../support/virtual-time.ts';

beforeEach(useVirtualTime);

/** A pacer of AttachVolume (50 at once, 5 a second), and in which order calls went, with the seconds they waited. Each is answered at once. */
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
      pacer.turn(of, pacer.entrant(call), call.signal).then((over) => {
        went.push(name);
        over('served');
      }),
    /** Uses up the burst. */
    drain: async (of = action, calls = 50) => {
      for (let call = 0; call < calls; call++) (await pacer.turn(of, pacer.entrant({})))('served');
    },
  };
}

describe('the pacer', () => {
  it('begins with two at once, and lets one more go for each that is over', async () => {
    const pacer = new Pacer();
    const under: Over[] = [];
    for (let call = 0; call < 40; call++)
      void pacer.turn('AttachVolume', pacer.entrant({})).then((over) => under.push(over));
    const volleys: number[] = [];
    for (let volley = 0; volley < 5; volley++) {
      await pass(0);
      volleys.push(under.length);
      for (const over of under.splice(0)) over('served');
    }
    expect(volleys).toEqual([2, 4, 8, 16, 10]);
    // Nothing is under way or waits: the next volley begins with two again.
    for (let call = 0; call < 3; call++)
      void pacer.turn('AttachVolume', pacer.entrant({})).then((over) => under.push(over));
    await pass(0);
    expect(under).toHaveLength(2);
  });

  it('lets no stuck call hold up others for longer than a second', async () => {
    const pacer = new Pacer();
    const went: number[] = [];
    const since = performance.now();
    for (let call = 0; call < 3; call++) {
      void pacer.turn('AttachVolume', pacer.entrant({})).then(() => went.push(performance.now() - since));
    }
    await pass(1100);
    expect(went).toEqual([0, 0, 1000]);
  });

  it('lets more go at the steady rate', async () => {
    const { ask, drain, seconds } = bench();
    await drain();
    await played(Promise.all(Array.from({ length: 10 }, (_, index) => ask(`${index}`))));
    expect(seconds()).toBe(2);
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
    const again = pacer.turn('AttachVolume', early).then((over) => {
      went.push('early');
      over('served');
    });
    await played(Promise.all([later, again]));
    expect(went).toEqual(['early', 'later']);
  });

  it('lets no action wait for another', async () => {
    const { ask, drain, went } = bench();
    await drain();
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
    expect([went, seconds()]).toEqual([['stays'], 0.2]);
    expect(await failure(ask('late', { signal: controller.signal }))).toBe('gone');
  });

  it('slows down when refused, and recovers', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(1);
    const { pacer, ask, drain, seconds } = bench();
    await drain('AttachVolume', 20);
    (await pacer.turn('AttachVolume', pacer.entrant({})))('refused');
    // Empty, with a call of debt, at two fifths of the rate of 5 a second, growing.
    await played(Promise.all([ask('a'), ask('b'), ask('c'), ask('d')]));
    expect(seconds()).toBeGreaterThanOrEqual(2);
    expect(seconds()).toBeLessThan(2.6);
    await pass(600_000);
    const before = seconds();
    await Promise.all(Array.from({ length: 50 }, (_, index) => ask(`${index}`)));
    await played(ask('one more'));
    expect(seconds() - before).toBeCloseTo(0.2, 1);
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
        await drain('AttachVolume', 45);
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
          const over = await pacer.turn('AttachVolume', entrant, controller.signal).catch(() => undefined);
          over?.('served');
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
          expect(index + 1).toBeLessThanOrEqual(5 + (5 * (time - start)) / 1000 + 1e-6);
        }
      }),
      { numRuns: 30 },
    );
  });
});
