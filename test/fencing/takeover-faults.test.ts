import { beforeEach, describe, expect, it, vi } from 'vitest';
import { cleanMark, tagKeys } from '../../src/ebs/tags.ts';
import type { AttachmentKey, Ec2 } from '../../src/ebs/types.ts';
import type { FencePolicy } from '../../src/fencing/types.ts';
import { randomFrom } from '../property/clock.ts';
import { ec2Error } from '../support/fake-instances.ts';
import { takeoverBench } from '../support/fake-takeover.ts';
import { pass, useVirtualTime } from '../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const runs = Number(process.env['PROPERTY_RUNS'] ?? 25);
/** The oldest answer of a read: within what the driver takes for EC2's lag. */
const staleMs = 18_000;
/** The latest a request takes effect whose sender was told nothing. */
const lateMs = 300_000;
const minuteMs = 60_000;

type Bench = ReturnType<typeof takeoverBench>;
type Random = () => number;

const destructive = new Set(['detachVolume', 'stopInstance', 'createTags', 'deleteTags']);

/** What EC2 knew at a moment. */
interface Sight {
  readonly at: number;
  readonly volumes: Bench['ec2']['volumes'];
  readonly instances: Bench['ec2']['instances'];
}

/** EC2 as one taker meets it: reads behind or backward, answers lost, calls throttled, requests that arrive late. */
function faulty({ ec2 }: Bench, random: Random, history: readonly Sight[]): Ec2 {
  const behind = () => {
    const seen = history.filter(({ at }) => at >= Date.now() - staleMs);
    return random() < 0.5 ? undefined : seen[Math.floor(random() * seen.length)];
  };
  const stale: Partial<Ec2> = {
    async describeVolume(id) {
      const seen = behind()?.volumes.get(id);
      return seen === undefined ? ec2.describeVolume(id) : structuredClone(seen);
    },
    async describeInstance(id) {
      const sight = behind();
      const seen = sight?.instances.get(id);
      if (sight === undefined || seen === undefined) return ec2.describeInstance(id);
      const attachments = [...sight.volumes.values()].flatMap((volume) => volume.attachments);
      return structuredClone({
        ...seen,
        answeredAt: new Date().toISOString(),
        disks: attachments.filter(({ instanceId }) => instanceId === id),
      });
    },
  };
  return new Proxy(ec2, {
    get: (target, key) => {
      const method = (stale[key as keyof Ec2] ?? Reflect.get(target, key, target)) as (...args: unknown[]) => unknown;
      if (typeof method !== 'function') return method;
      return async (...args: unknown[]) => {
        const luck = random();
        if (luck < 0.06) throw ec2Error('EC2_THROTTLED');
        if (luck < 0.1 && destructive.has(String(key))) {
          setTimeout(() => void Promise.resolve(method.apply(target, args)).catch(() => undefined), random() * lateMs);
          throw ec2Error('EC2_UNAVAILABLE');
        }
        const answer = await method.apply(target, args);
        if (luck > 0.95) throw ec2Error('EC2_UNAVAILABLE');
        return answer;
      };
    },
  }) as Ec2;
}

