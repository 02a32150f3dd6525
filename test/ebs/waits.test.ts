import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Attachment, EbsVolume } from '../../src/ebs/types.ts';
import { waitUntilCreated, waitUntilDetached } from '../../src/ebs/volume-waits.ts';
import { waitForVolume } from '../../src/ebs/waits.ts';
import { DriverError } from '../../src/errors.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

const attachTime = '2026-01-02T03:04:05.678Z';
const attachment = (state: Attachment['state'], more: Partial<Attachment> = {}): Attachment => ({
  volumeId: 'vol-1',
  instanceId: 'i-1',
  device: '/dev/xvdba',
  state,
  attachTime,
  deleteOnTermination: false,
  ...more,
});
const volume = (state: EbsVolume['state'], ...attachments: Attachment[]): EbsVolume => ({
  id: 'vol-1',
  zone: 'eu-west-1a',
  state,
  createdAt: '2026-01-02T03:04:05.678Z',
  type: 'gp3',
  sizeGib: 16,
  iops: 3000,
  throughput: 125,
  encrypted: false,
  kmsKeyId: undefined,
  snapshotId: undefined,
  multiAttach: false,
  attachments,
  tags: {},
});
const key = { volumeId: 'vol-1', instanceId: 'i-1', device: '/dev/xvdba' };
const throttled = new DriverError('EC2_THROTTLED', { tried: 'look up vol-1', why: 'it is busy', todo: 'Wait' });
const denied = new DriverError('EC2_DENIED', { tried: 'look up vol-1', why: 'no', todo: 'Ask' });

type Step = EbsVolume | undefined | Error;

/** Plays the steps one a look, the last one from then on. */
function ec2(...steps: readonly Step[]) {
  let looks = 0;
  return {
    describeVolume: vi.fn(async (_id: string, options?: { signal?: AbortSignal | undefined }) => {
      options?.signal?.throwIfAborted();
      const step = steps[Math.min(looks, steps.length - 1)];
      looks += 1;
      if (step instanceof Error) throw step;
      return step;
    }),
  };
}

/** How a wait ends, and after how long on the fake clock. */
async function ending<T>(waiting: Promise<T>): Promise<{ value?: T; error?: unknown; ms: number }> {
  const started = performance.now();
  const outcome = waiting.then(
    (value) => ({ value, ms: performance.now() - started }),
    (error: unknown) => ({ error, ms: performance.now() - started }),
  );
  await vi.runAllTimersAsync();
  return outcome;
}
const patient = { timeoutMs: 60_000 };

