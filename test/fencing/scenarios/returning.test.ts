import { beforeEach, describe, expect, it, vi } from 'vitest';
import { cleanMark, tagKeys } from '../../../src/ebs/tags.ts';
import { ec2Error } from '../../support/fake-ec2.ts';
import { FakeJournal } from '../../support/fake-node.ts';
import { failureWithin, within } from '../../support/fake-takeover.ts';
import { fleet, ownedBy } from '../../support/fleet.ts';
import { pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

describe('an owner that comes back', () => {
  it('16 by a restart, with the volume still attached: never mounted under that, released, attached anew on demand', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    const a = await all.powerOn('i-a');
    expect(await within(30_000, all.mount('i-a'))).toBe('/ebs/volumes/data/data');
    expect(all.destructive()).toEqual([`detach i-a ${all.first.device}`]);
    expect(all.volume.tags[tagKeys.clean]).toBe(cleanMark({ ...all.first, instanceId: 'i-a' }));
    expect(all.volume.attachments[0]?.device).not.toBe(all.first.device);
    expect(a.held.get('data')?.bootId).toBe(a.machine.host.bootId);
    expect(all.state()).toEqual(ownedBy('i-a', 1));
  });

  it('16 when another has the volume by then: it mounts nothing, and names the other', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    await within(30_000, all.mount('i-b'));
    await all.powerOn('i-a');
    await pass(60_000);
    expect(String(await failureWithin(30_000, all.mount('i-a')))).toMatch(/attached to i-b .*which is running/);
    expect(all.destructive().filter((call) => call.startsWith('detach i-b'))).toEqual([]);
    expect(all.state()).toEqual(ownedBy('i-b', 2));
  });

  it('17 from hibernation: it was not taken meanwhile, and goes on where it was', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.ec2.setInstance('i-a', { state: 'stopped', stateReason: 'Client.UserInitiatedHibernate' });
    const error = await failureWithin(60_000, all.mount('i-b'));
    expect(String(error)).toMatch(
      /i-a .*Client\.UserInitiatedHibernate.*wakes with its mounts\. Terminate i-a; or, .* fence confirm data --victim i-a --reason /,
    );
    expect(all.destructive()).toEqual([]);
    all.ec2.setInstance('i-a', { state: 'running', stateReason: undefined });
    expect(await within(5000, all.mount('i-a', 'second'))).toBe('/ebs/volumes/data/data');
    expect(all.state()).toEqual(ownedBy('i-a', 1));
  });

  it('18 with the record of an attachment that is over: that is dropped, and ends nobody’s', async () => {
    const all = await fleet();
    const records = new Map([...all.nodeOf('i-a').machine.journal.records]);
    all.powerOff('i-a');
    await within(30_000, all.mount('i-b'));
    const theirs = { ...all.volume.attachments[0] };
    all.nodeOf('i-a').machine.journal.records.clear();
    for (const [name, held] of records) all.nodeOf('i-a').machine.journal.records.set(name, held);
    const a = await all.powerOn('i-a');
    await pass(60_000);
    expect([a.held.size, a.machine.journal.records.size]).toEqual([0, 0]);
    expect(all.destructive().filter((call) => call.includes('i-b'))).toEqual([]);
    expect(all.volume.attachments).toEqual([{ ...theirs, state: 'attached' }]);
  });

  it('19 by a reboot, which EC2 shows as running all the while: declared finished and released, with nobody asking', async () => {
    const all = await fleet();
    all.kill('i-a');
    all.nodeOf('i-a').machine.host.reboot();
    await all.restart('i-a');
    await within(20_000, all.mount('i-b'));
    expect(new Set(all.destructive())).toEqual(new Set([`detach i-a ${all.first.device}`]));
    expect(all.volume.tags[tagKeys.clean]).toBe(cleanMark({ ...all.first, instanceId: 'i-a' }));
    expect(all.state()).toEqual(ownedBy('i-b', 2));
  });

  it('38 because EC2 restarts what it stopped (spot): it gives the volume back, and a taker in the middle waits for that', async () => {
    const all = await fleet();
    all.powerOff('i-a', 'Server.SpotInstanceShutdown');
    const taking = all.mount('i-b');
    await pass(30_000);
    expect(all.destructive()).toEqual([]);
    await all.powerOn('i-a');
    await within(60_000, taking);
    expect(all.destructive()).toEqual([`detach i-a ${all.first.device}`]);
    expect(all.volume.tags[tagKeys.clean]).toBe(cleanMark({ ...all.first, instanceId: 'i-a' }));
    expect(all.state()).toEqual(ownedBy('i-b', 2));
  });

  it('39 because EC2 recovers it while it is about to be stopped: it is not, and gives the volume back', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.impair('i-a');
    const taking = all.mount('i-b');
    await pass(10_000);
    all.kill('i-a');
    await all.powerOn('i-a');
    all.ec2.health.clear();
    await within(60_000, taking);
    expect(all.destructive()).toEqual([`detach i-a ${all.first.device}`]);
    expect(all.state()).toEqual(ownedBy('i-b', 2));
  });

  it('39 after it was stopped for this: what it attached is over, and it mounts nothing', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.impair('i-a');
    await within(200_000, all.mount('i-b'));
    const a = await all.powerOn('i-a');
    await pass(60_000);
    expect([a.held.size, a.machine.host.mounted.size]).toEqual([0, 0]);
    expect(all.state()).toEqual(ownedBy('i-b', 2));
  });
});

