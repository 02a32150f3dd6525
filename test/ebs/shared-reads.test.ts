import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Call } from '../../src/ebs/attempts.ts';
import { SharedReads } from '../../src/ebs/shared-reads.ts';
import type { Lane } from '../../src/ebs/types.ts';
import { DriverError, type ErrorCode } from '../../src/errors.ts';
import { failure, pass, played, useVirtualTime } from '../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const rejected = (code: ErrorCode) => new DriverError(code, { tried: 'read all', why: 'no', todo: 'Try again' });

interface Sent {
  readonly keys: readonly string[];
  readonly sentAt: number;
  readonly call: Call;
  readonly answer: () => void;
  readonly fail: (error: unknown) => void;
}

/** Shared reads over calls that the test answers; what they read is the keys and when the call was sent. */
function bench({ limit = 200, queueMs = 0 } = {}) {
  const sent: Sent[] = [];
  const shared = new SharedReads<{ readonly key: string; readonly sentAt: number }>({
    limit,
    read: async (call, takeKeys) => {
      if (queueMs > 0) await sleep(queueMs, undefined, { ...(call.signal && { signal: call.signal }) });
      const keys = takeKeys();
      const sentAt = performance.now();
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      call.signal?.addEventListener('abort', () => reject(call.signal?.reason));
      sent.push({ keys, sentAt, call, answer: resolve, fail: reject });
      await promise;
      return keys.map((key) => ({ key, sentAt }));
    },
  });
  const ask = (key: string, call: Partial<Call> = {}) => shared.ask(key, { tried: `look up ${key}`, ...call });
  return { shared, sent, ask, keysSent: () => sent.map(({ keys }) => keys.join(' ')) };
}

describe('shared reads', () => {
  it('go at once, together with those asked for in the same moment', async () => {
    const { ask, keysSent, sent } = bench();
    const all = [ask('a'), ask('b'), ask('a')];
    await pass(0);
    expect(keysSent()).toEqual(['a b']);
    sent[0]?.answer();
    expect((await Promise.all(all)).map((items) => items.map(({ key }) => key))).toEqual(Array(3).fill(['a', 'b']));
  });

  it('never join a call under way: those asked for meanwhile go together after it', async () => {
    const { ask, keysSent, sent } = bench();
    const early = ask('a');
    await pass(0);
    const late = [ask('a'), ask('b')];
    await pass(50);
    expect(keysSent()).toEqual(['a']);
    sent[0]?.answer();
    await early;
    await pass(0);
    expect(keysSent()).toEqual(['a', 'a b']);
    sent[1]?.answer();
    await Promise.all(late);
  });

  it('wait for a call that is stuck no longer than 100 ms', async () => {
    const { ask, keysSent, sent } = bench();
    void ask('stuck');
    await pass(0);
    const next = ask('a');
    await pass(99);
    expect(keysSent()).toEqual(['stuck']);
    await pass(1);
    sent[1]?.answer();
    expect(await next).toMatchObject([{ key: 'a' }]);
  });

  it('join a call that still waits for its turn', async () => {
    const { ask, keysSent, sent } = bench({ queueMs: 1000 });
    const all = [ask('a')];
    await pass(999);
    all.push(ask('b'));
    await pass(1);
    expect(keysSent()).toEqual(['a b']);
    sent[0]?.answer();
    await Promise.all(all);
  });

  it('go in several calls side by side when there are more keys than one takes', async () => {
    const { ask, keysSent, sent } = bench({ limit: 2 });
    const all = ['a', 'b', 'a', 'c', 'd', 'e'].map((key) => ask(key));
    await pass(0);
    expect(keysSent()).toEqual(['a b', 'c d', 'e']);
    for (const { answer } of sent) answer();
    expect((await Promise.all(all)).every((items) => items.length > 0)).toBe(true);
  });

  it('are in the best lane of those who ask', async () => {
    const { ask, sent } = bench({ queueMs: 10 });
    const controller = new AbortController();
    const lanes: (Lane | undefined)[] = ['list', undefined, 'takeover'];
    const [list, mount, takeover] = lanes.map((lane) => ask('a', { lane, signal: controller.signal }));
    await pass(10);
    expect(sent[0]?.call).toMatchObject({ lane: 'takeover', tried: 'look up a and 2 more' });
    sent[0]?.answer();
    await Promise.all([list, mount, takeover]);
    const one = ask('a', { lane: 'list' });
    await pass(10);
    expect(sent[1]?.call).toMatchObject({ lane: 'list', tried: 'look up a' });
    sent[1]?.answer();
    await one;
  });
});