describe('any wait', () => {
  const wait = (source: ReturnType<typeof ec2>, more: { signal?: AbortSignal; timeoutMs?: number } = {}) =>
    waitForVolume({
      ...patient,
      tried: 'see vol-1 become available',
      read: (signal) => source.describeVolume('vol-1', { signal }),
      until: (seen) => (seen?.state === 'available' ? seen.id : undefined),
      ...more,
    });

  it('looks at once, then at a flat interval', async () => {
    const creating = volume('creating');
    const source = ec2(...Array<EbsVolume>(9).fill(creating), volume('available'));
    expect(await ending(wait(source))).toEqual({ value: 'vol-1', ms: 4500 });
    expect(source.describeVolume).toHaveBeenCalledTimes(10);
  });

  it('repeats a read that failed for now, and only such a one', async () => {
    expect(await ending(wait(ec2(throttled, throttled, volume('available'))))).toEqual({ value: 'vol-1', ms: 1000 });
    expect(await ending(wait(ec2(throttled, denied)))).toEqual({ error: denied, ms: 500 });
    const defect = new TypeError('undefined is not a function');
    expect(await ending(wait(ec2(defect)))).toEqual({ error: defect, ms: 0 });
  });

  it('gives up at once when `until` throws, though the error be transient', async () => {
    const source = ec2(volume('creating'));
    const until = () => {
      throw throttled;
    };
    const waiting = waitForVolume({ ...patient, tried: 'x', read: () => source.describeVolume('vol-1'), until });
    expect(await ending(waiting)).toEqual({ error: throttled, ms: 0 });
  });

  it.each([
    [volume('creating'), 'after 2 s EC2 shows vol-1 as creating'],
    [
      volume('in-use', attachment('attaching')),
      'after 2 s EC2 shows vol-1 as in-use, on i-1 as /dev/xvdba (attaching)',
    ],
    [
      volume('in-use', attachment('attached', { instanceId: undefined, device: '' })),
      'after 2 s EC2 shows vol-1 as in-use, on a resource that AWS manages (attached)',
    ],
    [undefined, 'after 2 s EC2 lists no such volume'],
    [throttled, 'after 2 s it could not be read: it is busy'],
  ])('ends on time and says what was seen last', async (step, why) => {
    const { error, ms } = await ending(wait(ec2(step), { timeoutMs: 2_000 }));
    expect(error).toMatchObject({ code: 'STILL_WORKING', parts: { tried: 'see vol-1 become available', why } });
    expect(ms).toBe(2000);
  });

  it('ends a read that hangs when its time is up', async () => {
    const hang = (signal: AbortSignal) =>
      new Promise<undefined>((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
      });
    const waiting = waitForVolume({ timeoutMs: 2_000, tried: 'x', read: hang, until: () => undefined });
    expect(await ending(waiting)).toMatchObject({ error: { code: 'STILL_WORKING' }, ms: 2000 });
  });

  it("ends with the caller's own reason, whenever that comes", async () => {
    for (const reason of [new Error('mine'), 'a text']) {
      const controller = new AbortController();
      setTimeout(() => controller.abort(reason), 750);
      expect(await ending(wait(ec2(undefined), { signal: controller.signal }))).toEqual({ error: reason, ms: 750 });
      const source = ec2(undefined);
      expect(await ending(wait(source, { signal: controller.signal }))).toEqual({ error: reason, ms: 0 });
      expect(source.describeVolume).not.toHaveBeenCalled();
    }
  });
});

describe('a delay before the first look', () => {
  // Node's promised timers, which the delay uses, know nothing of the fake clock.
  beforeEach(() => {
    vi.useRealTimers();
  });
  afterEach(() => {
    vi.useFakeTimers();
  });
  const wait = (read: () => Promise<EbsVolume>, more: { delayMs: number; timeoutMs?: number; signal?: AbortSignal }) =>
    waitForVolume({ ...patient, tried: 'x', read, until: () => 'done', ...more });
  const unread = () => expect.fail('must not be read');

  it('passes before it', async () => {
    const started = performance.now();
    await wait(async () => volume('available'), { delayMs: 60 });
    expect(performance.now() - started).toBeGreaterThan(50);
  });

  it("ends with the caller's own reason, or when the time is up", async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort('mine'), 20);
    await expect(wait(unread, { delayMs: 5_000, signal: controller.signal })).rejects.toBe('mine');
    await expect(wait(unread, { delayMs: 5_000, timeoutMs: 20 })).rejects.toMatchObject({ code: 'STILL_WORKING' });
  });
});