describe('an owner that declared its attachment finished', () => {
  it('61 and has a Mount before its detach is over: it waits for that, and attaches anew', async () => {
    const all = await fleet();
    Object.assign(all.ec2, { detachMs: 15_000, unplugMs: 15_000 });
    await within(10_000, all.unmount('i-a'));
    await pass(2500);
    expect(all.volume.tags[tagKeys.clean]).toBe(cleanMark({ ...all.first, instanceId: 'i-a' }));
    expect(all.volume.attachments).toMatchObject([{ state: 'detaching' }]);
    const mounts = all.nodeOf('i-a').host.count('mount');
    await within(60_000, all.mount('i-a'));
    expect(all.nodeOf('i-a').host.count('mount')).toBe(mounts + 1);
    expect(all.volume.attachments[0]?.device).not.toBe(all.first.device);
    expect(all.ec2.count('attachVolume')).toBe(1);
    expect(all.state()).toEqual(ownedBy('i-a', 1));
  });

  it('61 and dies before its detach: another finishes it, and the returning one does not mount under it', async () => {
    const all = await fleet();
    const detach = vi.spyOn(all.ec2, 'detachVolume').mockRejectedValue(ec2Error('EC2_UNAVAILABLE'));
    await within(10_000, all.unmount('i-a'));
    await pass(5000);
    all.kill('i-a');
    detach.mockRestore();
    expect(all.volume.tags[tagKeys.clean]).toBe(cleanMark({ ...all.first, instanceId: 'i-a' }));
    await within(30_000, all.mount('i-b'));
    expect(all.destructive()).toEqual([`detach i-a ${all.first.device}`]);
    await all.restart('i-a');
    await pass(30_000);
    expect(all.nodeOf('i-a').machine.host.mounted.size).toBe(0);
    expect(all.state()).toEqual(ownedBy('i-b', 2));
  });
});

describe('an owner whose daemon restarts', () => {
  it('62 without its journal: what is mounted goes on, what is not is given back', async () => {
    const all = await fleet();
    const other = await all.hold('i-a', 'other');
    await all.unmount('i-a', 'task', 'other');
    const a = await all.restart('i-a', { journal: new FakeJournal() });
    await pass(30_000);
    expect(other.attachments).toEqual([]);
    expect(a.held.get('data')).toMatchObject({ phase: 'mounted', holders: [{ id: 'adopted' }] });
    expect(all.state()).toEqual(ownedBy('i-a', 1));
  });

  it('63 in the same boot: its live mounts are adopted, and EC2 is asked for nothing', async () => {
    const all = await fleet();
    const a = await all.restart('i-a');
    const mounts = a.machine.host.count('mount');
    all.ec2.calls.length = 0;
    await pass(120_000);
    expect(await within(5000, all.mount('i-a'))).toBe('/ebs/volumes/data/data');
    expect([all.ec2.calls, a.machine.host.count('mount')]).toEqual([[], mounts]);
    expect(a.held.get('data')).toMatchObject({ phase: 'mounted', holders: [{ id: 'task' }] });
    expect(all.volume.attachments).toEqual([all.first]);
  });
});