describe('one who leaves', () => {
  it('leaves the others their call', async () => {
    const { ask, sent } = bench();
    const controller = new AbortController();
    const left = failure(ask('a', { signal: controller.signal }));
    const stays = ask('b');
    await pass(0);
    controller.abort('gone');
    expect(await left).toBe('gone');
    expect(sent[0]?.call.signal?.aborted).toBe(false);
    sent[0]?.answer();
    expect(await stays).toHaveLength(2);
  });

  it('before the call is sent is not asked for', async () => {
    const { ask, keysSent, sent } = bench();
    const controller = new AbortController();
    const left = failure(ask('a', { signal: controller.signal }));
    const stays = ask('b');
    controller.abort('gone');
    await pass(0);
    expect(keysSent()).toEqual(['b']);
    sent[0]?.answer();
    await Promise.all([left, stays]);
  });

  it('last ends the call, and the next asks anew', async () => {
    const { ask, sent, keysSent } = bench();
    const controller = new AbortController();
    const left = ['a', 'b'].map((key) => failure(ask(key, { signal: controller.signal })));
    await pass(0);
    controller.abort('gone');
    expect(await Promise.all(left)).toEqual(['gone', 'gone']);
    expect(sent[0]?.call.signal?.aborted).toBe(true);
    const next = ask('a');
    await pass(0);
    expect(keysSent()).toEqual(['a b', 'a']);
    sent[1]?.answer();
    await next;
  });

  it('before anything is sent lets nothing be sent', async () => {
    const { ask, sent } = bench();
    expect(await failure(ask('a', { signal: AbortSignal.abort('gone') }))).toBe('gone');
    const controller = new AbortController();
    const left = failure(ask('a', { signal: controller.signal }));
    controller.abort('gone');
    expect(await left).toBe('gone');
    await pass(1000);
    expect(sent).toEqual([]);
  });
});

describe('an error of a shared call', () => {
  it('reaches each who asked, as that of its own read', async () => {
    const { ask, sent } = bench();
    const all = ['a', 'b'].map((key) => failure(ask(key)));
    await pass(0);
    sent[0]?.fail(rejected('EC2_UNAVAILABLE'));
    expect(await Promise.all(all)).toMatchObject([
      { code: 'EC2_UNAVAILABLE', message: 'cannot look up a: no. Try again.' },
      { code: 'EC2_UNAVAILABLE', message: 'cannot look up b: no. Try again.' },
    ]);
    expect(sent).toHaveLength(1);
  });

  it('that one key may be at fault for reaches only those who asked for that', async () => {
    const outcomes = new Map<string, unknown>();
    const shared = new SharedReads<string>({
      limit: 200,
      read: async (_call, takeKeys) => {
        if (takeKeys().includes('bad')) throw rejected('EC2_REJECTED');
        return takeKeys();
      },
    });
    const keys = ['a', 'b', 'bad', 'c', 'bad', 'd'];
    await played(
      Promise.all(
        keys.map((key) =>
          shared.ask(key, { tried: `look up ${key}` }).then(
            (items) => outcomes.set(key, items.includes(key)),
            (error: DriverError) => outcomes.set(key, error.parts.tried),
          ),
        ),
      ),
    );
    expect(Object.fromEntries(outcomes)).toEqual({ a: true, b: true, c: true, d: true, bad: 'look up bad' });
  });
});

describe('freshness', () => {
  const asks = fc.array(
    fc.record({
      atMs: fc.nat(400),
      key: fc.constantFrom('a', 'b', 'c', 'd'),
      leavesAfterMs: fc.option(fc.nat(150)),
    }),
    { minLength: 1, maxLength: 40 },
  );
  /** How long calls wait for their turn, take, and whether they fail. */
  const calls = fc.array(fc.record({ queueMs: fc.nat(60), ms: fc.nat(250), fails: fc.boolean() }), { minLength: 1 });

  it('a read is answered only from a call sent after it was asked for, and always', async () => {
    await fc.assert(
      fc.asyncProperty(asks, calls, fc.integer({ min: 1, max: 4 }), async (asked, given, limit) => {
        let count = 0;
        const shared = new SharedReads<{ key: string; sentAt: number }>({
          limit,
          read: async (_call, takeKeys) => {
            const { queueMs, ms, fails } = given[count % given.length] ?? { queueMs: 0, ms: 0, fails: false };
            count += 1;
            await sleep(queueMs);
            const keys = takeKeys();
            const sentAt = performance.now();
            expect(keys.length).toBeLessThanOrEqual(limit);
            expect(new Set(keys).size).toBe(keys.length);
            await sleep(ms);
            if (fails) throw rejected(count % 2 === 0 ? 'EC2_REJECTED' : 'EC2_UNAVAILABLE');
            return keys.map((key) => ({ key, sentAt }));
          },
        });
        const reads = asked.map(async ({ atMs, key, leavesAfterMs }) => {
          await sleep(atMs);
          const askedAt = performance.now();
          const controller = new AbortController();
          if (leavesAfterMs !== null) setTimeout(() => controller.abort('gone'), leavesAfterMs);
          try {
            const items = await shared.ask(key, { tried: `look up ${key}`, signal: controller.signal });
            const mine = items.find((item) => item.key === key);
            expect(mine?.sentAt).toBeGreaterThanOrEqual(askedAt);
          } catch (error) {
            if (error === 'gone') expect(leavesAfterMs).not.toBeNull();
            else expect(error).toMatchObject({ parts: { tried: `look up ${key}` } });
          }
        });
        await played(Promise.all(reads));
      }),
    );
  });
});
