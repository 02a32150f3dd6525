import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { EbsVolume } from '../../../src/ebs/types.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { fakeNode, verbs } from '../../support/fake-node.ts';
import { failure, pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

describe('a name that goes while a node mounts it', () => {
  /** Two nodes, the second of which looks the name up and is held up before it attaches. */
  async function raced() {
    const ec2 = new FakeEc2();
    const settings = { onRemove: 'retain' as const };
    const first = verbs(await fakeNode(ec2, { settings }));
    const node = await fakeNode(ec2, { instanceId: 'i-2', settings });
    await first.create('a');
    await pass(60_000);
    const early = structuredClone(await ec2.findVolumes('a'));
    await first.remove('a');
    await pass(30_000);
    // The first look is an old one; what is asked later is answered as it is.
    vi.spyOn(ec2, 'findVolumes').mockImplementationOnce(async () => early);
    return { ec2, first, node, second: verbs(node) };
  }

  it('is not served from the volume that lost it: attached by an old look, it is given back unmounted', async () => {
    const { ec2, node, second } = await raced();
    expect(await failure(second.mount('a', 'id-1'))).toMatchObject({ code: 'NO_SUCH_VOLUME' });
    await pass(10_000);
    expect(ec2.volumes.get('vol-1')?.attachments).toEqual([]);
    expect([node.held.size, node.host.mounted.size]).toEqual([0, 0]);
  });

  it('is served from the volume that has it now', async () => {
    const { ec2, first, node, second } = await raced();
    const [old] = (await ec2.findVolumes('a')) as [EbsVolume];
    await first.create('a');
    vi.spyOn(ec2, 'findVolumes').mockImplementationOnce(async () => [old]);
    await second.mount('a', 'id-1');
    expect(node.held.get('a')).toMatchObject({ volume: { id: 'vol-2' }, phase: 'mounted' });
    await pass(10_000);
    expect(ec2.volumes.get('vol-1')?.attachments).toEqual([]);
  });

  it('a look that does not show the attachment is older than it, and is made again', async () => {
    const { ec2, node, second } = await raced();
    const [old] = (await ec2.findVolumes('a')) as [EbsVolume];
    const shows = vi.spyOn(ec2, 'findVolumes');
    for (let look = 0; look < 3; look++) shows.mockImplementationOnce(async () => [structuredClone(old)]);
    expect(await failure(second.mount('a', 'id-1'))).toMatchObject({ code: 'NO_SUCH_VOLUME' });
    expect(node.host.mounted.size).toBe(0);
  });

  it('is not mounted while EC2 cannot tell, nor by what a killed daemon had attached', async () => {
    const { ec2, node, second } = await raced();
    ec2.failNext('findVolumes', 'EC2_UNAVAILABLE');
    await failure(second.mount('a', 'id-1'));
    expect(node.host.mounted.size).toBe(0);
    await pass(30_000);
    expect([ec2.volumes.get('vol-1')?.attachments, node.held.size]).toEqual([[], 0]);
  });
});
