import { beforeEach, describe, expect, it, vi } from 'vitest';
import { cleanMark, tagKeys } from '../../../src/ebs/tags.ts';
import type { Ec2 } from '../../../src/ebs/types.ts';
import type { Host } from '../../../src/host/types.ts';
import { within } from '../../support/fake-takeover.ts';
import { type Fleet, fleet, ownedBy } from '../../support/fleet.ts';
import { pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

type Methods = Record<string, (...args: never[]) => Promise<unknown>>;

/** i-b begins to take the volume, and its daemon dies at a call, before or after that takes effect. */
async function bDiesAt(all: Fleet, call: keyof Ec2 | `host.${keyof Host}`, when: 'before' | 'after') {
  const [method, onHost] = [call.replace('host.', ''), call.startsWith('host.')];
  const target = (onHost ? all.nodeOf('i-b').machine.host : all.ec2) as unknown as Methods;
  const real = target[method]?.bind(target);
  const dead = Promise.withResolvers<void>();
  vi.spyOn(target, method).mockImplementationOnce(async (...args) => {
    if (when === 'after') await real?.(...args);
    all.kill('i-b');
    dead.resolve();
    return new Promise(() => undefined);
  });
  void all.mount('i-b').catch(() => undefined);
  await within(600_000, dead.promise);
}

describe('the taker crashes', () => {
  it('1 before its intent: nothing has happened, and the next taker starts afresh', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.impair('i-a');
    await bDiesAt(all, 'createTags', 'before');
    expect(all.destructive()).toEqual([]);
    expect(all.state()).toEqual(ownedBy('i-a', 1));
    await within(200_000, all.mount('i-c'));
    expect(all.destructive()).toEqual(['stop i-a', `detach i-a ${all.first.device}`]);
    expect(all.state()).toEqual(ownedBy('i-c', 2));
  });

  it('2 after its intent: that stays, the owner goes on until it mounts no more, and others proceed', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.impair('i-a');
    await bDiesAt(all, 'createTags', 'after');
    await pass(60_000);
    expect(all.destructive()).toEqual([]);
    expect(all.state()).toEqual({ ...ownedBy('i-a', 1), intents: ['i-b'] });
    await within(200_000, all.mount('i-c'));
    expect(all.destructive()).toEqual(['stop i-a', `detach i-a ${all.first.device}`]);
    expect(all.state()).toEqual(ownedBy('i-c', 2));
  });

  it('2 after its intent, which a restarted owner heeds: it mounts nothing more under that attachment', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.impair('i-a');
    await bDiesAt(all, 'createTags', 'after');
    const a = await all.restart('i-a');
    await pass(60_000);
    expect(all.state()).toMatchObject({ attachedTo: ['i-a attached'], mountedOn: ['i-a'] });
    a.host.mountedElsewhere.clear();
    await all.unmount('i-a');
    await within(30_000, all.mount('i-a'));
    expect(all.volume.tags[tagKeys.clean]).toBe(cleanMark({ ...all.first, instanceId: 'i-a' }));
    expect(all.volume.attachments[0]?.device).not.toBe(all.first.device);
    expect(all.state()).toEqual(ownedBy('i-a', 1));
  });

  it('3 after StopInstances was sent: the stop goes on, and any taker waits for it and finishes', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.impair('i-a');
    await bDiesAt(all, 'stopInstance', 'after');
    expect(all.ec2.instances.get('i-a')?.state).toBe('stopping');
    const taking = all.mount('i-c');
    await pass(20_000);
    expect(all.destructive()).toEqual(['stop i-a']);
    expect(all.nodeOf('i-c').waits.get('data')).toContain('i-a');
    await within(100_000, taking);
    expect(all.destructive()).toEqual(['stop i-a', `detach i-a ${all.first.device}`]);
    expect(all.state()).toEqual(ownedBy('i-c', 2));
  });

  it('4 after DetachVolume was sent: who comes finds it detaching, then free', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    await bDiesAt(all, 'detachVolume', 'after');
    expect(all.volume.attachments).toMatchObject([{ instanceId: 'i-a', state: 'detaching' }]);
    await within(30_000, all.mount('i-c'));
    expect(all.state()).toEqual(ownedBy('i-c', 2));
    expect(all.destructive().every((call) => call === `detach i-a ${all.first.device}`)).toBe(true);
  });

  it('5 after AttachVolume was sent: its own attachment is found, and adopted or given back', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    await bDiesAt(all, 'attachVolume', 'after');
    await all.restart('i-b');
    expect(await within(60_000, all.mount('i-b'))).toBe('/ebs/volumes/data/data');
    expect(all.state()).toEqual(ownedBy('i-b', 2));
    expect(all.ec2.count('attachVolume') - all.destructive().filter((call) => call.includes('i-b')).length).toBe(1);
  });

  it('5 the answer alone is lost: "in use" is by itself, and is adopted', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    all.ec2.failNext('attachVolume', 'EC2_UNAVAILABLE', 'after');
    await within(60_000, all.mount('i-b'));
    expect(all.ec2.count('attachVolume')).toBe(1);
    expect(all.state()).toEqual(ownedBy('i-b', 2));
  });

  it.each(['the same boot', 'another boot'])(
    '6 after the attach, before its tags, and comes back in %s: finished or given back, never mounted over a boot',
    async (boot) => {
      const all = await fleet();
      all.powerOff('i-a');
      await bDiesAt(all, 'createTags', 'before');
      const device = all.volume.attachments[0]?.device;
      expect(all.volume.attachments).toMatchObject([{ instanceId: 'i-b' }]);
      if (boot === 'another boot') all.nodeOf('i-b').machine.host.reboot();
      const b = await all.restart('i-b');
      await pass(90_000);
      expect([all.volume.attachments, b.host.mounted.size]).toEqual([[], 0]);
      await within(30_000, all.mount('i-c'));
      expect(all.destructive()).toEqual([`detach i-a ${all.first.device}`, `detach i-b ${device}`]);
      expect(all.state()).toMatchObject({ attachedTo: ['i-c attached'], owner: 'i-c' });
    },
  );

  it('7 during the check of the filesystem: the check runs again, then it is mounted, never formatted', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    await bDiesAt(all, 'host.checkFilesystem', 'before');
    const b = await all.restart('i-b');
    await within(60_000, all.mount('i-b'));
    expect(b.host.count('checkFilesystem')).toBe(1);
    expect(b.host.count('makeFilesystem')).toBe(0);
    expect(all.state()).toEqual(ownedBy('i-b', 2));
  });

  it('8 after the mount, before its caller heard: the same Mount again gives the same directory', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    const journal = all.nodeOf('i-b').machine.journal;
    const mounting = all.mount('i-b');
    let answered = false;
    void mounting.then(() => {
      answered = true;
    });
    journal.isFull = ({ held }) => {
      if (held?.holders.length === 1) all.kill('i-b');
      return false;
    };
    await pass(20_000);
    expect([answered, all.state().mountedOn]).toEqual([false, ['i-b']]);
    const b = await all.restart('i-b');
    const calls = all.ec2.calls.length;
    expect(await within(10_000, all.mount('i-b'))).toBe('/ebs/volumes/data/data');
    expect(all.ec2.calls.slice(calls)).toEqual([]);
    expect(b.host.count('mount')).toBe(1);
    expect(b.held.get('data')).toMatchObject({ phase: 'mounted', holders: [{ id: 'task' }] });
    expect(await within(10_000, all.mount('i-b'))).toBe('/ebs/volumes/data/data');
    expect(b.held.get('data')?.holders).toHaveLength(1);
  });
});
