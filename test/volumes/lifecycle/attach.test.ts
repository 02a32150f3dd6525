import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Ec2 } from '../../../src/ebs/types.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { nodeWithVolume as bench, fakeNode, verbs } from '../../support/fake-node.ts';
import { devicesOf } from '../../support/fake-volume.ts';
import { failure, pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

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

  it('a call that took effect and that a stale read does not show is ended all the same', async () => {
    const { mount, ec2, node, volume } = await bench();
    ec2.neverPlugged.add('vol-1');
    ec2.failNext('attachVolume', 'EC2_UNAVAILABLE', 'after');
    const before = structuredClone(volume) as never;
    vi.spyOn(ec2, 'describeVolume').mockResolvedValueOnce(before).mockResolvedValueOnce(before);
    expect(await failure(mount('a', 'id-1'))).toMatchObject({ code: 'EC2_UNAVAILABLE' });
    await pass(60_000);
    expect([volume.attachments.length, node.held.size, node.journal.records.size]).toEqual([0, 0, 0]);
  });

  it('a call that took no effect is reported, and leaves nothing', async () => {
    const { mount, ec2, node, volume } = await bench();
    ec2.failNext('attachVolume', 'EC2_UNAVAILABLE');
    expect(await failure(mount('a', 'id-1'))).toMatchObject({ code: 'EC2_UNAVAILABLE' });
    // Until reads can lag no more it may have taken effect.
    await pass(10_000);
    expect(node.held.get('a')).toMatchObject({ phase: 'attaching' });
    await pass(15_000);
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
    expect(String(error)).toMatch(
      /cannot attach vol-1 to i-1 as \/dev\/xvdba: its disk did not appear on this machine: after 20 s EC2 .*on i-1 as \/dev\/xvdba \(attaching\)/,
    );
    expect(String(error)).toMatch(/network interfaces .* its AMI uses that name.* NVMe driver/);
    expect(String(error)).not.toContain('detach');
    expect(Date.now() - before).toBeLessThan(25_000);
    await pass(20_000);
    expect(volume).toMatchObject({ state: 'available', attachments: [] });
    expect(node.held.size).toBe(0);
  });

  it('refused because the volume is being modified: waited for, and said so, under one name', async () => {
    const { mount, ec2, node } = await bench();
    for (let tries = 0; tries < 3; tries++) ec2.failNext('attachVolume', 'EC2_VOLUME_MODIFYING');
    const mounting = mount('a', 'id-1');
    await pass(100);
    expect(node.waits.get('a')).toBe('EC2 to finish modifying vol-1: until then it attaches it nowhere');
    expect(await mounting).toBe('/ebs/volumes/a/data');
    expect(devicesOf(ec2)).toEqual(Array.from({ length: 4 }, () => '/dev/xvdba'));
    expect(node.waits.has('a')).toBe(false);
  });

  it("refused for a modification that lasts: the error is EC2's, some calls later, and nothing is left", async () => {
    const { mount, ec2, node } = await bench({ settings: { mountTimeout: 60 } });
    for (let tries = 0; tries < 20; tries++) ec2.failNext('attachVolume', 'EC2_VOLUME_MODIFYING');
    const error = await failure(mount('a', 'id-1'));
    expect(error).toMatchObject({ code: 'EC2_VOLUME_MODIFYING' });
    expect(ec2.count('attachVolume')).toBeLessThanOrEqual(10);
    expect([node.held.size, node.journal.records.size]).toEqual([0, 0]);
    await pass(30_000);
    expect([ec2.count('detachVolume'), ec2.count('createTags')]).toEqual([0, 0]);
  });

  it('refused for a state that lasts: the error says what EC2 says', async () => {
    const { mount, ec2, node } = await bench();
    for (let tries = 0; tries < 4; tries++) ec2.failNext('attachVolume', 'EC2_INCORRECT_STATE');
    const error = await failure(mount('a', 'id-1'));
    expect(error).toMatchObject({ code: 'EC2_INCORRECT_STATE', parts: { volume: 'a' } });
    expect(String(error)).toContain('EC2 said EC2_INCORRECT_STATE');
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
