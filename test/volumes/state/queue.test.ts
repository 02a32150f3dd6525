import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createQueue } from '../../../src/volumes/state/queue.ts';

const jobs = fc.array(fc.record({ key: fc.constantFrom('a', 'b', 'c'), fails: fc.boolean() }), {
  minLength: 1,
  maxLength: 12,
});

describe('a keyed queue', () => {
  it('runs the tasks of a key one at a time in order of arrival, failures or not', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), jobs, async (scheduler, given) => {
        const queue = createQueue();
        const started: { key: string; index: number }[] = [];
        const running = new Map<string, number>();
        const outcomes = given.map(({ key, fails }, index) =>
          queue.run(key, async () => {
            started.push({ key, index });
            running.set(key, (running.get(key) ?? 0) + 1);
            expect(running.get(key)).toBe(1);
            await scheduler.schedule(Promise.resolve(), `${key}${index}`);
            running.set(key, 0);
            if (fails) throw new Error(`task ${index}`);
            return index;
          }),
        );
        const settled = Promise.allSettled(outcomes);
        await scheduler.waitFor(settled);
        for (const key of ['a', 'b', 'c']) {
          const order = started.filter((each) => each.key === key).map(({ index }) => index);
          expect(order).toEqual(given.flatMap((job, index) => (job.key === key ? [index] : [])));
        }
        const shown = (await settled).map((each) => (each.status === 'fulfilled' ? each.value : String(each.reason)));
        expect(shown).toEqual(given.map(({ fails }, index) => (fails ? `Error: task ${index}` : index)));
        await queue.idle();
      }),
    );
  });

  it('runs tasks of different keys side by side', async () => {
    const queue = createQueue();
    const gate = Promise.withResolvers<void>();
    const stuck = queue.run('a', () => gate.promise);
    await expect(queue.run('b', async () => 'done')).resolves.toBe('done');
    gate.resolve();
    await stuck;
  });

  it('is idle once nothing runs or waits, also what came meanwhile', async () => {
    const queue = createQueue();
    await queue.idle();
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
    const ended: string[] = [];
    const first = queue.run('a', () => gates[0].promise);
    const idle = queue.idle().then(() => ended.push('idle'));
    const second = queue.run('a', () => gates[1].promise).then(() => ended.push('second'));
    gates[0].resolve();
    await first;
    expect(ended).toEqual([]);
    gates[1].resolve();
    await Promise.all([idle, second]);
    expect(ended).toEqual(['second', 'idle']);
  });

  it('a task that throws before it waits is a failed one', async () => {
    const queue = createQueue();
    const thrower = queue.run('a', () => {
      throw new Error('at once');
    });
    await expect(thrower).rejects.toThrow('at once');
    await expect(queue.run('a', async () => 2)).resolves.toBe(2);
    await queue.idle();
  });
});