describe('creating', () => {
  const created = volume('creating');
  const wait = (...steps: readonly Step[]) => ending(waitUntilCreated(ec2(...steps), created, patient));

  it('is done when the volume is available, or attached already by another node', async () => {
    expect(await wait(undefined, created, volume('available'))).toEqual({ value: volume('available'), ms: 1000 });
    const attached = volume('in-use', attachment('attached', { instanceId: 'i-2' }));
    expect(await wait(attached)).toEqual({ value: attached, ms: 0 });
  });

  it('needs no look when the first answer says so', async () => {
    const source = ec2(undefined);
    const available = volume('available');
    expect(await ending(waitUntilCreated(source, available, patient))).toEqual({ value: available, ms: 0 });
    expect(source.describeVolume).not.toHaveBeenCalled();
  });

  it.each(['deleting', 'deleted', 'error'] as const)('has failed when the volume is %s', async (state) => {
    expect(await wait(created, volume(state))).toMatchObject({ error: { code: 'CREATE_VANISHED' }, ms: 500 });
  });

  it('has failed when the volume stays away, sooner if it was there before', async () => {
    expect(await wait(undefined)).toMatchObject({ error: { code: 'CREATE_VANISHED' }, ms: 15_000 });
    expect(await wait(created, undefined)).toMatchObject({ error: { code: 'CREATE_VANISHED' }, ms: 3_500 });
  });

  it('survives a stale answer', async () => {
    const gone = Array<undefined>(5).fill(undefined);
    const steps = [created, ...gone, created, ...gone, volume('available')];
    expect(await wait(...steps)).toMatchObject({ value: { state: 'available' } });
  });

  it('does not count failed reads as an absence', async () => {
    const { error, ms } = await wait(created, throttled);
    expect(error).toMatchObject({ code: 'STILL_WORKING' });
    expect(ms).toBe(60_000);
  });

  it('names the key as the likely cause only when there is one', async () => {
    const encrypted = { ...created, encrypted: true, kmsKeyId: 'alias/k' };
    const { error } = await ending(waitUntilCreated(ec2({ ...encrypted, state: 'deleted' }), encrypted, patient));
    expect(String(error)).toContain('may not use its KMS key');
    expect(String(error)).toContain('alias/k');
    expect(String((await wait(volume('deleted'))).error)).not.toContain('KMS');
  });
});

describe('detaching', () => {
  const wait = (...steps: readonly Step[]) => ending(waitUntilDetached(ec2(...steps), { ...key, attachTime }, patient));

  it('is done when the attachment is gone', async () => {
    const steps = [
      volume('in-use', attachment('detaching')),
      volume('in-use', attachment('busy')),
      volume('available'),
    ];
    expect(await wait(...steps)).toEqual({ value: volume('available'), ms: 1000 });
    const detached = volume('available', attachment('detached'));
    expect(await wait(detached)).toEqual({ value: detached, ms: 0 });
  });

  it.each([
    ['instance', { instanceId: 'i-2' }],
    ['device name', { device: '/dev/xvdbb' }],
    ['attach time', { attachTime: '2026-01-02T03:04:07.000Z' }],
  ])('is done when another %s has the volume', async (_what, other) => {
    const taken = volume('in-use', attachment('attached', other));
    expect(await wait(volume('in-use', attachment('detaching')), taken)).toEqual({ value: taken, ms: 500 });
  });

  it.each(['2026-01-02T03:04:05.000Z', '2026-01-02T03:04:06.000Z'])(
    'is not done when EC2 gives the same attach time without its milliseconds: %s',
    async (rounded) => {
      const held = volume('in-use', attachment('detaching', { attachTime: rounded }));
      expect(await wait(held)).toMatchObject({ error: { code: 'STILL_WORKING' }, ms: 60_000 });
    },
  );

  it('without a known attach time is not done while anything is at the instance and device', async () => {
    const held = volume('in-use', attachment('attached', { attachTime: '2030-01-01T00:00:00.000Z' }));
    const waiting = waitUntilDetached(ec2(held, volume('available')), key, patient);
    expect(await ending(waiting)).toEqual({ value: volume('available'), ms: 500 });
  });

  it('is not done when reads fail, nor when one answer lacks the volume', async () => {
    expect(await wait(throttled)).toMatchObject({ error: { code: 'STILL_WORKING' } });
    const held = volume('in-use', attachment('detaching'));
    expect(await wait(held, undefined, held)).toMatchObject({ error: { code: 'STILL_WORKING' } });
    expect(await wait(held, undefined)).toMatchObject({ error: { code: 'EC2_NO_SUCH_VOLUME' } });
  });
});
