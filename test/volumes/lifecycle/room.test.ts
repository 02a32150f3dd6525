import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { fakeNode, verbs } from '../../support/fake-node.ts';
import { failure, pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** A node that takes `maximum` volumes, with volumes a to e. */
async function bench(maximum: number | undefined, kind: 'shared' | 'dedicated' = 'dedicated') {
  const ec2 = new FakeEc2();
  if (maximum !== undefined) ec2.attachmentLimits.set('m5.large', { maximum, kind });
  const node = await fakeNode(ec2);
  const does = verbs(node);
  for (const name of ['a', 'b', 'c', 'd', 'e']) await does.create(name);
  ec2.calls.length = 0;
  return { ec2, node, ...does };
}

describe('a node that has lost its journal', () => {
  it('gives a volume no name that its tags say it had here', async () => {
    const { ec2, node } = await bench(undefined);
    node.kill();
    const first = ec2.volumes.get('vol-1');
    Object.assign(first?.tags ?? {}, { [tagKeys.clean]: 'i-1 /dev/xvdba 2026-01-01T00:00:00.000Z' });
    const second = ec2.volumes.get('vol-2');
    Object.assign(second?.tags ?? {}, { [tagKeys.clean]: 'i-2 /dev/xvdbc 2026-01-01T00:00:00.000Z' });
    const { mount } = verbs(await fakeNode(ec2));
    await mount('a', '1');
    await mount('b', '1');
    const devices = ['vol-1', 'vol-2'].map((id) => ec2.volumes.get(id)?.attachments[0]?.device);
    expect(devices).toEqual(['/dev/xvdbb', '/dev/xvdbc']);
  });
});

describe('an instance with two EBS cards', () => {
  it('has its disks on both in turn, and one with a single card is asked for none', async () => {
    const cardsOf = (ec2: FakeEc2) =>
      ec2.calls.flatMap(({ method, args }) => (method === 'attachVolume' ? [(args[0] as { card?: number }).card] : []));
    const two = await bench(27);
    two.node.survey.capacity.limit = { maximum: 27, kind: 'dedicated', cards: 2 };
    for (const name of ['a', 'b', 'c']) await two.mount(name, '1');
    await two.unmount('b', '1');
    await pass(10_000);
    await two.mount('d', '1');
    expect(cardsOf(two.ec2)).toEqual([0, 1, 0, 1]);
    const one = await bench(27);
    await one.mount('a', '1');
    expect(cardsOf(one.ec2)).toEqual([undefined]);
  });
});

describe('a node that is full', () => {
  it('says how many it takes, which it has and what to do, and asks EC2 for no attach', async () => {
    const { ec2, mount } = await bench(3, 'shared');
    ec2.addAttachment(ec2.addVolume(), 'i-1', '/dev/xvda');
    await mount('a', '1');
    await mount('b', '1');
    await mount('c', '1');
    const error = await failure(mount('d', '1'));
    expect(error).toMatchObject({ code: 'NODE_FULL', parts: { volume: 'd' } });
    expect(String(error)).toContain(
      'this node is full: m5.large takes 3 volumes, fewer with more network interfaces, and 4 are attached: ' +
        '"a", "b", "c", 1 that this driver does not hold, its root disk among them. Run the container on another node',
    );
    expect(ec2.count('attachVolume')).toBe(3);
  });

  it('is asked about once, before the first mount, and a mount costs no call for it', async () => {
    const { ec2, mount } = await bench(3);
    await mount('a', '1');
    expect(ec2.count('attachmentLimit') + ec2.count('describeInstance')).toBe(0);
  });

  it('has room again once a volume has left', async () => {
    const { mount, unmount, ec2 } = await bench(1);
    await mount('a', '1');
    expect(await failure(mount('b', '1'))).toMatchObject({ code: 'NODE_FULL' });
    await unmount('a', '1');
    await pass(10_000);
    await mount('b', '1');
    expect(ec2.count('attachVolume')).toBe(2);
  });

  it('is not called full for volumes of others that have left meanwhile', async () => {
    const { ec2, node, mount } = await bench(2);
    node.devices.listed([{ device: '/dev/xvda' }, { device: '/dev/sdf' }]);
    await mount('a', '1');
    expect(ec2.count('describeInstance')).toBe(1);
  });

  it('is not called full while EC2 cannot be asked: EC2 decides', async () => {
    const { ec2, node, mount } = await bench(2);
    node.devices.listed([{ device: '/dev/xvda' }, { device: '/dev/sdf' }]);
    ec2.failNext('describeInstance', 'EC2_THROTTLED');
    await mount('a', '1');
    expect(ec2.count('attachVolume')).toBe(1);
  });

  it('stops and detaches nothing elsewhere for a volume that it cannot take', async () => {
    const { ec2, mount } = await bench(1);
    await mount('a', '1');
    ec2.addInstance('i-2', 'eu-west-1a', 'terminated');
    const volume = [...ec2.volumes.values()].find(({ tags }) => Object.values(tags).includes('b'));
    if (volume === undefined) throw new Error('no volume');
    ec2.addAttachment(volume, 'i-2');
    expect(await failure(mount('b', '1'))).toMatchObject({ code: 'NODE_FULL' });
    expect([ec2.count('detachVolume'), ec2.count('stopInstance')]).toEqual([0, 0]);
    expect(volume.attachments).toMatchObject([{ instanceId: 'i-2', state: 'attached' }]);
  });
});

describe('where EC2 does not say how many volumes it takes', () => {
  it('its refusal of one is told with what is attached', async () => {
    const { ec2, node, mount } = await bench(undefined);
    await mount('a', '1');
    ec2.failNext('attachVolume', 'NODE_FULL');
    const error = await failure(mount('b', '1'));
    expect(error).toMatchObject({ code: 'NODE_FULL' });
    expect(String(error)).toContain(
      'this node is full: m5.large takes no more volumes and 1 are attached: "a"; EC2 says: EC2 said NODE_FULL.',
    );
    expect([...node.held.keys()]).toEqual(['a']);
  });

  it.each(['EC2_DENIED', 'EC2_THROTTLED'] as const)('for %s, all is as if it had room', async (code) => {
    const ec2 = new FakeEc2();
    ec2.failNext('attachmentLimit', code);
    const does = verbs(await fakeNode(ec2));
    await does.create('a');
    await does.mount('a', '1');
    expect(ec2.count('attachVolume')).toBe(1);
  });
});
