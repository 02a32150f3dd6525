import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { AttachmentKey, EbsVolume, Ec2, Instance } from '../../../src/ebs/types.ts';
import type { ErrorCode } from '../../../src/errors.ts';
import { ec2Error } from '../../support/fake-ec2.ts';
import { failureWithin, within } from '../../support/fake-takeover.ts';
import { type Fleet, fleet, ownedBy } from '../../support/fleet.ts';
import { pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** What EC2 shows of the volume and of i-a now, to be shown again later. */
async function photograph({ ec2, volume }: Fleet) {
  const [seen, owner] = await Promise.all([ec2.describeVolume(volume.id), ec2.describeInstance('i-a')]);
  return { volume: seen as EbsVolume, owner: owner as Instance };
}
const shows = (ec2: Ec2, method: 'findVolumes' | 'listVolumes', volume: EbsVolume) =>
  vi.spyOn(ec2, method).mockImplementation(async () => [structuredClone(volume)]);

describe('EC2 does not answer', () => {
  const asked = ['findVolumes', 'describeInstance', 'findTagged', 'detachVolume', 'describeVolume', 'attachVolume'];

  it.each([...asked, 'createTags'] as (keyof Ec2)[])(
    '9 but throttles %s once: it is had all the same, if need be at the next try, and nothing is sent on old evidence',
    async (method) => {
      const all = await fleet();
      all.powerOff('i-a');
      all.ec2.failNext(method, 'EC2_THROTTLED');
      const failed = await within(
        60_000,
        all.mount('i-b').then(
          () => undefined,
          (error: unknown) => error,
        ),
      );
      if (failed !== undefined) {
        expect(failed).toMatchObject({ code: 'EC2_THROTTLED' });
        await pass(60_000);
        await within(60_000, all.mount('i-b'));
      }
      expect(all.state()).toMatchObject({ attachedTo: ['i-b attached'], intents: [], mountedOn: ['i-b'] });
      const calls = all.ec2.calls.map((call) => call.method);
      const between = calls.slice(calls.indexOf('detachVolume') + 1, calls.lastIndexOf('detachVolume'));
      if (method === 'detachVolume') expect(between.filter((each) => each === 'describeInstance')).toHaveLength(2);
      else expect(all.destructive().filter((call) => call.includes('i-a'))).toHaveLength(1);
    },
  );

  it.each<ErrorCode>(['EC2_UNAVAILABLE', 'EC2_CREDENTIALS', 'EC2_DENIED'])(
    '10 but fails with %s mid-way: that is no evidence, against an owner that runs or has stopped',
    async (code) => {
      for (const method of ['describeInstance', 'findTagged'] as const) {
        for (const isOff of [false, true]) {
          const all = await fleet({ others: ['i-b'] });
          if (isOff) all.powerOff('i-a');
          for (let n = 0; n < 20; n++) all.ec2.failNext(method, code);
          expect(await failureWithin(100_000, all.mount('i-b'))).toMatchObject({ code });
          expect(all.destructive()).toEqual([]);
          expect(all.volume.attachments).toMatchObject([{ instanceId: 'i-a', state: 'attached' }]);
        }
      }
    },
  );

  it('10 but fails for all checks of a suspect: it is not stopped', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.impair('i-a');
    for (let n = 0; n < 20; n++) all.ec2.failNext('describeHealth', 'EC2_UNAVAILABLE');
    expect(await failureWithin(100_000, all.mount('i-b'))).toMatchObject({ code: 'EC2_UNAVAILABLE' });
    expect(all.destructive()).toEqual([]);
    expect(all.state()).toEqual(ownedBy('i-a', 1));
  });

  it('10 but denies the detach, which the operator is told; the volume stays as it was', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    all.ec2.failNext('detachVolume', 'EC2_DENIED');
    expect(await failureWithin(60_000, all.mount('i-b'))).toMatchObject({ code: 'EC2_DENIED' });
    expect(all.volume.attachments).toEqual([all.first]);
    expect(all.auditOf('i-b').told().at(-1)).toBe('outcome failed');
  });
});

