import { beforeEach, describe, expect, it, vi } from 'vitest';
import { caller } from '../../src/ebs/call.ts';
import type { Lane } from '../../src/ebs/types.ts';
import { failure, pass, played, useVirtualTime } from '../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const awsError = (name: string, httpStatusCode: number) =>
  Object.assign(new Error('No.'), { name, $fault: 'server', $metadata: { httpStatusCode } });
const throttled = () => awsError('RequestLimitExceeded', 503);

/** A caller, and an EC2 that fails with these one after another, then answers. */
function bench(...failures: unknown[]) {
  const call = caller(undefined);
  const sent: number[] = [];
  const send = async () => {
    sent.push(performance.now());
    if (failures.length > 0) throw failures.shift();
    return 'answer';
  };
  const ask = (signal?: AbortSignal, action = 'AttachVolume', lane?: Lane) =>
    call(action, { tried: 'attach vol-1', signal, lane }, send);
  return { call, sent, ask };
}

describe('a call', () => {
  it('is sent once when EC2 answers', async () => {
    const { ask, sent } = bench();
    expect(await ask()).toBe('answer');
    expect(sent).toHaveLength(1);
  });

  it.each([
    ['an error of the server', awsError('InternalError', 500)],
    ['a gateway', awsError('Unknown', 502)],
    ['a broken connection', Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })],
    ['an unknown host', Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' })],
    ['a timeout', Object.assign(new Error('slow'), { name: 'TimeoutError' })],
    [
      'a clock that the SDK has set right',
      Object.assign(awsError('AuthFailure', 401), { $metadata: { httpStatusCode: 401, clockSkewCorrected: true } }),
    ],
  ])('is repeated three times after %s', async (_what, error) => {
    const recovers = bench(error, error, error);
    expect(await played(recovers.ask())).toBe('answer');
    const fails = bench(error, error, error, error);
    expect(await failure(fails.ask())).toMatchObject({ parts: { tried: 'attach vol-1' } });
    expect(fails.sent).toHaveLength(4);
  });

  it.each([
    ['a refusal', awsError('VolumeInUse', 400)],
    ['a wrong clock', awsError('AuthFailure', 401)],
    ['a tag that another writes', awsError('ConcurrentTagAccess', 400)],
    ['a bad certificate', Object.assign(new Error('expired'), { code: 'CERT_HAS_EXPIRED' })],
    ['an answer the SDK cannot read', Object.assign(new Error('not XML'), { $metadata: { httpStatusCode: 200 } })],
    ['a thrown text', 'odd'],
  ])('is not repeated after %s', async (_what, error) => {
    const { ask, sent } = bench(error);
    expect(await failure(ask())).toMatchObject({ parts: { tried: 'attach vol-1' } });
    expect(sent).toHaveLength(1);
  });

  it('waits up to 100 ms, 200 ms, 400 ms between its attempts', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(1);
    const error = awsError('InternalError', 500);
    const { ask, sent } = bench(error, error, error);
    await played(ask());
    expect(sent.map((at, index) => at - (sent[index - 1] ?? at))).toEqual([0, 100, 200, 400]);
  });
});

describe('a call that EC2 refuses for its rate', () => {
  it.each(['RequestLimitExceeded', 'EC2ThrottledException', 'Throttling'])('%s: is sent again', async (name) => {
    const { ask, sent } = bench(...Array.from({ length: 5 }, () => awsError(name, 503)));
    expect(await played(ask())).toBe('answer');
    expect(sent).toHaveLength(6);
  });

  it.each<[Lane, number]>([
    ['takeover', 60],
    ['mount', 600],
    ['list', 45],
  ])('is given up in the lane "%s" after %i s', async (lane, seconds) => {
    let error: unknown;
    const { ask } = bench(...Array.from({ length: 1000 }, throttled));
    ask(undefined, 'AttachVolume', lane).catch((reason: unknown) => {
      error = reason;
    });
    await pass(seconds * 1000 - 1000);
    expect(error).toBeUndefined();
    await pass(2000);
    expect(error).toMatchObject({ code: 'EC2_THROTTLED', message: expect.stringContaining('attempts)') });
  });

  it('keeps nobody waiting for a list behind it longer than for one that is refused itself', async () => {
    const { ask } = bench(...Array.from({ length: 1000 }, throttled));
    ask().catch(() => undefined);
    await pass(0);
    let error: unknown;
    ask(undefined, 'AttachVolume', 'list').catch((reason: unknown) => {
      error = reason;
    });
    await pass(44_000);
    expect(error).toBeUndefined();
    await pass(2000);
    expect(error).toMatchObject({ code: 'EC2_THROTTLED', parts: { tried: 'attach vol-1' } });
  });

  it('is given up as one that may have taken effect when the answer to an attempt was lost', async () => {
    const lost = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
    const { ask } = bench(throttled(), lost, ...Array.from({ length: 1000 }, throttled));
    expect(await failure(ask(undefined, 'AttachVolume', 'list'))).toMatchObject({ code: 'EC2_UNAVAILABLE' });
  });

  it('tells its caller, once', async () => {
    const told = vi.fn();
    const call = caller(undefined);
    const failures = [throttled(), throttled()];
    const send = async () => {
      if (failures.length > 0) throw failures.shift();
    };
    await played(call('AttachVolume', { tried: 'attach vol-1', onThrottled: told }, send));
    expect(told).toHaveBeenCalledTimes(1);
  });

  it('succeeds once EC2 takes it', async () => {
    const { ask, sent } = bench(...Array.from({ length: 8 }, throttled));
    expect(await played(ask())).toBe('answer');
    expect(sent).toHaveLength(9);
  });

  it('slows down calls of its action, and no others', async () => {
    const { ask, call, sent } = bench(throttled());
    const attach = ask();
    await pass(0);
    const another = ask();
    await call('DetachVolume', { tried: 'detach vol-1' }, async () => 'answer');
    expect(sent).toHaveLength(1);
    await played(Promise.all([attach, another]));
    expect(sent).toHaveLength(3);
  });

  it('ends when the caller goes, with its reason', async () => {
    const { ask, sent } = bench(throttled(), throttled());
    const controller = new AbortController();
    const asked = failure(ask(controller.signal));
    await pass(0);
    controller.abort('gone');
    expect(await asked).toBe('gone');
    expect(sent).toHaveLength(1);
  });

  it('is not sent once it is no longer valid when its turn comes', async () => {
    const { call, sent } = bench();
    let isValid = true;
    const asked = failure(
      call('DetachVolume', { tried: 'detach vol-1', stillValid: () => isValid }, async () => {
        sent.push(performance.now());
        isValid = false;
        throw throttled();
      }),
    );
    expect(await asked).toMatchObject({ code: 'EC2_UNAVAILABLE', parts: { tried: 'detach vol-1' } });
    expect(sent).toHaveLength(1);
  });

  it('still has its attempts at other failures', async () => {
    const error = awsError('InternalError', 500);
    const { ask, sent } = bench(throttled(), error, throttled(), error, error, error);
    expect(await failure(ask())).toMatchObject({ code: 'EC2_UNAVAILABLE' });
    expect(sent).toHaveLength(6);
  });
});
