import { beforeEach, describe, expect, it, vi } from 'vitest';
import { scratchMark, tagKeys } from '../../../src/ebs/tags.ts';
import { collectGarbage, type GcOptions } from '../../../src/volumes/operator/gc.ts';
import { pass, played, useVirtualTime } from '../../support/virtual-time.ts';
import { bench, hour } from '../requests/trash-bench.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const day = 24 * hour;
const cluster = { [tagKeys.cluster]: 'default' };

/** A cluster with one of each that nobody needs, and one of each that must stay; all are two days old, "a" is in use daily. */
async function untidy() {
  const all = await bench({ settings: { trash: 10 * 86_400 } });
  const { ec2, node, create, mount, unmount, remove } = all;
  const since = new Date().toISOString();
  const scratch = {
    ...cluster,
    [tagKeys.scratch]: scratchMark({ purpose: 'verify snap-1', instanceId: 'i-9', since }),
  };
  const ids = {
    used: 'vol-1',
    scratch: ec2.addVolume({ tags: scratch }).id,
    busyScratch: ec2.addVolume({ tags: scratch }).id,
    oddScratch: ec2.addVolume({ tags: { ...cluster, [tagKeys.scratch]: 'odd' } }).id,
    nameless: ec2.addVolume({ tags: { ...cluster, [tagKeys.owner]: 'i-9 /dev/xvdba 2026-01-01T00:00:00Z b' } }).id,
    unmade: '',
    removed: '',
    manual: ec2.addSnapshot('vol-77', {
      tags: {
        ...cluster,
        [tagKeys.snapshotRequest]: 'x',
        [tagKeys.snapshotName]: 'before',
        [tagKeys.snapshotOf]: 'gone',
      },
    }).id,
    scheduled: ec2.addSnapshot('vol-77', {
      tags: {
        ...cluster,
        [tagKeys.snapshotRequest]: 'y',
        [tagKeys.slots]: 'daily/2026-11-01',
        [tagKeys.snapshotOf]: 'gone',
      },
    }).id,
    scheduledOfA: ec2.addSnapshot('vol-1', {
      tags: {
        ...cluster,
        [tagKeys.snapshotRequest]: 'z',
        [tagKeys.slots]: 'daily/2026-11-01',
        [tagKeys.snapshotOf]: 'a',
      },
    }).id,
    served: ec2.addSnapshot('vol-1', { tags: { ...cluster, [tagKeys.snapshotRequest]: 'served: clone' } }).id,
    foreign: ec2.addSnapshot('vol-77', { tags: { ...cluster, [tagKeys.name]: 'gone' } }).id,
  };
  ec2.addAttachment(ec2.volumes.get(ids.busyScratch)!, 'i-9');
  await create('unmade');
  ids.unmade = [...ec2.volumes.keys()].at(-1)!;
  await create('trashed');
  ids.removed = [...ec2.volumes.keys()].at(-1)!;
  await mount('trashed', 'one');
  await unmount('trashed', 'one');
  await remove('trashed');
  await pass(60_000);
  vi.setSystemTime(Date.now() + 2 * day);
  const gc = (options: Partial<GcOptions> = {}) =>
    played(collectGarbage(node, { ids: undefined, idle: '30d', apply: false, ...options }));
  return { ...all, ids, gc };
}

describe('gc', () => {
  it('finds what nobody needs, says why, since when and at what cost, and does nothing', async () => {
    const { gc, ids, ec2 } = await untidy();
    const before = [ec2.volumes.size, ec2.snapshots.length];
    const found = await gc();
    const told = Object.fromEntries(found.map(({ id, kind, named }) => [id, `${kind}${named ? ', named' : ''}`]));
    expect(told).toEqual({
      [ids.scratch]: 'scratch',
      [ids.unmade]: 'unmade, named',
      [ids.manual]: 'snapshot, named',
      [ids.scheduled]: 'snapshot, named',
      [ids.served]: 'snapshot',
    });
    expect(found.find(({ id }) => id === ids.scratch)).toMatchObject({
      monthlyCost: 1.28,
      sizeGiB: 16,
      outcome: 'found',
    });
    expect([ec2.volumes.size, ec2.snapshots.length]).toEqual(before);
  });

  it('shows a volume that nothing has had for as long as is asked, by when it was last attached', async () => {
    const { gc, ids } = await untidy();
    const idle = (await gc({ idle: '1d' })).find(({ id }) => id === ids.used);
    expect(idle).toMatchObject({
      kind: 'idle',
      name: 'a',
      named: true,
      why: expect.stringContaining('last attached on'),
    });
  });

  it('takes nothing of what is younger than a day', async () => {
    const { gc, create, ec2 } = await untidy();
    await create('new');
    const id = [...ec2.volumes.keys()].at(-1);
    expect((await gc()).map((each) => each.id)).not.toContain(id);
  });

  it('applied, does away with what is proven, and leaves what has a name or may be the last copy of something', async () => {
    const { gc, ids, ec2 } = await untidy();
    const outcomes = Object.fromEntries((await gc({ apply: true })).map(({ id, outcome }) => [id, outcome]));
    expect(outcomes).toEqual({
      [ids.scratch]: 'removed',
      [ids.unmade]: 'found',
      [ids.manual]: 'found',
      [ids.scheduled]: 'found',
      [ids.served]: 'removed',
    });
    expect([...ec2.volumes.keys()].sort()).toEqual(
      [ids.used, ids.busyScratch, ids.oddScratch, ids.nameless, ids.unmade, ids.removed].sort(),
    );
    expect(ec2.snapshots.map(({ id }) => id)).toEqual([ids.manual, ids.scheduled, ids.scheduledOfA, ids.foreign]);
  });

  it('puts a volume that is named by its id into the trash, also where its removal would delete it', async () => {
    const { gc, ids, ec2, list } = await untidy();
    ec2.volumes.get(ids.used)!.tags[tagKeys.onRemove] = 'delete';
    expect(await gc({ ids: [ids.used], idle: '1d', apply: true })).toMatchObject([{ outcome: 'removed' }]);
    expect((await list()).map(({ id }) => id)).toContain(ids.used);
    await expect(gc({ ids: [ids.nameless], apply: true })).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
  });

  it('leaves what has come into use since it was found, and says so', async () => {
    const { gc, ids, ec2 } = await untidy();
    const list = ec2.listVolumes.bind(ec2);
    let looks = 0;
    vi.spyOn(ec2, 'listVolumes').mockImplementation(async () => {
      looks += 1;
      if (looks === 2) ec2.addAttachment(ec2.volumes.get(ids.scratch)!, 'i-9');
      return list();
    });
    const [scratch] = await gc({ ids: [ids.scratch], apply: true });
    expect(scratch).toMatchObject({ outcome: 'failed', failure: 'it has changed meanwhile' });
  });
});