/** The owner, which keeps its promises: one attachment serves one boot, and the clean tag is final. */
function ownerOf({ ec2, volume, attachment }: Bench, random: Random) {
  let mounted: typeof attachment | undefined = attachment;
  let device = 0;
  const mine = () => volume.attachments.find(({ instanceId }) => instanceId === 'i-a');
  const state = () => ec2.instances.get('i-a')?.state ?? 'terminated';
  const reason = () => ec2.instances.get('i-a')?.stateReason ?? '';
  const isOver = () => state() === 'terminated' || (state() === 'stopped' && !reason().includes('Hibernate'));
  const actions: Record<string, () => void> = {
    stop: () => {
      if (state() !== 'running') return;
      ec2.setInstance('i-a', { state: 'stopping', stateReason: 'Client.UserInitiatedShutdown' });
      setTimeout(() => state() === 'stopping' && ec2.setInstance('i-a', { state: 'stopped' }), 20_000);
    },
    hibernate: () => {
      if (state() === 'running')
        ec2.setInstance('i-a', { state: 'stopped', stateReason: 'Client.UserInitiatedHibernate' });
    },
    start: () => {
      if (state() !== 'stopped') return;
      if (isOver()) mounted = undefined;
      ec2.setInstance('i-a', { state: 'running', stateReason: undefined, launchTime: new Date().toISOString() });
    },
    terminate: () => {
      ec2.setInstance('i-a', { state: 'terminated' });
      const left = mine();
      if (left !== undefined) ec2.endAttachment(volume, left);
    },
    'let go': () => {
      const left = mine();
      if (state() !== 'running' || left === undefined || left.state !== 'attached') return;
      mounted = undefined;
      volume.tags[tagKeys.clean] = cleanMark({ ...left, instanceId: 'i-a' });
      setTimeout(
        () => void ec2.detachVolume({ volumeId: 'vol-1', instanceId: 'i-a', device: left.device }).catch(() => {}),
        500,
      );
    },
    'mount anew': () => {
      if (state() !== 'running' || volume.attachments.length > 0) return;
      device += 1;
      mounted = ec2.addAttachment(volume, 'i-a', `/dev/xvdd${String.fromCharCode(97 + device)}`);
    },
  };
  const act = () => {
    const names = ['stop', 'stop', 'hibernate', 'start', 'let go', 'mount anew', 'mount anew', 'terminate'];
    const does = names[Math.floor(random() * (random() < 0.9 ? names.length - 1 : names.length))] ?? '';
    actions[does]?.();
    return does;
  };
  return {
    act,
    terminate: () => actions['terminate']?.(),
    /** Its mount under the attachment that has this key, in a guest that still lives, or may wake. */
    hasMounted: ({ instanceId, device: name }: AttachmentKey) => {
      const there = mine();
      return instanceId === 'i-a' && there !== undefined && there === mounted && there.device === name && !isOver();
    },
  };
}

async function run(policy: FencePolicy, seed: number): Promise<string[]> {
  const random = randomFrom(seed);
  const bench = takeoverBench({ policy });
  const { ec2, volume } = bench;
  if (policy === 'stonith' && random() < 0.7) bench.suspect();
  const owner = ownerOf(bench, random);
  const wrong: string[] = [];
  const events: string[] = [];
  const detach = ec2.detachVolume.bind(ec2);
  ec2.detachVolume = (key, options) => {
    if (owner.hasMounted(key)) wrong.push(`a detach from under the live mount of i-a, as ${key.device}`);
    if (key.instanceId !== 'i-a') wrong.push(`a detach from ${key.instanceId}`);
    return detach(key, options);
  };
  const stop = ec2.stopInstance.bind(ec2);
  ec2.stopInstance = (id, options) => {
    if (policy !== 'stonith' || id !== 'i-a') wrong.push(`a stop of ${id}`);
    return stop(id, options);
  };
  const history: Sight[] = [];
  const clone = () => {
    const sight = { at: Date.now(), volumes: structuredClone(ec2.volumes), instances: structuredClone(ec2.instances) };
    history.push(sight);
    while ((history[0]?.at ?? 0) < Date.now() - staleMs) history.shift();
  };
  let over = false;
  const take = async (id: string) => {
    const context = bench.contextOf(id, { ec2: faulty(bench, random, history) });
    while (!over) {
      await bench
        .takeBy(context)
        .then(() => ec2.attachVolume({ volumeId: 'vol-1', instanceId: id, device: '/dev/xvdba' }))
        .catch(() => pass);
      await new Promise((resolve) => void setTimeout(resolve, 10_000));
    }
  };
  clone();
  void take('i-b');
  void take('i-c');
  for (let spent = 0; spent < 15 * minuteMs; spent += 1000) {
    if (spent < 5 * minuteMs && random() < 0.02) events.push(`${spent / 1000} s: ${owner.act()}`);
    await pass(1000);
    clone();
  }
  // In the end the owner is gone for good, whatever it was in the middle of.
  if (volume.attachments.some(({ instanceId }) => instanceId === 'i-a')) owner.terminate();
  for (let spent = 0; spent < 15 * minuteMs; spent += 1000) {
    await pass(1000);
    clone();
  }
  over = true;
  const owners = volume.attachments.map(({ instanceId }) => instanceId);
  if (owners.length !== 1 || owners[0] === 'i-a')
    wrong.push(`in the end it is attached to ${owners.join() || 'nobody'}`);
  await pass(11_000);
  return wrong.length === 0 ? [] : [`seed ${seed}: ${wrong.join('; ')} (${events.join(', ')})`];
}

describe.each(['instance-not-running', 'stonith'] as const)('9–14, 26, 32, 33: two takers under %s', (policy) => {
  it('through stale and backward reads, lost answers, late requests and a restless owner, rob no live mount', async () => {
    const failures: string[] = [];
    for (let seed = 1; seed <= runs; seed++) failures.push(...(await run(policy, seed)));
    expect(failures).toEqual([]);
  });
});
