import { beforeEach, describe, expect, it, vi } from 'vitest';
import { DriverError } from '../../../src/errors.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { fakeNode, verbs } from '../../support/fake-node.ts';
import { failure, pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** A node whose volume "a" is mounted for one holder, behind which a container runs. */
async function bench() {
  const ec2 = new FakeEc2();
  const node = await fakeNode(ec2);
  const does = verbs(node);
  await does.create('a');
  await does.mount('a', 'id-1');
  node.host.mountedElsewhere.add('vol-1');
  const volume = ec2.volumes.get('vol-1');
  const attachment = volume?.attachments[0];
  if (volume === undefined || attachment === undefined) throw new Error('not attached');
  const { host } = node;
  const hide = () => {
    host.unseen.add('vol-1');
    ec2.changed();
  };
  const show = () => {
    host.unseen.delete('vol-1');
    ec2.changed();
  };
  const cutOff = () => {
    ec2.describeVolume = async () => {
      throw new DriverError('EC2_UNAVAILABLE', { tried: 'ask', why: 'cut off', todo: 'Look at the test' });
    };
  };
  /** Nothing was taken away: mount, holders and attachment are as they were. */
  const expectUntouched = () => {
    const touched = (['unmount', 'abandonMount'] as const).map((method) => host.count(method));
    expect([...touched, ec2.count('detachVolume')]).toEqual([0, 0, 0]);
    expect(node.held.get('a')).toMatchObject({ phase: 'mounted', holders: [{ id: 'id-1' }] });
    expect([host.mounted.size, volume.attachments]).toEqual([1, [attachment]]);
  };
  return { ec2, node, host, volume, attachment, hide, show, cutOff, expectUntouched, ...does };
}

describe('a held disk that is not seen', () => {
  it('for 0.4 s, keeps its mount, its holders and its attachment, and a Mount meanwhile succeeds', async () => {
    const { node, hide, show, mount, expectUntouched } = await bench();
    hide();
    await pass(200);
    const mounting = mount('a', 'id-2');
    await pass(200);
    show();
    expect(await mounting).toBe('/ebs/volumes/a/data');
    await pass(60_000);
    expect(node.held.get('a')?.holders).toHaveLength(2);
    node.held.set('a', { ...node.held.get('a')!, holders: node.held.get('a')!.holders.slice(0, 1) });
    expectUntouched();
  });

  it('for ten minutes, is left alone while EC2 has it attached: a Mount is refused, and the next one after it succeeds', async () => {
    const { node, hide, show, mount, expectUntouched } = await bench();
    hide();
    await pass(600_000);
    expectUntouched();
    expect(await failure(mount('a', 'id-2'))).toMatchObject({ message: /its mount is left alone/ });
    expectUntouched();
    show();
    await mount('a', 'id-2');
    await pass(60_000);
    expect([node.host.mounted.size, node.waits.size]).toEqual([1, 0]);
  });

  it('goes at once when EC2 says that it is detached, or on its way', async () => {
    for (const state of ['detaching', undefined] as const) {
      const { ec2, node, host, volume, attachment } = await bench();
      if (state === undefined) volume.attachments = [];
      else Object.assign(attachment, { state });
      ec2.plugged.clear();
      ec2.changed();
      await pass(1000);
      expect([host.count('abandonMount'), host.mounted.size, node.held.get('a')?.holders ?? []]).toEqual([1, 0, []]);
    }
  });

  it('is not given up for an answer of EC2 that is not true yet, or any more, once it is seen again', async () => {
    const { ec2, hide, show, expectUntouched } = await bench();
    const look = ec2.describeVolume.bind(ec2);
    ec2.describeVolume = async (id) => {
      const seen = await look(id);
      show();
      return seen && { ...seen, attachments: [] };
    };
    hide();
    await pass(60_000);
    expectUntouched();
  });

  it('is left alone where EC2 does not answer, as long as the kernel has the disk that is mounted', async () => {
    const { hide, show, cutOff, expectUntouched } = await bench();
    cutOff();
    hide();
    await pass(600_000);
    expectUntouched();
    show();
    await pass(60_000);
    expectUntouched();
  });

  it('loses its mount where EC2 does not answer, and the kernel has no such disk any more', async () => {
    const { ec2, node, host, cutOff } = await bench();
    cutOff();
    ec2.plugged.clear();
    ec2.changed();
    await pass(10_000);
    expect([host.count('abandonMount'), host.mounted.size, node.held.get('a')?.holders ?? []]).toEqual([1, 0, []]);
  });
});

describe('a disk that is not seen when its last holder has gone', () => {
  it('is not detached under a container that still uses it', async () => {
    const { volume, attachment, hide, show, unmount } = await bench();
    await unmount('a', 'id-1');
    hide();
    await pass(2_200);
    show();
    await pass(60_000);
    expect(volume.attachments).toEqual([attachment]);
  });

  it('is given back', async () => {
    const { node, host, volume, hide, unmount } = await bench();
    host.mountedElsewhere.clear();
    await unmount('a', 'id-1');
    hide();
    await pass(60_000);
    expect([volume.attachments, node.held.size]).toEqual([[], 0]);
  });
});
