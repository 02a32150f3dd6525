import { beforeEach, describe, expect, it, vi } from 'vitest';
import { cleanMark, tagKeys } from '../../src/ebs/tags.ts';
import type { Ec2 } from '../../src/ebs/types.ts';
import { isCode } from '../../src/errors.ts';
import type { TakeoverContext } from '../../src/fencing/job.ts';
import { readIntents } from '../../src/fencing/records.ts';
import type { FencePolicy } from '../../src/fencing/types.ts';
import { stopped, takeoverBench, terminated, within } from '../support/fake-takeover.ts';
import { pass, useVirtualTime } from '../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../support/virtual-time.ts'));

beforeEach(useVirtualTime);

type Bench = ReturnType<typeof takeoverBench>;

interface Path {
  readonly title: string;
  readonly policy?: FencePolicy;
  prepare(bench: Bench): void;
}

const paths: readonly Path[] = [
  { title: 'terminated', prepare: ({ ec2 }) => ec2.setInstance('i-a', terminated) },
  { title: 'stopped', prepare: ({ ec2 }) => ec2.setInstance('i-a', stopped) },
  {
    title: 'stopped by its host',
    prepare: ({ ec2 }) => ec2.setInstance('i-a', { ...stopped, stateReason: 'Server.ScheduledStop' }),
  },
  {
    title: 'finished by its own word',
    policy: 'never',
    prepare: ({ volume, attachment }) => {
      volume.tags[tagKeys.clean] = cleanMark({ ...attachment, instanceId: 'i-a' });
    },
  },
  {
    title: 'stopped, and its detach stuck until forced',
    prepare: ({ ec2, volume, attachment }) => {
      ec2.setInstance('i-a', stopped);
      ec2.detachMs = 10_000_000;
      const detach = ec2.detachVolume.bind(ec2);
      ec2.detachVolume = (key, options) => {
        if (options?.force) setTimeout(() => ec2.endAttachment(volume, attachment), 2000);
        return detach(key, options);
      };
    },
  },
  { title: 'suspected', policy: 'stonith', prepare: ({ suspect }) => suspect() },
  {
    title: 'suspected, and its stop stuck until forced',
    policy: 'stonith',
    prepare: ({ suspect, ec2 }) => {
      suspect();
      ec2.stopMs = 10_000_000;
    },
  },
  { title: 'to be robbed', policy: 'preempt', prepare: () => undefined },
];

const isForcedOnly = (error: unknown) => isCode(error, 'ATTACHED_ELSEWHERE', 'STILL_WORKING', 'EC2_VOLUME_IN_USE');

/** Every detach and stop, and what was wrong about it at that moment. */
function witness({ ec2, volume, attachment }: Bench, policy: FencePolicy): string[] {
  const wrong: string[] = [];
  const announced = () => readIntents(volume.tags).some(({ victim }) => victim === 'i-a');
  const detach = ec2.detachVolume.bind(ec2);
  ec2.detachVolume = (key, options) => {
    const { state = 'gone' } = ec2.instances.get('i-a') ?? {};
    const clean = volume.tags[tagKeys.clean] === cleanMark({ ...attachment, instanceId: 'i-a' });
    const over = state === 'stopped' || state === 'terminated';
    const allowed = over || clean || (policy === 'preempt' && announced());
    if (key.instanceId === 'i-a' && !allowed) wrong.push(`a detach from i-a, which is ${state}`);
    if (key.instanceId !== 'i-a') wrong.push(`a detach from ${key.instanceId}`);
    if (options?.force && !over) wrong.push(`a forced detach from i-a, which is ${state}`);
    return detach(key, options);
  };
  const stop = ec2.stopInstance.bind(ec2);
  ec2.stopInstance = (id, options) => {
    if (id !== 'i-a' || policy !== 'stonith' || !announced()) wrong.push(`a stop of ${id}`);
    return stop(id, options);
  };
  return wrong;
}

/** Takes the volume over and attaches it: what a node does with it, up to the filesystem. */
async function takeAndAttach(bench: Bench, context: TakeoverContext): Promise<void> {
  await bench.takeBy(context);
  await context.ec2.attachVolume({ volumeId: 'vol-1', instanceId: context.instanceId, device: '/dev/xvdba' });
}

