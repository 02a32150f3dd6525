import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { fakeNode, verbs } from '../../support/fake-node.ts';
import { pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const target = '/ebs/volumes/a';

/** A node that has volume "a" mounted for one holder. */
async function bench() {
  const ec2 = new FakeEc2();
  const node = await fakeNode(ec2);
  const does = verbs(node);
  await does.create('a');
  await does.mount('a', 'id-1');
  return { ec2, node, host: node.host, ...does };
}

describe.each(['read-only', 'shut down', 'silent'] as const)('a filesystem that is %s', (fault) => {
  it('is handed to no further container, and the error says what to do', async () => {
    const { host, node, mount } = await bench();
    host.faults.set(target, fault);
    await expect(mount('a', 'id-2')).rejects.toMatchObject({
      code: 'FILESYSTEM_FAILED',
      message: expect.stringMatching(
        /^volume "a": cannot hand out vol-1.*its filesystem.*Stop all containers that use it on i-1/,
      ),
    });
    expect(node.held.get('a')?.holders).toMatchObject([{ id: 'id-1' }]);
    expect(host.mounted.has(target)).toBe(true);
  });

  it('is unmounted with its last container, checked, and mounted anew for the next one', async () => {
    const { host, node, mount, unmount } = await bench();
    host.faults.set(target, fault);
    await expect(mount('a', 'id-2')).rejects.toThrow(/filesystem/);
    expect(node.faults.get('a')).toMatch(/filesystem/);
    const checks = host.count('checkFilesystem');
    await unmount('a', 'id-1');
    await mount('a', 'id-2');
    expect(host.count('checkFilesystem')).toBe(checks + 1);
    expect(node.faults.size).toBe(0);
  });

  it("is noticed within the keeper's tick", async () => {
    const { host, node } = await bench();
    host.mountedElsewhere.add('vol-1');
    host.faults.set(target, fault);
    await pass(16_000);
    expect(node.faults.get('a')).toMatch(/filesystem/);
    host.faults.delete(target);
    await pass(16_000);
    expect(node.faults.size).toBe(0);
  });
});

it('a volume that is to be mounted read-only is well as long as it is no more than that', async () => {
  const { host, node, mount } = await bench();
  const tags = { ...node.held.get('a')?.volume.tags, [tagKeys.mountOptions]: 'ro' };
  const held = node.held.get('a');
  if (held === undefined) throw new Error('not held');
  node.held.set('a', { ...held, volume: { ...held.volume, tags } });
  host.faults.set(target, 'read-only');
  await mount('a', 'id-2');
  host.faults.set(target, 'shut down');
  await expect(mount('a', 'id-3')).rejects.toMatchObject({ code: 'FILESYSTEM_FAILED' });
});

it('a mount beside that of a container which still has the failed filesystem is refused', async () => {
  const { host, node, mount, unmount } = await bench();
  host.mountedElsewhere.add('vol-1');
  host.hidden.add('vol-1');
  await unmount('a', 'id-1');
  expect(host.mounted.has(target)).toBe(false);
  host.faults.set(target, 'shut down');
  await expect(mount('a', 'id-2')).rejects.toMatchObject({ code: 'FILESYSTEM_FAILED' });
  expect(node.held.get('a')).toMatchObject({ phase: 'attached', holders: [] });
});
