import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { adoptUnrecorded } from '../../../src/volumes/lifecycle/adopt.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { FakeJournal, type FakeNode, fakeNode, verbs } from '../../support/fake-node.ts';
import { pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** A node whose volume "a" is mounted for one holder. */
async function bench(id: string) {
  const ec2 = new FakeEc2();
  const node = await fakeNode(ec2);
  const { create, mount } = verbs(node);
  await create('a');
  await mount('a', id);
  ec2.calls.length = 0;
  const volume = ec2.volumes.get('vol-1');
  if (volume === undefined) throw new Error('no volume');
  return { ec2, node, volume };
}
/** The daemon killed and started again on the same machine, with an empty journal. */
function restarted(ec2: FakeEc2, node: FakeNode): Promise<FakeNode> {
  node.kill();
  return fakeNode(ec2, { host: node.machine.host, journal: new FakeJournal() });
}

describe('a lost journal', () => {
  it('what is mounted goes on for an adopted holder, which any Unmount ends', async () => {
    const { node, ec2, volume } = await bench('id-1');
    node.host.mountedElsewhere.add('vol-1');
    const again = await restarted(ec2, node);
    expect(again.held.get('a')).toMatchObject({
      phase: 'mounted',
      directory: '/ebs/volumes/a/data',
      holders: [{ id: 'adopted' }],
    });
    await pass(60_000);
    expect(volume.attachments).toMatchObject([{ state: 'attached' }]);
    expect(ec2.count('detachVolume')).toBe(0);
    again.host.mountedElsewhere.clear();
    await verbs(again).unmount('a', 'id-1');
    await pass(20_000);
    expect(volume.attachments).toEqual([]);
  });

  it('what is mounted and no container uses is released without anybody asking', async () => {
    const { node, ec2, volume } = await bench('id-1');
    await restarted(ec2, node);
    await pass(60_000);
    expect(volume.attachments).toEqual([]);
  });

  it.each(['seen', 'hidden'])('what only a container has mounted stays with it, %s or not', async (sight) => {
    const { node, ec2, volume } = await bench('id-1');
    node.host.mounted.clear();
    node.host.mountedElsewhere.add('vol-1');
    if (sight === 'hidden') node.host.hidden.add('vol-1');
    const again = await restarted(ec2, node);
    await pass(30_000);
    expect(volume.attachments).toMatchObject([{ state: 'attached' }]);
    expect(volume.tags).not.toHaveProperty([tagKeys.clean]);
    const user = sight === 'hidden' ? 'a container or program' : 'process 42 (of vol-1)';
    expect(again.waits.get('a')).toContain(`${user} still has vol-1 mounted`);
    again.host.mountedElsewhere.clear();
    await pass(30_000);
    expect([volume.attachments.length, again.held.size]).toEqual([0, 0]);
  });

  it('one volume whose tags make no sense does not keep the others from this node', async () => {
    const { node, ec2, volume } = await bench('id-1');
    volume.tags[tagKeys.subdirectory] = '../elsewhere';
    const again = await restarted(ec2, node);
    expect(again.held.get('a')).toMatchObject({ phase: 'attached', holders: [{ id: 'adopted' }] });
    const { create, mount } = verbs(again);
    await create('b');
    expect(await mount('b', 'id-2')).toBe('/ebs/volumes/b/data');
    expect(volume.attachments).toMatchObject([{ state: 'attached' }]);
  });

  it('what is attached and not mounted is released', async () => {
    const { node, ec2, volume } = await bench('id-1');
    await verbs(node).unmount('a', 'id-1');
    const again = await restarted(ec2, node);
    await pass(20_000);
    expect([volume.attachments.length, again.held.size]).toEqual([0, 0]);
  });

  it('what was attached without an owner tag yet is released, though the disk appears late', async () => {
    const { node, ec2, volume } = await bench('id-1');
    await verbs(node).unmount('a', 'id-1');
    await pass(60_000);
    const again = await restarted(ec2, node);
    await pass(60_000);
    delete volume.tags[tagKeys.owner];
    await ec2.attachVolume({ volumeId: 'vol-1', instanceId: 'i-1', device: '/dev/xvdbq' });
    await pass(60_000);
    expect([volume.attachments.length, again.held.size, again.foreign.size]).toEqual([0, 0, 0]);
  });

  it('the device names of what is adopted are in use until it has left', async () => {
    const { node, ec2, volume } = await bench('id-1');
    node.host.mountedElsewhere.add('vol-1');
    const again = await restarted(ec2, node);
    again.devices.listed([]);
    expect(again.devices.inUse()).toBe(1);
    again.host.mountedElsewhere.clear();
    await pass(60_000);
    expect([volume.attachments.length, again.devices.inUse()]).toEqual([0, 0]);
  });

  it('a volume without a name that somebody attaches and detaches here leaves no device name in use', async () => {
    const ec2 = new FakeEc2();
    const retained = ec2.addVolume({ tags: { [tagKeys.cluster]: 'default' } });
    const attachment = ec2.addAttachment(retained, 'i-1', '/dev/sdf');
    const node = await fakeNode(ec2);
    expect(node.devices.inUse()).toBe(1);
    await pass(60_000);
    expect(retained.attachments).toHaveLength(1);
    ec2.endAttachment(retained, attachment);
    await node.survey.again();
    expect(node.devices.inUse()).toBe(0);
  });

  it('a listing that is behind leaves no device name in use that a held volume had before', async () => {
    const { node, ec2, volume } = await bench('id-1');
    const [attachment] = structuredClone(volume.attachments);
    if (attachment === undefined) throw new Error('not attached');
    const behind = { ...structuredClone(volume), attachments: [{ ...attachment, device: '/dev/sdf' }] };
    ec2.listVolumes = async () => [behind];
    await adoptUnrecorded(node);
    expect(node.devices.inUse()).toBe(1);
  });

  it('volumes of other clusters and other nodes are not touched', async () => {
    const ec2 = new FakeEc2();
    const foreign = ec2.addVolume({ tags: { Name: 'root' } });
    const other = ec2.addVolume({ tags: { [tagKeys.cluster]: 'default', [tagKeys.name]: 'b' } });
    ec2.addAttachment(foreign, 'i-1', '/dev/xvdba');
    ec2.addAttachment(other, 'i-2', '/dev/xvdba');
    const node = await fakeNode(ec2);
    await pass(20_000);
    expect(node.held.size).toBe(0);
    expect([foreign.attachments.length, other.attachments.length]).toEqual([1, 1]);
    const { create, mount } = verbs(node);
    await create('a');
    await mount('a', 'id-1');
    expect(node.held.get('a')?.device).not.toBe('/dev/xvdba');
  });
});