/** An EC2 whose caller dies before or after its n-th call takes effect; counts the calls. */
function mortalEc2(ec2: Ec2, dies: { at: number; when: 'before' | 'after' } | undefined) {
  const life = { calls: 0, dead: false };
  const never = new Promise<never>(() => undefined);
  const proxy = new Proxy(ec2, {
    get: (target, key) => {
      const method: unknown = Reflect.get(target, key, target);
      if (typeof method !== 'function') return method;
      return async (...args: unknown[]) => {
        if (life.dead) return never;
        life.calls += 1;
        const here = life.calls === dies?.at;
        if (here && dies?.when === 'before') life.dead = true;
        if (life.dead) return never;
        const answer: unknown = await method.apply(target, args);
        if (here) life.dead = true;
        return life.dead ? never : answer;
      };
    },
  });
  return { ec2: proxy, life };
}

function benchOf({ policy = 'instance-not-running', prepare }: Path) {
  const bench = takeoverBench({ policy });
  prepare(bench);
  return { bench, wrong: witness(bench, policy) };
}

async function dryRun(path: Path): Promise<number> {
  const { bench, wrong } = benchOf(path);
  const { ec2, life } = mortalEc2(bench.ec2, undefined);
  await within(1_000_000, takeAndAttach(bench, bench.contextOf('i-b', { ec2 })));
  expect([wrong, bench.volume.attachments.map(({ instanceId }) => instanceId)]).toEqual([[], ['i-b']]);
  return life.calls;
}

/** The first taker dies there; then another comes, as often as it takes. @returns what is wrong in the end. */
async function crashAt(path: Path, at: number, when: 'before' | 'after'): Promise<string[]> {
  const { bench, wrong } = benchOf(path);
  const { ec2, life } = mortalEc2(bench.ec2, { at, when });
  let ended = false;
  const first = takeAndAttach(bench, bench.contextOf('i-b', { ec2 }));
  first.then(
    () => {
      ended = true;
    },
    () => {
      ended = true;
    },
  );
  for (let spent = 0; !life.dead && !ended && spent < 1_000_000; spent += 500) await pass(500);
  if (!life.dead) return ['the crash did not come'];
  const attachedTo = () => bench.volume.attachments.map(({ instanceId }) => instanceId).join();
  for (let tries = 0; tries < 5 && attachedTo() !== 'i-c' && attachedTo() !== 'i-b'; tries++) {
    await within(2_000_000, takeAndAttach(bench, bench.contextOf('i-c'))).catch((error: unknown) => {
      if (!isForcedOnly(error)) throw error;
    });
    await pass(30_000);
  }
  if (attachedTo() !== 'i-c' && attachedTo() !== 'i-b') wrong.push(`it is attached to ${attachedTo() || 'nobody'}`);
  if (attachedTo() === 'i-b' && bench.ec2.count('attachVolume') > 1) wrong.push('two have attached it');
  return wrong;
}

describe.each(paths)(
  '1–8: the taker crashes before or after any of its calls, from an owner that is $title',
  (path) => {
    it('and another node finishes, with nothing done but what the evidence allows', async () => {
      const calls = await dryRun(path);
      expect(calls).toBeGreaterThan(2);
      const failures: string[] = [];
      for (let at = 1; at <= calls; at++) {
        for (const when of ['before', 'after'] as const) {
          const wrong = await crashAt(path, at, when);
          failures.push(...wrong.map((what) => `${when} call ${at} of ${calls}: ${what}`));
        }
      }
      expect(failures).toEqual([]);
    });
  },
);

describe.each(paths)('26: two takers at once, from an owner that is $title', (path) => {
  it('one has it in the end, the other is told who', async () => {
    const { bench, wrong } = benchOf(path);
    const takers = ['i-b', 'i-c'].map((id) => takeAndAttach(bench, bench.contextOf(id)));
    const outcomes = await within(2_000_000, Promise.allSettled(takers));
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect([wrong, bench.volume.attachments.length]).toEqual([[], 1]);
    expect(readIntents(bench.volume.tags).filter(({ taker }) => taker === 'i-a')).toEqual([]);
  });
});
