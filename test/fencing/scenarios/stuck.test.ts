import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { cleanMark, tagKeys } from '../../../src/ebs/tags.ts';
import { confirmationTag } from '../../../src/fencing/records.ts';
import { createDrain } from '../../../src/volumes/lifecycle/drain.ts';
import { createHeed } from '../../../src/volumes/lifecycle/heed.ts';
import { failureWithin, within } from '../../support/fake-takeover.ts';
import { fleet, ownedBy } from '../../support/fleet.ts';
import { pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

describe('an end that EC2 announces', () => {
  it('37 (spot interruption): what the owner’s container leaves is unmounted, declared finished and detached at once', async () => {
    const all = await fleet();
    const drain = createDrain(all.nodeOf('i-a'));
    onTestFinished(() => drain.close());
    const at = Date.now() + 120_000;
    const notice = { id: 'spot', text: 'EC2 will terminate this spot instance', at, until: undefined };
    createHeed(drain, all.nodeOf('i-a').log)([notice]);
    await pass(5000);
    expect(drain.report().volumes).toMatchObject([{ name: 'data', state: 'in-use' }]);
    await within(5000, all.unmount('i-a'));
    await pass(5000);
    expect(all.destructive()).toEqual([`detach i-a ${all.first.device}`]);
    expect(all.volume.tags[tagKeys.clean]).toBe(cleanMark({ ...all.first, instanceId: 'i-a' }));
    all.ec2.calls.length = 0;
    await within(5000, all.mount('i-b'));
    expect([all.destructive(), all.auditOf('i-b').entries]).toEqual([[], []]);
    expect(all.state()).toEqual(ownedBy('i-b', 2));
  });
});

describe('a stop that is stuck', () => {
  it('41 for more than ten minutes: nothing is detached, a person is asked for, and their word is enough then', async () => {
    const all = await fleet({ policy: 'stonith' });
    Object.assign(all.ec2, { stopMs: 100_000_000, forcedStopMs: 100_000_000 });
    all.impair('i-a');
    const error = await failureWithin(1_100_000, all.mount('i-b'));
    expect(String(error)).toMatch(/attached to i-a .*stopping, and nothing has changed for 10 minutes.*fence confirm/);
    expect(all.destructive()).toEqual(['stop i-a', 'stop i-a by force']);
    expect(all.volume.attachments).toEqual([all.first]);
    const { device, attachTime } = all.first;
    all.volume.tags[tagKeys.confirmed] = confirmationTag({ victim: 'i-a', device, attachTime, reason: 'unplugged' });
    await within(60_000, all.mount('i-b'));
    // The owner, which runs on, finds its disk gone and ends its own attachment, too.
    expect(new Set(all.destructive().slice(2))).toEqual(new Set([`detach i-a ${device}`]));
    expect(all.state()).toMatchObject({ attachedTo: ['i-b attached'], epoch: 2, owner: 'i-b', intents: [] });
  });

  it('42 until it is forced: a minute for late writes and another look come before the detach', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.ec2.stopMs = 100_000_000;
    all.impair('i-a');
    const taking = all.mount('i-b');
    let stoppedAt = 0;
    let detachedAt = 0;
    const watch = setInterval(() => {
      if (all.ec2.instances.get('i-a')?.state === 'stopped') stoppedAt ||= Date.now();
      if (all.ec2.count('detachVolume') > 0) detachedAt ||= Date.now();
    }, 100);
    onTestFinished(() => clearInterval(watch));
    await within(1_000_000, taking);
    expect(all.destructive()).toEqual(['stop i-a', 'stop i-a by force', `detach i-a ${all.first.device}`]);
    expect(detachedAt - stoppedAt).toBeGreaterThan(60_000);
    expect(all.state()).toEqual(ownedBy('i-b', 2));
  });
});

describe('a detach that is stuck', () => {
  it('43 busy on a stopped owner: forced after a minute, once two more looks have proved it again', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    all.ec2.detachMs = 100_000_000;
    const detach = all.ec2.detachVolume.bind(all.ec2);
    vi.spyOn(all.ec2, 'detachVolume').mockImplementation((key, options) => {
      const attachment = all.volume.attachments[0]!;
      if (options?.force === true) setTimeout(() => all.ec2.endAttachment(all.volume, attachment), 2000);
      return detach(key, options);
    });
    await within(200_000, all.mount('i-b'));
    const { device } = all.first;
    expect(all.destructive()).toEqual([`detach i-a ${device}`, `detach i-a ${device} by force`]);
    const methods = all.ec2.calls.map(({ method }) => method);
    const between = methods.slice(methods.indexOf('detachVolume'), methods.lastIndexOf('detachVolume'));
    expect(between.filter((method) => method === 'describeInstance')).toHaveLength(2);
    expect(all.auditOf('i-b').audit.counters.forcedDetaches).toBe(1);
    expect(all.state()).toEqual(ownedBy('i-b', 2));
  });

  it('43 busy on an owner that is started meanwhile: never forced', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    all.ec2.detachMs = 100_000_000;
    const taking = all.mount('i-b');
    await pass(20_000);
    all.ec2.setInstance('i-a', { state: 'running', stateReason: undefined, launchTime: new Date().toISOString() });
    expect(String(await failureWithin(200_000, taking))).toMatch(/still shows it on i-a .*\(detaching\).*AWS support/);
    expect(all.destructive()).toEqual([`detach i-a ${all.first.device}`]);
  });
});

describe('a disk that is not what it should be', () => {
  it('51 another one under its name: refused by its serial, and nothing is written', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    const { host } = all.nodeOf('i-b').machine;
    host.failNext('waitForDevice', 'WRONG_DEVICE');
    expect(await failureWithin(60_000, all.mount('i-b'))).toMatchObject({ code: 'WRONG_DEVICE' });
    expect([host.count('makeFilesystem'), host.count('mount'), host.count('readContent')]).toEqual([0, 0, 0]);
    await pass(30_000);
    expect(all.volume.attachments).toEqual([]);
    await within(60_000, all.mount('i-b'));
    expect(all.state()).toMatchObject({ attachedTo: ['i-b attached'], mountedOn: ['i-b'] });
  });

  it('52 gone under a mount (a ghost) in the way of the next one: it is taken away first, then mounted anew', async () => {
    const all = await fleet();
    all.kill('i-a');
    all.ec2.endAttachment(all.volume, all.volume.attachments[0]!);
    const { host } = all.nodeOf('i-a').machine;
    host.mountedElsewhere.clear();
    expect(host.mounted.size).toBe(1);
    await all.restart('i-a');
    await within(60_000, all.mount('i-a'));
    const order = host.calls.map(({ method }) => method);
    expect(order.lastIndexOf('abandonMount')).toBeGreaterThan(0);
    expect(order.lastIndexOf('mount')).toBeGreaterThan(order.lastIndexOf('abandonMount'));
    expect(all.volume.attachments[0]?.device).not.toBe(all.first.device);
    expect(all.state()).toEqual(ownedBy('i-a', 1));
  });
});
