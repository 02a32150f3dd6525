import { beforeEach, describe, expect, it, vi } from 'vitest';
import { deviceNames } from '../../../src/ebs/device-names.ts';
import type { Ec2 } from '../../../src/ebs/types.ts';
import { roomHere } from '../../../src/volumes/lifecycle/room.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { type FakeNodeParts, fakeNode, verbs } from '../../support/fake-node.ts';
import { failure, pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

async function bench(parts: FakeNodeParts = {}) {
  const ec2 = new FakeEc2();
  const node = await fakeNode(ec2, parts);
  const does = verbs(node);
  await does.create('a');
  ec2.calls.length = 0;
  const volume = ec2.volumes.get('vol-1');
  if (volume === undefined) throw new Error('no volume');
  return { ec2, node, volume, ...does };
}
const seen = async (ec2: FakeEc2) => (await ec2.describeVolume('vol-1')) ?? expect.fail('no volume');
const devicesOf = (ec2: FakeEc2) =>
  ec2.calls.flatMap(({ method, args }) => (method === 'attachVolume' ? [(args[0] as { device: string }).device] : []));

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
    expect(String(error)).toContain('63 of 63 device names are in use on this instance');
    expect(ec2.count('attachVolume')).toBe(0);
    expect(await failure(roomHere(node, 'a', await seen(ec2)))).toMatchObject({ code: 'NODE_FULL' });
  });

  it('that were taken by somebody who has gone are found free before the node is called full', async () => {
    const { mount, node, ec2 } = await bench();
    node.devices.listed(deviceNames);
    await mount('a', 'id-1');
    expect([ec2.count('describeInstance'), ec2.count('attachVolume')]).toEqual([1, 1]);
  });

  it('one kept back is not used though nothing else is free: the error says until when', async () => {
    const { mount, node, ec2 } = await bench();
    node.devices.take(deviceNames.slice(1));
    ec2.secretlyTaken.add('/dev/xvdba');
    const error = String(await failure(mount('a', 'id-1')));
    expect(error).toContain(
      '62 of 63 device names are in use on this instance and the others (1) are kept from this volume',
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
    expect(error).toContain('1 of 63 device names are in use on this instance and the others (62) are kept from this');
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

describe('an answer of AttachVolume that was lost', () => {
  it('the attachment is found and adopted', async () => {
    const { mount, ec2, node, volume } = await bench();
    ec2.failNext('attachVolume', 'EC2_UNAVAILABLE', 'after');
    await mount('a', 'id-1');
    expect([ec2.count('attachVolume'), ec2.count('detachVolume')]).toEqual([1, 0]);
    expect(node.held.get('a')).toMatchObject({ phase: 'mounted', attachTime: volume.attachments[0]?.attachTime });
  });

  it('also when a repetition of the call answers that it is in use, by ourselves', async () => {
    const { mount, ec2, volume } = await bench();
    ec2.failNext('attachVolume', 'EC2_VOLUME_IN_USE', 'after');
    await mount('a', 'id-1');
    expect([ec2.count('attachVolume'), ec2.count('detachVolume')]).toEqual([1, 0]);
    expect(volume.attachments).toMatchObject([{ instanceId: 'i-1', state: 'attached' }]);
  });

  it.each([
    ['EC2_UNAVAILABLE', 'EC2_UNAVAILABLE'],
    ['EC2_CREDENTIALS', 'EC2_CREDENTIALS'],
    // As the answer to AttachVolume these would prove that nothing was attached.
    ['EC2_THROTTLED', 'EC2_UNAVAILABLE'],
    ['EC2_DENIED', 'EC2_UNAVAILABLE'],
  ] as const)(
    'and cannot be looked up, for %s: the caller is told (%s), and nothing stays attached',
    async (lookUp, code) => {
      const { mount, ec2, node, volume } = await bench();
      ec2.failNext('attachVolume', 'EC2_UNAVAILABLE', 'after');
      ec2.failNext('describeVolume', lookUp);
      expect(await failure(mount('a', 'id-1'))).toMatchObject({ code });
      await pass(30_000);
      expect([volume.attachments.length, node.held.size]).toEqual([0, 0]);
    },
  );

  it('to any other error that proves nothing: nothing stays attached', async () => {
    const { mount, ec2, node, volume } = await bench();
    ec2.failNext('attachVolume', 'EC2_CREDENTIALS', 'after');
    expect(await failure(mount('a', 'id-1'))).toMatchObject({ code: 'EC2_CREDENTIALS' });
    await pass(30_000);
    expect([volume.attachments.length, node.held.size]).toEqual([0, 0]);
  });

  it('a call that took no effect is reported, and leaves nothing', async () => {
    const { mount, ec2, node, volume } = await bench();
    ec2.failNext('attachVolume', 'EC2_UNAVAILABLE');
    expect(await failure(mount('a', 'id-1'))).toMatchObject({ code: 'EC2_UNAVAILABLE' });
    await pass(10_000);
    expect([volume.attachments.length, node.held.size, node.journal.records.size]).toEqual([0, 0, 0]);
  });
});

describe('an attach that comes to nothing', () => {
  it.each(['EC2_DENIED', 'EC2_THROTTLED'] as const)(
    'refused, %s: the error is told and the record goes',
    async (code) => {
      const { mount, ec2, node } = await bench();
      ec2.failNext('attachVolume', code);
      expect(await failure(mount('a', 'id-1'))).toMatchObject({ code });
      expect([node.held.size, node.journal.records.size]).toEqual([0, 0]);
      await pass(30_000);
      expect([ec2.count('detachVolume'), ec2.count('createTags')]).toEqual([0, 0]);
    },
  );

  it('throttled: what it waits for says so until EC2 takes it', async () => {
    const { mount, ec2, node } = await bench();
    const attach = ec2.attachVolume.bind(ec2);
    const waits: (string | undefined)[] = [];
    const throttled: Ec2['attachVolume'] = async (key, options) => {
      waits.push(node.waits.get('a'));
      options?.onThrottled?.();
      waits.push(node.waits.get('a'));
      return attach(key);
    };
    Object.assign(ec2, { attachVolume: throttled });
    await mount('a', 'id-1');
    const plain = 'EC2 to attach vol-1 as /dev/xvdba';
    expect(waits).toEqual([plain, expect.stringMatching(`^${plain}.*throttles`)]);
    expect(node.waits.has('a')).toBe(false);
  });

  it('stuck attaching: undone after the timeout', async () => {
    const { mount, ec2, volume, node } = await bench({ settings: { attachTimeout: 20 } });
    ec2.neverPlugged.add('vol-1');
    const before = Date.now();
    const error = await failure(mount('a', 'id-1'));
    expect(error).toMatchObject({ code: 'STILL_WORKING' });
    expect(String(error)).toContain('on i-1 as /dev/xvdba (attaching)');
    expect(Date.now() - before).toBeLessThan(25_000);
    await pass(20_000);
    expect(volume).toMatchObject({ state: 'available', attachments: [] });
    expect(node.held.size).toBe(0);
  });

  it('this machine fails while the disk is waited for: nothing stays attached', async () => {
    const { mount, node, volume } = await bench();
    node.host.failNext('waitForDevice', 'HOST_FAILED');
    expect(await failure(mount('a', 'id-1'))).toMatchObject({ code: 'HOST_FAILED' });
    await pass(30_000);
    expect([volume.attachments.length, node.held.size]).toEqual([0, 0]);
  });

  it('accepted and then given up by EC2: tried again under another name', async () => {
    const { mount, ec2, volume } = await bench();
    ec2.neverPlugged.add('vol-1');
    const mounting = mount('a', 'id-1');
    await pass(1000);
    const [attachment] = volume.attachments;
    if (attachment === undefined) throw new Error('not attaching');
    ec2.endAttachment(volume, attachment);
    ec2.neverPlugged.clear();
    await mounting;
    expect(new Set(devicesOf(ec2)).size).toBe(2);
  });
});

describe('a left-over attachment of this instance', () => {
  it('is released, never mounted, and the volume attached anew', async () => {
    const { mount, ec2, volume, node } = await bench();
    ec2.addAttachment(volume, 'i-1', '/dev/xvdbk');
    await mount('a', 'id-1');
    expect(ec2.calls.find(({ method }) => method === 'detachVolume')?.args).toEqual([
      { volumeId: 'vol-1', instanceId: 'i-1', device: '/dev/xvdbk' },
    ]);
    expect(volume.attachments[0]).toMatchObject({ instanceId: 'i-1', state: 'attached' });
    expect(node.host.mounted.size).toBe(1);
  });

  it('keeps its device name out of use for the attachment that follows', async () => {
    const { mount, ec2, volume } = await bench();
    ec2.addAttachment(volume, 'i-1', '/dev/xvdba');
    await mount('a', 'id-1');
    expect(volume.attachments).toMatchObject([{ instanceId: 'i-1', device: '/dev/xvdbb' }]);
  });

  it('that is on its way out is waited for, also when its disk has left already', async () => {
    const { mount, unmount, ec2, volume } = await bench();
    ec2.unplugMs = 100;
    ec2.detachMs = 4000;
    await mount('a', 'id-1');
    await unmount('a', 'id-1');
    await pass(2500);
    expect(volume.attachments).toMatchObject([{ state: 'detaching' }]);
    expect(await mount('a', 'id-2')).toBe('/ebs/volumes/a/data');
    expect(ec2.count('detachVolume')).toBe(1);
  });

  it('is not touched while something uses its disk', async () => {
    const { mount, ec2, volume, node } = await bench();
    ec2.addAttachment(volume, 'i-1', '/dev/xvdba');
    node.host.mountedElsewhere.add('vol-1');
    const error = await failure(mount('a', 'id-1'));
    expect(error).toMatchObject({ code: 'IN_USE_HERE' });
    expect(String(error)).toContain('process 42 (of vol-1) still has /dev/vol-1 (vol-1) mounted');
    expect([ec2.count('detachVolume'), ec2.count('createTags')]).toEqual([0, 0]);
  });
});

describe('a volume of another', () => {
  it('in another zone cannot come here', async () => {
    const { ec2 } = await bench();
    const { mount } = verbs(await fakeNode(ec2, { instanceId: 'i-2', zone: 'eu-west-1b' }));
    const error = await failure(mount('a', 'id-1'));
    expect(error).toMatchObject({ code: 'WRONG_ZONE' });
    expect(String(error)).toContain('it is in eu-west-1a and this node is in eu-west-1b');
    expect(ec2.count('attachVolume')).toBe(0);
  });

  it('on a running node stays there', async () => {
    const { ec2, mount, volume } = await bench();
    await mount('a', 'id-1');
    const { mount: mountThere } = verbs(await fakeNode(ec2, { instanceId: 'i-2' }));
    const error = await failure(mountThere('a', 'id-2'));
    expect(error).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect(String(error)).toContain('i-1');
    expect(volume.attachments).toMatchObject([{ instanceId: 'i-1', state: 'attached' }]);
    expect(ec2.count('detachVolume')).toBe(0);
  });

  it('that lets go in time comes over', async () => {
    const { ec2, mount, unmount, volume } = await bench();
    await mount('a', 'id-1');
    const { mount: mountThere } = verbs(await fakeNode(ec2, { instanceId: 'i-2' }));
    const moving = mountThere('a', 'id-2');
    await unmount('a', 'id-1');
    expect(await moving).toBe('/ebs/volumes/a/data');
    expect(volume.attachments).toMatchObject([{ instanceId: 'i-2', state: 'attached' }]);
    expect(ec2.count('detachVolume')).toBe(1);
  });

  it('on a terminated node is taken over', async () => {
    const { ec2, mount, volume } = await bench();
    await mount('a', 'id-1');
    ec2.setInstance('i-1', { state: 'terminated' });
    const { mount: mountThere } = verbs(await fakeNode(ec2, { instanceId: 'i-2' }));
    await mountThere('a', 'id-2');
    expect(volume.attachments).toMatchObject([{ instanceId: 'i-2', state: 'attached' }]);
  });

  it('is never with two nodes that race for it', async () => {
    const { ec2, volume, mount } = await bench();
    const { mount: mountThere } = verbs(await fakeNode(ec2, { instanceId: 'i-2' }));
    const outcomes = await Promise.allSettled([mount('a', 'id-1'), mountThere('a', 'id-2')]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(outcomes.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { code: 'ATTACHED_ELSEWHERE' },
    });
    expect(volume.attachments).toHaveLength(1);
  });
});

it('a volume that is still being made is waited for', async () => {
  const ec2 = new FakeEc2();
  const node = await fakeNode(ec2);
  const { create, mount } = verbs(node);
  ec2.createMs = 5000;
  const creating = create('a');
  await pass(100);
  const { mount: mountThere } = verbs(await fakeNode(ec2, { instanceId: 'i-2' }));
  expect(await mountThere('a', 'id-1')).toBe('/ebs/volumes/a/data');
  await creating;
  expect(await failure(mount('a', 'id-1'))).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
});
