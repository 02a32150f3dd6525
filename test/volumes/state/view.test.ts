import { beforeEach, describe, expect, it, vi } from 'vitest';
import { createView } from '../../../src/volumes/state/view.ts';
import { ec2Error } from '../../support/fake-ec2.ts';
import { failure, pass, played, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** A view on answers that a test gives: a value, undefined for "there is none", or an error. */
function bench() {
  const source = { answer: undefined as string | Error | undefined, takesMs: 60, reads: 0 };
  const view = createView(async () => {
    source.reads += 1;
    const { answer, takesMs } = source;
    await new Promise((resolve) => setTimeout(resolve, takesMs));
    if (answer instanceof Error) throw answer;
    return answer;
  }, Date.now);
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
    const { source, view } = bench();
    expect(await played(view.look('k', 'earlier'))).toBeUndefined();
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
    const { source, view } = bench();
    source.answer = ec2Error('EC2_THROTTLED');
    expect(await played(view.look('k', 'earlier'))).toEqual({
      value: 'earlier',
      stale: 'EC2 cannot be asked: EC2 said EC2_THROTTLED; this was seen before the daemon started',
    });
  });

  it('hides no answer that is an error by itself', async () => {
    const { source, view } = bench();
    source.answer = ec2Error('AMBIGUOUS_NAME');
    expect(await failure(view.look('k', 'earlier'))).toMatchObject({ code: 'AMBIGUOUS_NAME' });
  });

  it('does not let a read that began before bring back what was forgotten or older', async () => {
    const { source, view } = bench();
    source.answer = 'old';
    const asked = view.look('k');
    await pass(30);
    view.saw('k', 'new');
    await played(asked);
    source.answer = ec2Error('EC2_THROTTLED');
    expect(await played(view.look('k'))).toMatchObject({ value: 'new' });
  });

  it('forgets what nobody asked about for an hour', async () => {
    const { source, view } = bench();
    view.saw('old', 'a');
    await pass(3_600_001);
    view.saw('young', 'b');
    source.answer = ec2Error('EC2_THROTTLED');
    expect(await failure(view.look('old'))).toMatchObject({ code: 'EC2_THROTTLED' });
    expect(await played(view.look('young'))).toMatchObject({ value: 'b' });
  });
});
