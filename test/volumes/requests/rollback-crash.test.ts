import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { createSnapshotOperator } from '../../../src/volumes/operator/snapshots.ts';
import { bearers, replacementIn } from '../../../src/volumes/state/succession.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { verbs } from '../../support/fake-node.ts';
import { pass, played, useVirtualTime } from '../../support/virtual-time.ts';
import { trashNode } from './trash-bench.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const changes = ['createTags', 'deleteTags', 'createVolume', 'attachVolume', 'detachVolume'] as const;
const forever = new Promise<never>(() => undefined);

/** When the daemon dies, of a call that changes something: before it, after it, or with the call on its way for a while. */
type Death = 'before' | 'after' | 'late';

/** A rollback that dies at its n-th change of EC2. @returns undefined when it has fewer. */
async function dies(nth: number, death: Death) {
  const ec2 = new FakeEc2();
  const node = await trashNode(ec2);
  const does = verbs(node);
  await does.create('db');
  await does.mount('db', 'one');
  await does.unmount('db', 'one');
  await pass(10_000);
  await played(createSnapshotOperator(node).take('db', 'first', { crash: false }));
  await pass(20_000);
  let count = 0;
  const at = { call: '' };
  for (const method of changes) {
    const real = ec2[method].bind(ec2) as (...args: unknown[]) => Promise<unknown>;
    vi.spyOn(ec2, method).mockImplementation(((...args: unknown[]) => {
      count += 1;
      if (count !== nth) return real(...args);
      at.call = `${method} ${JSON.stringify(args[1] ?? args[0])}`;
      node.kill();
      if (death === 'after') void real(...args);
      if (death === 'late') setTimeout(() => void real(...args).catch(() => undefined), 15_000);
      return forever;
    }) as never);
  }
  let ended = false;
  void createSnapshotOperator(node)
    .rollback('db', 'first', { dryRun: false })
    .then(() => {
      ended = true;
    });
  for (let waited = 0; at.call === '' && waited < 120_000; waited += 500) await pass(500);
  vi.restoreAllMocks();
  return at.call === '' && ended ? undefined : { ec2, node, at: at.call };
}

/** Looks at the truth for a while: one volume counts for the name at every moment. */
async function oneAlways(ec2: FakeEc2, ms: number, label: string): Promise<void> {
  for (let waited = 0; waited < ms; waited += 500) {
    const counting = bearers([...ec2.volumes.values()]).filter(({ tags }) => tags[tagKeys.name] === 'db');
    expect(counting, label).toHaveLength(1);
    await pass(500);
  }
}

/** What is left has a name or is in the trash, and nobody has it for nothing. */
function tidy(ec2: FakeEc2, label: string): void {
  const left = [...ec2.volumes.values()].filter(({ tags }) => tags[tagKeys.replaces] !== undefined);
  expect(left, label).toEqual([]);
  for (const { tags } of ec2.volumes.values()) {
    expect(
      [tagKeys.name, tagKeys.trash].filter((key) => key in tags),
      label,
    ).toHaveLength(1);
    expect(replacementIn({ tags }), label).toBeUndefined();
  }
}

describe.each<Death>(['before', 'after', 'late'])(
  'a rollback whose daemon dies %s each call that changes something',
  (death) => {
    it('is ended by the next daemon of the node, forwards or backwards', async () => {
      const ends = new Set<string>();
      let calls = 0;
      for (let nth = 1; ; nth += 1) {
        const died = await dies(nth, death);
        if (died === undefined) break;
        calls += 1;
        const label = `${death} ${died.at}`;
        const again = await trashNode(died.ec2, died.node.machine);
        await oneAlways(died.ec2, 120_000, label);
        expect([...again.held.keys()], label).toEqual([]);
        tidy(died.ec2, label);
        await verbs(again).mount('db', 'two');
        ends.add(again.held.get('db')?.volume.id ?? '');
        again.kill();
      }
      expect(calls).toBeGreaterThan(8);
      expect([...ends].sort()).toEqual(['vol-1', 'vol-2']);
    });

    it('is ended by another node that mounts the volume once its own is proven gone', async () => {
      const ends = new Set<string>();
      for (let nth = 1; ; nth += 1) {
        const died = await dies(nth, death);
        if (died === undefined) break;
        const label = `${death} ${died.at}`;
        const { ec2 } = died;
        const other = await trashNode(ec2, { instanceId: 'i-2' });
        // Longer than what was sent is on its way; but a takeover that finds nothing begun waits for nothing.
        if (death === 'late' && /attachVolume|replacing"/.test(died.at)) await pass(15_000);
        ec2.setInstance('i-1', { state: 'terminated' });
        const mounted = verbs(other).mount('db', 'two');
        await oneAlways(ec2, 10_000, label);
        await mounted;
        const { id } = other.held.get('db')!.volume;
        await oneAlways(ec2, 60_000, label);
        const [counting] = bearers([...ec2.volumes.values()]).filter(({ tags }) => tags[tagKeys.name] === 'db');
        expect(counting?.id, label).toBe(id);
        tidy(ec2, label);
        ends.add(id);
        other.kill();
      }
      expect([...ends].sort()).toEqual(['vol-1', 'vol-2']);
    });
  },
);
