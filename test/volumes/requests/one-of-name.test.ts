import fc from 'fast-check';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { createVolume } from '../../../src/volumes/requests/create.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { fakeNode } from '../../support/fake-node.ts';
import { failure, pass, played, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const zones = ['eu-west-1a', 'eu-west-1b'];
const cloud = (tokenScope: FakeEc2['tokenScope'], listedAfterMs = 0) =>
  Object.assign(new FakeEc2(), { tokenScope, listedAfterMs });
const nodeIn = (ec2: FakeEc2, zone: number, id = `i-${zone}`) =>
  fakeNode(ec2, { instanceId: id, zone: zones[zone] ?? '' });
const volumesOf = (ec2: FakeEc2) => [...ec2.volumes.values()].map(({ id, zone }) => ({ id, zone }));

/** As it would be had another node made it a moment ago. */
const madeElsewhere = (ec2: FakeEc2, change: Partial<Parameters<FakeEc2['addVolume']>[0]> = {}) =>
  ec2.addVolume({
    zone: 'eu-west-1b',
    tags: { [tagKeys.cluster]: 'default', [tagKeys.name]: 'a', [tagKeys.generation]: '0' },
    ...change,
  });

describe.each(['region', 'zone'] as const)('nodes of two zones that make one name at once, tokens by %s', (scope) => {
  it.each([0, 700, 5000])('get one volume, and the other zone is told, if seen after %i ms', async (listedAfterMs) => {
    const ec2 = cloud(scope, listedAfterMs);
    const nodes = [await nodeIn(ec2, 0), await nodeIn(ec2, 1)];
    const outcomes = await played(Promise.allSettled(nodes.map((node) => createVolume(node, 'a', {}))));
    expect(outcomes).toMatchObject([{ status: 'fulfilled' }, { status: 'rejected', reason: { code: 'WRONG_ZONE' } }]);
    expect(String((outcomes[1] as PromiseRejectedResult).reason)).toContain(
      'it is in eu-west-1a and this node is in eu-west-1b',
    );
    expect(volumesOf(ec2)).toMatchObject([{ zone: 'eu-west-1a' }]);
    for (const node of nodes) expect((await played(node.lookup.find('a')))?.zone).toBe('eu-west-1a');
  });

  it('any number of nodes, at any distance in time: one volume, and only its zone is told that all is well', async () => {
    const someCreates = fc.array(fc.record({ zone: fc.constantFrom(0, 1), at: fc.nat({ max: 4000 }) }), {
      minLength: 2,
      maxLength: 5,
    });
    const world = fc.record({
      creates: someCreates,
      createMs: fc.nat({ max: 4000 }),
      listedAfterMs: fc.nat({ max: 6000 }),
    });
    await fc.assert(
      fc.asyncProperty(world, async ({ creates, createMs, listedAfterMs }) => {
        const ec2 = Object.assign(cloud(scope, listedAfterMs), { createMs });
        const nodes = await Promise.all(creates.map(({ zone }, index) => nodeIn(ec2, zone, `i-${index}`)));
        const calls = creates.map(async ({ at }, index) => {
          await later(at);
          return createVolume(nodes[index]!, 'a', {});
        });
        const outcomes = await played(Promise.allSettled(calls));
        const [volume, ...more] = volumesOf(ec2);
        expect(more).toEqual([]);
        const told = outcomes.map(({ status }) => status === 'fulfilled');
        expect(told).toEqual(creates.map(({ zone }) => zones[zone] === volume?.zone));
      }),
      { numRuns: 60 },
    );
  });
});

/** In virtual time, beside others that let it run. */
const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('two volumes of one name', () => {
  it('ours goes when the other was used, though ours is older', async () => {
    const ec2 = cloud('zone');
    const node = await nodeIn(ec2, 0);
    const creating = createVolume(node, 'a', {});
    await pass(100);
    const used = madeElsewhere(ec2);
    ec2.addAttachment(used, 'i-9');
    expect(await failure(creating)).toMatchObject({ code: 'WRONG_ZONE' });
    expect(volumesOf(ec2)).toMatchObject([{ id: used.id }]);
  });

  it('ours goes, too, when the node that has to delete the other never does: that may have been handed out', async () => {
    const ec2 = cloud('zone');
    const node = await nodeIn(ec2, 0);
    const creating = createVolume(node, 'a', {});
    await pass(100);
    const other = madeElsewhere(ec2);
    await pass(5000);
    expect(node.waits.get('a')).toContain('one of several volumes');
    expect(await failure(creating)).toMatchObject({ code: 'WRONG_ZONE' });
    expect(volumesOf(ec2)).toMatchObject([{ id: other.id }]);
  });

  it('ours stays once the other has gone', async () => {
    const ec2 = cloud('zone');
    const node = await nodeIn(ec2, 0);
    const creating = createVolume(node, 'a', {});
    await pass(100);
    const other = madeElsewhere(ec2);
    await pass(5000);
    ec2.volumes.delete(other.id);
    await played(creating);
    expect(volumesOf(ec2)).toMatchObject([{ zone: 'eu-west-1a' }]);
  });

  it('ours is not deleted once somebody has attached or written it', async () => {
    for (const use of ['attached', 'claimed'] as const) {
      const ec2 = cloud('zone');
      const older = madeElsewhere(ec2, { listedFrom: Date.now() + 500 });
      const creating = createVolume(await nodeIn(ec2, 0), 'a', {});
      await pass(100);
      const ours = [...ec2.volumes.values()].find(({ id }) => id !== older.id) ?? expect.fail('not made');
      ours.state = 'available';
      if (use === 'attached') ec2.addAttachment(ours, 'i-9');
      else ours.tags[tagKeys.owner] = 'of another node';
      expect(await failure(creating)).toMatchObject({ code: 'AMBIGUOUS_NAME' });
      expect(ec2.count('deleteVolume')).toBe(0);
      expect(ec2.volumes.size).toBe(2);
    }
  });

  it('are left to a person where this role may delete none', async () => {
    const ec2 = cloud('zone');
    const older = madeElsewhere(ec2, { listedFrom: Date.now() + 500 });
    ec2.failNext('deleteVolume', 'EC2_DENIED');
    expect(await failure(createVolume(await nodeIn(ec2, 0), 'a', {}))).toMatchObject({ code: 'AMBIGUOUS_NAME' });
    expect([...ec2.volumes.keys()]).toContain(older.id);
    expect(ec2.volumes.size).toBe(2);
  });

  it('that are old are not waited for: nobody is settling that', async () => {
    const ec2 = cloud('zone');
    const createdAt = '2026-01-01T00:00:00.000Z';
    for (const zone of zones) madeElsewhere(ec2, { zone, createdAt });
    const before = Date.now();
    expect(await failure(createVolume(await nodeIn(ec2, 0), 'a', {}))).toMatchObject({ code: 'AMBIGUOUS_NAME' });
    expect(Date.now() - before).toBeLessThan(500);
  });
});
