import { beforeEach, describe, expect, it, vi } from 'vitest';
import { deviceNames } from '../../../src/ebs/device-names.ts';
import { roomHere } from '../../../src/volumes/lifecycle/room.ts';
import type { FakeEc2 } from '../../support/fake-ec2.ts';
import { nodeWithVolume as bench } from '../../support/fake-node.ts';
import { devicesOf } from '../../support/fake-volume.ts';
import { failure, pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const seen = async (ec2: FakeEc2) => (await ec2.describeVolume('vol-1')) ?? expect.fail('no volume');

describe('device names', () => {
  it('one that is taken without telling is left alone and the next is tried', async () => {
    const { mount, ec2, volume, create, node } = await bench();
    ec2.secretlyTaken.add('/dev/xvdba').add('/dev/xvdbb');
    await mount('a', 'id-1');
    expect(devicesOf(ec2)).toEqual(['/dev/xvdba', '/dev/xvdbb', '/dev/xvdbc']);
    expect(volume.attachments[0]?.device).toBe('/dev/xvdbc');
    await create('b');
    await mount('b', 'id-1');
    expect(devicesOf(ec2)).toHaveLength(4);
    expect(node.held.size).toBe(2);
  });

  it('that others have taken since the survey are learnt at the first refusal', async () => {
    const { mount, ec2 } = await bench();
    for (const name of deviceNames.slice(0, 5)) ec2.addAttachment(ec2.addVolume(), 'i-1', name);
    await mount('a', 'id-1');
    expect(devicesOf(ec2)).toEqual(['/dev/xvdba', '/dev/xvdbf']);
    expect(ec2.count('describeInstance')).toBe(1);
  });

  it('that are taken without telling, more than are tried: the error is what EC2 says of the last one', async () => {
    const { mount, ec2 } = await bench();
    for (const name of deviceNames.slice(0, 5)) ec2.secretlyTaken.add(name);
    ec2.failNext('describeInstance', 'EC2_THROTTLED');
    const error = await failure(mount('a', 'id-1'));
    expect(error).toMatchObject({ code: 'EC2_DEVICE_NAME_IN_USE', parts: { volume: 'a' } });
    expect(String(error)).toContain('EC2 said EC2_DEVICE_NAME_IN_USE');
    await mount('a', 'id-1');
    expect(devicesOf(ec2)).toEqual(deviceNames.slice(0, 6));
  });

  it('are not used again by the next attachment', async () => {
    const { mount, unmount, ec2 } = await bench();
    for (const id of ['id-1', 'id-2', 'id-3']) {
      await mount('a', id);
      await unmount('a', id);
      await pass(10_000);
    }
    expect(new Set(devicesOf(ec2)).size).toBe(3);
  });

  it('are journalled before they are used', async () => {
    const { mount, node, ec2 } = await bench();
    await mount('a', 'id-1');
    expect(node.journal.devices).toEqual(devicesOf(ec2).map((name) => ({ name, volumeId: 'vol-1' })));
    expect(node.journal.history[0]).toMatchObject({ phase: 'attaching', device: devicesOf(ec2)[0] });
  });

  it('all taken: the node is full, and no attach is asked of EC2', async () => {
    const { mount, node, ec2 } = await bench();
    node.devices.take(deviceNames);
    const error = await failure(mount('a', 'id-1'));
    expect(error).toMatchObject({ code: 'NODE_FULL' });
    expect(String(error)).toContain('127 of 127 device names are in use on this instance');
    expect(ec2.count('attachVolume')).toBe(0);
    expect(await failure(roomHere(node, 'a', await seen(ec2)))).toMatchObject({ code: 'NODE_FULL' });
  });

  it('that were taken by somebody who has gone are found free before the node is called full', async () => {
    const { mount, node, ec2 } = await bench();
    node.devices.listed(deviceNames.map((device) => ({ device })));
    await mount('a', 'id-1');
    expect([ec2.count('describeInstance'), ec2.count('attachVolume')]).toEqual([1, 1]);
  });

  it('one kept back is not used though nothing else is free: the error says until when', async () => {
    const { mount, node, ec2 } = await bench();
    node.devices.take(deviceNames.slice(1));
    ec2.secretlyTaken.add('/dev/xvdba');
    const error = String(await failure(mount('a', 'id-1')));
    expect(error).toContain(
      '126 of 127 device names are in use on this instance and the others (1) are kept from this volume',
    );
    expect(error).toMatch(/\/dev\/xvdba comes free in 3[23]\d s \(EC2 says that it is in use\)/);
    expect(node.journal.devices).toMatchObject([{ name: '/dev/xvdba', quarantine: 'EC2 says that it is in use' }]);
    ec2.secretlyTaken.clear();
    await pass(330_000);
    await mount('a', 'id-1');
    expect(devicesOf(ec2)).toEqual(['/dev/xvdba', '/dev/xvdba']);
  });

  it('that one volume has spoilt are there for the others, and not for it', async () => {
    const { mount, create, node, ec2 } = await bench();
    await create('b');
    for (const name of deviceNames) node.devices.quarantine(name, 'vol-1', 'EC2 gave up an attachment under it');
    await mount('b', 'id-1');
    expect(devicesOf(ec2)).toEqual(['/dev/xvdba']);
    const error = String(await failure(mount('a', 'id-1')));
    expect(error).toContain(
      '1 of 127 device names are in use on this instance and the others (126) are kept from this',
    );
    expect(ec2.count('attachVolume')).toBe(1);
  });

  it('whose attachment somebody else ended is kept from use', async () => {
    const { mount, unmount, ec2, node, volume } = await bench();
    await mount('a', 'id-1');
    const [attachment] = volume.attachments;
    if (attachment === undefined) throw new Error('not attached');
    ec2.endAttachment(volume, attachment);
    await unmount('a', 'id-1');
    await pass(10_000);
    expect(node.held.size).toBe(0);
    expect(node.devices.keptBack('vol-1')).toMatchObject([{ name: '/dev/xvdba' }]);
    expect(node.journal.devices).toMatchObject([
      { name: '/dev/xvdba', quarantine: 'its last attachment was not ended by this node' },
    ]);
    expect(node.devices.next('vol-2', new Set())).toBe('/dev/xvdbb');
  });

  it('are free for all when their attachment ended as asked', async () => {
    const { mount, unmount, node } = await bench();
    await mount('a', 'id-1');
    await unmount('a', 'id-1');
    await pass(10_000);
    expect([node.held.size, node.devices.inUse(), node.devices.keptBack('vol-2')]).toEqual([0, 0, []]);
    expect(node.devices.uses()).toMatchObject([{ name: '/dev/xvdba', volumeId: 'vol-1' }]);
    expect(node.devices.uses().map(({ quarantine }) => quarantine)).toEqual([undefined]);
    expect(node.devices.keptBack('vol-1')).toHaveLength(1);
  });

  it('40 mounts at once get 40', async () => {
    const { mount, create, ec2 } = await bench();
    const names = Array.from({ length: 40 }, (_, index) => `v${index}`);
    for (const name of names) await create(name);
    await Promise.all(names.map((name) => mount(name, 'id-1')));
    expect(new Set(devicesOf(ec2)).size).toBe(40);
    expect(devicesOf(ec2)).toHaveLength(40);
  });

  it('two mounts at once get two', async () => {
    const { mount, create, ec2 } = await bench();
    await create('b');
    await Promise.all([mount('a', 'id-1'), mount('b', 'id-1')]);
    expect(new Set(devicesOf(ec2)).size).toBe(2);
  });
});
