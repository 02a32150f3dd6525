import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { readSlots, slotOf } from '../../../src/volumes/copies/schedule.ts';
import { ec2Error } from '../../support/fake-ec2.ts';
import { type FakeNode, fakeNode, nodeWithVolume, verbs } from '../../support/fake-node.ts';
import { pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

const { PROPERTY_RUNS, PROPERTY_SEED } = process.env;
/** The same stories at every run of `npm test`, so that a red run is the change's fault; hunts have others. */
const runs = {
  numRuns: Number(PROPERTY_RUNS ?? 8),
  seed: Number(PROPERTY_SEED ?? (PROPERTY_RUNS ? Date.now() : 20261201)),
};
const minuteMs = 60_000;
const start = Date.parse('2026-11-30T09:40:00Z');

/** What happens to the volume, its nodes and EC2; then this many minutes pass. */
const acts = [
  'mount 1',
  'mount 2',
  'unmount',
  'restart',
  'lost answer',
  'refused',
  'kill before',
  'kill after',
  'manual',
] as const;
type Step = readonly [act: (typeof acts)[number], minutes: number];
const stories = fc.array(fc.tuple(fc.constantFrom(...acts), fc.integer({ min: 6, max: 80 })), {
  minLength: 6,
  maxLength: 14,
});

/** A use of the volume by one node, by the wall clock. `clean`: it ended by an unmount that nothing disturbed. */
interface Use {
  readonly from: number;
  to: number;
  clean: boolean;
}

/** Two nodes and a volume "a" with a schedule. */
async function play(story: readonly Step[]) {
  vi.setSystemTime(start);
  const { ec2, node, volume } = await nodeWithVolume();
  volume.tags[tagKeys.snapshots] = 'hourly:3,daily:2';
  const nodes = new Map<string, FakeNode>([['i-1', node]]);
  nodes.set('i-2', await fakeNode(ec2, { instanceId: 'i-2' }));
  for (const each of nodes.values()) each.host.processes.add(1);
  const uses: Use[] = [];
  const disturbed: number[] = [];
  const goneWhileNewest: string[] = [];
  let user: string | undefined;

  const remove = ec2.deleteSnapshot.bind(ec2);
  ec2.deleteSnapshot = (id) => {
    const newest = ec2.snapshots.filter(({ state, tags }) => state === 'completed' && tagKeys.slots in tags).at(-1);
    if (newest?.id === id) goneWhileNewest.push(id);
    return remove(id);
  };
  const end = (clean: boolean) => {
    Object.assign(uses.at(-1) ?? {}, { to: Date.now(), clean });
    user = undefined;
  };
  const create = ec2.createSnapshot.bind(ec2);
  const armed = (work: (...given: Parameters<typeof create>) => Promise<string>) => {
    ec2.createSnapshot = (...given) => {
      ec2.createSnapshot = create;
      // A release is tried once: what goes wrong there costs the slot.
      if (user === undefined) disturbed.push(Date.now());
      return work(...given);
    };
  };
  const restart = async (id: string) => {
    const old = nodes.get(id);
    old?.kill();
    if (old !== undefined) nodes.set(id, await fakeNode(ec2, { ...old.machine, instanceId: id }));
  };
  const killed = (when: 'before' | 'after') =>
    armed(async (...given) => {
      if (when === 'after') await create(...given);
      const id = [...nodes].find(([, each]) => each.held.has('a'))?.[0] ?? '';
      nodes.get(id)?.kill();
      setTimeout(() => void restart(id), 2000);
      return new Promise(() => undefined);
    });
  const mount = async (id: string) => {
    const there = nodes.get(id);
    if (user !== undefined || there === undefined) return;
    await verbs(there).mount('a', 'id', undefined, 1);
    user = id;
    uses.push({ from: Date.now(), to: Number.POSITIVE_INFINITY, clean: false });
  };
  const does: Record<Step[0], () => Promise<void> | void> = {
    'mount 1': () => mount('i-1'),
    'mount 2': () => mount('i-2'),
    unmount: async () => {
      const there = nodes.get(user ?? '');
      if (there === undefined) return;
      await verbs(there).unmount('a', 'id');
      end(true);
    },
    restart: () => restart(user ?? 'i-1'),
    'lost answer': () =>
      armed(async (...given) => create(...given).then(() => Promise.reject(ec2Error('EC2_UNAVAILABLE')))),
    refused: () => armed(() => Promise.reject(ec2Error('EC2_LIMIT'))),
    'kill before': () => killed('before'),
    'kill after': () => killed('after'),
    manual: () => {
      ec2.addSnapshot('vol-1', { tags: { [tagKeys.snapshotRequest]: 'mine', [tagKeys.snapshotName]: 'mine' } });
    },
  };
  const manual = story.filter(([act]) => act === 'manual').length;
  const taken: string[] = [];
  const noted = ec2.addSnapshot.bind(ec2);
  ec2.addSnapshot = (id, change) => {
    const made = noted(id, change);
    taken.push(...(made.tags[tagKeys.slots]?.split(' ') ?? []));
    return made;
  };
  for (const [act, minutes] of story) {
    await does[act]();
    await pass(minutes * minuteMs);
  }
  for (const each of nodes.values()) each.kill();
  return { ec2, taken, uses, disturbed, manual, goneWhileNewest };
}

describe('schedules on two nodes, through moves, restarts, crashes and lost answers', () => {
  it('take exactly one snapshot for each slot that wants one, and keep what they must', async () => {
    await fc.assert(
      fc.asyncProperty(stories, async (story) => {
        useVirtualTime();
        const { ec2, taken, uses, disturbed, manual, goneWhileNewest } = await play(story);
        expect(new Set(taken).size).toBe(taken.length);
        expect(readSlots(taken.join(' ')).map(({ id }) => id)).toEqual(taken);
        expect(goneWhileNewest).toEqual([]);
        expect(ec2.snapshots.filter(({ tags }) => tags[tagKeys.snapshotRequest] === 'mine')).toHaveLength(manual);
        for (let hour = slotOf('hourly', start); hour.end <= Date.now(); hour = slotOf('hourly', hour.end)) {
          if (disturbed.some((at) => slotOf('hourly', at).id === hour.id)) continue;
          const inUse = uses.some(({ from, to }) => from <= hour.begin && to >= hour.begin + 20 * minuteMs);
          const givenBack = uses.some(({ to, clean }) => clean && to >= hour.begin && to < hour.end - minuteMs);
          if (inUse || givenBack) expect(taken, JSON.stringify(story)).toContain(hour.id);
        }
        const kept = ec2.snapshots.filter(({ tags }) => tags[tagKeys.slots]?.includes('hourly')).length;
        expect(kept).toBeLessThanOrEqual(3 + 2 + 1);
      }),
      runs,
    );
  });
});
