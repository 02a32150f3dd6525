import { beforeEach, describe, expect, it, vi } from 'vitest';
import { heldInfo } from '../../../src/volumes/requests/get.ts';
import { type FakeNode, nodeWithVolume } from '../../support/fake-node.ts';
import { pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

const GiB = 2 ** 30;
const target = '/ebs/volumes/a';

/** A volume "a" of 16 GiB that is mounted, its disk of this size by now. */
async function enlarged(gib: number, mountOptions = '') {
  const bed = await nodeWithVolume({ settings: { mountOptions } });
  // A caller that runs: nobody is taken for gone.
  bed.node.host.processes.add(1);
  await bed.mount('a', 'id', undefined, 1);
  bed.ec2.calls.length = 0;
  bed.node.host.filesystemSizes.set('vol-1', 16 * GiB);
  bed.node.host.sizes.set('vol-1', gib * GiB);
  return bed;
}

const shown = (node: FakeNode) => {
  const held = node.held.get('a');
  return held && heldInfo(held, node.instanceId, undefined, node.sizes.get('a')).status;
};

describe('a mounted filesystem follows its disk', () => {
  beforeEach(useVirtualTime);

  it('within 10 s and without a call, and the volume has the size of its disk then', async () => {
    const { node, ec2 } = await enlarged(20);
    await pass(9_000);
    expect(node.host.calls.filter(({ method }) => method === 'growFilesystem')).toEqual([
      { method: 'growFilesystem', args: ['/dev/vol-1', target, 'ext4'] },
    ]);
    expect(ec2.calls).toEqual([]);
    expect(shown(node)).toMatchObject({ sizeGiB: 20 });
    expect(shown(node)).not.toHaveProperty('growRefused');
    expect(node.journal.records.get('a')).toMatchObject({ filesystemBytes: 20 * GiB, volume: { sizeGib: 20 } });
    await pass(200_000);
    expect(node.host.count('growFilesystem')).toBe(1);
    node.host.sizes.set('vol-1', 21 * GiB);
    await pass(9_000);
    expect(node.host.count('growFilesystem')).toBe(2);
  });

  it('before it is handed out, where the disk was enlarged before the mount', async () => {
    const { node, mount } = await nodeWithVolume();
    node.host.filesystemSizes.set('vol-1', 8 * GiB);
    await mount('a', 'id');
    expect(node.host.count('growFilesystem')).toBe(1);
    expect(node.host.calls.findIndex(({ method }) => method === 'growFilesystem')).toBeGreaterThan(
      node.host.calls.findIndex(({ method }) => method === 'mount'),
    );
  });

  it('not at all where it is only to be read, or has failed', async () => {
    const { node } = await enlarged(20);
    node.host.faults.set(target, 'read-only');
    node.faults.set('a', 'it has failed');
    await pass(30_000);
    expect(node.host.count('growFilesystem')).toBe(0);
  });

  it('and what keeps it from that is shown until it is mended, and logged once', async () => {
    const { node } = await enlarged(20);
    node.host.refusesGrowth = true;
    await pass(130_000);
    expect(shown(node)).toMatchObject({
      sizeGiB: 20,
      filesystemGiB: 16,
      growRefused: 'the machine said HOST_FAILED',
    });
    expect(node.host.count('growFilesystem')).toBeGreaterThan(1);
    expect(node.host.count('growFilesystem')).toBeLessThan(5);
    node.host.refusesGrowth = false;
    await pass(70_000);
    expect(shown(node)).not.toHaveProperty('growRefused');
    expect(node.held.get('a')?.filesystemBytes).toBe(20 * GiB);
  });
});
