import { beforeEach, describe, expect, it, vi } from 'vitest';
import { type Answer, createView } from '../../../src/volumes/state/view.ts';
import { ec2Error } from '../../support/fake-ec2.ts';
import { failure, pass, played, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** A view on answers that a test gives: a value, undefined for "there is none", or an error. It starts with `earlier`. */
function bench(earlier?: string) {
  const source = { answer: undefined as string | Error | undefined, takesMs: 60, reads: 0 };
  const last = new Map<string, Answer<string>>();
  if (earlier !== undefined) last.set('k', { value: earlier, at: undefined, read: false });
  const view = createView(
    async (key) => {
      source.reads += 1;
      const { answer, takesMs } = source;
      await new Promise((resolve) => setTimeout(resolve, takesMs));
      if (answer instanceof Error) throw answer;
      if (answer === undefined) last.delete(key);
      else last.set(key, { value: answer, at: Date.now(), read: true });
      return answer;
    },
    (key) => last.get(key),
    Date.now,
  );
  return { source, view };
}

describe('a view', () => {
  it('reads once for all who ask at a time, and within a second of an answer', async () => {
    const { source, view } = bench();
    source.answer = 'one';
    expect(await played(Promise.all([view.look('k'), view.look('k')]))).toEqual([{ value: 'one' }, { value: 'one' }]);
    source.answer = 'two';
    expect(await played(view.look('k'))).toEqual({ value: 'one' });
    await pass(1000);
    expect(await played(view.look('k'))).toEqual({ value: 'two' });
    expect(source.reads).toBe(2);
  });

  it('keeps no "there is none"', async () => {
    const { source, view } = bench('earlier');
    expect(await played(view.look('k'))).toBeUndefined();
    source.answer = 'made';
    expect(await played(view.look('k'))).toEqual({ value: 'made' });
    await pass(1000);
    source.answer = undefined;
    expect(await played(view.look('k'))).toBeUndefined();
    source.answer = ec2Error('EC2_THROTTLED');
    expect(await failure(view.look('k'))).toMatchObject({ code: 'EC2_THROTTLED' });
  });

  it('gives the last answer when a read takes long, and the new one once it is there', async () => {
    const { source, view } = bench();
    source.answer = 'one';
    await played(view.look('k'));
    await pass(60_000);
    source.answer = 'two';
    source.takesMs = 30_000;
    const before = Date.now();
    const asked = played(view.look('k'));
    expect(await asked).toEqual({ value: 'one', stale: 'EC2 has not answered for 2 s; this was seen 62 s ago' });
    expect(Date.now() - before).toBeLessThan(3000);
    await pass(28_000);
    expect(await view.look('k')).toMatchObject({ value: 'two' });
    expect(source.reads).toBe(2);
  });

  it('waits for a slow read when there is no other answer, and then fails with it', async () => {
    const { source, view } = bench();
    source.takesMs = 10_000;
    source.answer = 'late';
    expect(await played(view.look('k'))).toEqual({ value: 'late' });
    source.answer = ec2Error('EC2_UNAVAILABLE');
    expect(await failure(view.look('other'))).toMatchObject({ code: 'EC2_UNAVAILABLE' });
  });

  it('gives what was known before it began where nothing was read yet', async () => {
    const { source, view } = bench('earlier');
    source.answer = ec2Error('EC2_THROTTLED');
    expect(await played(view.look('k'))).toEqual({
      value: 'earlier',
      stale: 'EC2 cannot be asked: EC2 said EC2_THROTTLED; this was seen before the daemon started',
    });
  });

  it('hides no answer that is an error by itself', async () => {
    const { source, view } = bench('earlier');
    source.answer = ec2Error('AMBIGUOUS_NAME');
    expect(await failure(view.look('k'))).toMatchObject({ code: 'AMBIGUOUS_NAME' });
  });
});