describe('EC2 answers with what was', () => {
  it('11 the owner shown as stopped has been started and mounts it anew: the detach names what is over', async () => {
    const all = await fleet();
    Object.assign(all.ec2, { attachMs: 500, detachMs: 500, unplugMs: 500 });
    all.powerOff('i-a');
    const then = await photograph(all);
    const taking = all.mount('i-b');
    await pass(1000);
    await all.powerOn('i-a');
    await within(3500, all.mount('i-a'));
    const again = { ...all.volume.attachments[0] };
    vi.spyOn(all.ec2, 'describeInstance').mockImplementation(async () => then.owner);
    vi.spyOn(all.ec2, 'describeVolume').mockImplementationOnce(async () => then.volume);
    await pass(3500);
    vi.mocked(all.ec2.describeInstance).mockRestore();
    const error = await failureWithin(60_000, taking);
    expect(String(error)).toMatch(new RegExp(`attached to i-a \\(device ${again.device}.*which is running`));
    expect(all.destructive()).toEqual([`detach i-a ${all.first.device}`, `detach i-a ${all.first.device}`]);
    expect(all.volume.attachments).toEqual([again]);
    expect(all.state()).toMatchObject({ attachedTo: ['i-a attached'], mountedOn: ['i-a'] });
  });

  it('12 it is shown free while another has it: the attach is refused, and the other named', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    await within(60_000, all.mount('i-c'));
    shows(all.ec2, 'findVolumes', { ...all.volume, state: 'available', attachments: [] });
    all.ec2.calls.length = 0;
    const error = await failureWithin(60_000, all.mount('i-b'));
    expect(String(error)).toMatch(/attached to i-c .*which is running/);
    expect([all.ec2.count('attachVolume'), all.destructive()]).toEqual([1, []]);
    expect(all.state()).toEqual(ownedBy('i-c', 2));
  });

  it('12 it is shown with the owner before the present one: the detach is refused, and the present one named', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    const then = await photograph(all);
    await within(60_000, all.mount('i-c'));
    shows(all.ec2, 'findVolumes', then.volume);
    vi.spyOn(all.ec2, 'describeInstance').mockImplementationOnce(async () => then.owner);
    vi.spyOn(all.ec2, 'describeInstance').mockImplementationOnce(async () => then.owner);
    all.ec2.calls.length = 0;
    const taking = all.mount('i-b');
    await pass(5500);
    vi.mocked(all.ec2.describeInstance).mockRestore();
    expect(String(await failureWithin(60_000, taking))).toMatch(/attached to i-c .*which is running/);
    expect(all.destructive()).toEqual([`detach i-a ${all.first.device}`]);
    expect(all.state()).toEqual(ownedBy('i-c', 2));
  });

  it('13 it is shown with its old owner after it was taken: what is recorded here wins', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    const then = await photograph(all);
    await within(60_000, all.mount('i-b'));
    const device = all.volume.attachments[0]?.device;
    shows(all.ec2, 'findVolumes', then.volume);
    shows(all.ec2, 'listVolumes', then.volume);
    vi.spyOn(all.ec2, 'describeVolume').mockImplementation(async () => then.volume);
    all.ec2.calls.length = 0;
    expect(await within(10_000, all.mount('i-b', 'second'))).toBe('/ebs/volumes/data/data');
    await pass(60_000);
    expect(all.ec2.calls).toEqual([]);
    expect(all.state()).toEqual(ownedBy('i-b', 2));
    for (const task of ['task', 'second']) await within(10_000, all.unmount('i-b', task));
    await pass(20_000);
    expect(all.destructive()).toEqual([`detach i-b ${device}`]);
    expect(all.volume.attachments).toEqual([]);
  });

  it('13 it is shown free again just after it was attached: one attachment in the end, of the one who mounts', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    all.ec2.attachMs = 20_000;
    const taking = all.mount('i-b');
    await pass(9000);
    expect(all.volume.attachments).toMatchObject([{ instanceId: 'i-b', state: 'attaching' }]);
    const free = { ...all.volume, state: 'available' as const, attachments: [] };
    vi.spyOn(all.ec2, 'describeVolume').mockImplementationOnce(async () => free);
    await within(120_000, taking);
    expect(all.state()).toEqual(ownedBy('i-b', 2));
    expect(all.destructive().filter((call) => call.includes('i-b'))).toEqual([]);
  });
});

describe('a detach arrives minutes late', () => {
  it('14 when its victim has the volume again, under another name: it hits nothing', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    const detach = all.ec2.detachVolume.bind(all.ec2);
    let late: (() => Promise<unknown>) | undefined;
    vi.spyOn(all.ec2, 'detachVolume').mockImplementationOnce(async (key: AttachmentKey) => {
      late = () => detach(key);
      throw ec2Error('EC2_UNAVAILABLE');
    });
    const taking = all.mount('i-b');
    await pass(5500);
    await all.powerOn('i-a');
    await within(30_000, all.mount('i-a'));
    const again = { ...all.volume.attachments[0] };
    expect(await failureWithin(60_000, taking)).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    await pass(240_000);
    await expect(late?.()).rejects.toMatchObject({ code: 'EC2_NOT_ATTACHED' });
    expect(all.volume.attachments).toEqual([{ ...again, state: 'attached' }]);
    expect(all.state().mountedOn).toEqual(['i-a']);
  });
});
