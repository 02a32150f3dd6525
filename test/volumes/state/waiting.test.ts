import { beforeEach, expect, it, vi } from 'vitest';
import { waiting } from '../../../src/volumes/state/node.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { fakeNode } from '../../support/fake-node.ts';
import { useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

it.each([
  ['first', [0, 1]],
  ['last', [1, 0]],
])(
  'two works for a volume, of which the one begun %s ends first, leave nothing that it waits for',
  async (_which, order) => {
    const node = await fakeNode(new FakeEc2());
    const ends = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const works = ends.map(({ promise }, index) => waiting(node, 'a', `work ${index}`, () => promise));
    expect(node.waits.get('a')).toBe('work 1');
    const [first = 0, second = 0] = order;
    ends[first]?.resolve();
    await works[first];
    expect(node.waits.get('a')).toBe(`work ${second}`);
    ends[second]?.resolve();
    await works[second];
    expect(node.waits.has('a')).toBe(false);
  },
);

it('what was said before is said again', async () => {
  const node = await fakeNode(new FakeEc2());
  node.waits.set('a', 'another try');
  await waiting(node, 'a', 'work', async () => expect(node.waits.get('a')).toBe('work'));
  expect(node.waits.get('a')).toBe('another try');
});
