import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { failureWithin, within } from '../../support/fake-takeover.ts';
import { type Fleet, fleet, ownedBy } from '../../support/fleet.ts';
import { pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** i-b is told this, and nothing that an owner or another taker feels was done for it. */
async function expectRefused(all: Fleet, words: RegExp, ms = 60_000) {
  expect(String(await failureWithin(ms, all.mount('i-b')))).toMatch(words);
  expect(all.destructive()).toEqual([]);
  expect(all.state().intents).toEqual([]);
  expect(all.state().mountedOn).not.toContain('i-b');
}

describe('what cannot come here is refused before anything is done for it', () => {
  it('45 from another zone', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    all.volume.zone = 'eu-west-1b';
    await expectRefused(
      all,
      /it is in eu-west-1b and this node is in eu-west-1a.*Run the container on a node in/,
      1000,
    );
    expect(all.volume.attachments).toEqual([all.first]);
  });

  it('46 to a node that is full: its suspected owner is neither announced nor stopped', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.impair('i-a');
    all.ec2.attachmentLimits.set('m5.large', { maximum: 1, kind: 'dedicated' });
    await all.restart('i-b');
    await all.hold('i-b', 'other');
    all.ec2.calls.length = 0;
    await expectRefused(all, /this node is full/);
    expect(all.ec2.count('createTags')).toBe(0);
    expect(all.state()).toEqual(ownedBy('i-a', 1));
  });

  it('47 a Multi-Attach volume that others have', async () => {
    const all = await fleet();
    all.volume.multiAttach = true;
    all.ec2.addAttachment(all.volume, 'i-c', '/dev/xvdbz');
    all.powerOff('i-a');
    await expectRefused(all, /Multi-Attach volume, attached to i-a and i-c.*one writer/);
    expect(all.volume.attachments).toHaveLength(2);
  });

  it('47 a Multi-Attach volume that is attached here too, or to nobody: attaching it is no lock', async () => {
    const all = await fleet({ others: ['i-b'] });
    all.volume.multiAttach = true;
    all.ec2.addAttachment(all.volume, 'i-b', '/dev/xvdbz');
    await expectRefused(all, /Multi-Attach/);
    expect(all.volume.attachments).toHaveLength(2);
    const other = all.ec2.addVolume({ multiAttach: true, tags: { ...all.volume.tags, [tagKeys.name]: 'shared' } });
    expect(String(await failureWithin(60_000, all.mount('i-b', 'task', 'shared')))).toMatch(/Multi-Attach/);
    expect([other.attachments, all.ec2.count('attachVolume')]).toEqual([[], 0]);
  });

  it('53 a volume of a resource that AWS manages', async () => {
    const all = await fleet();
    all.volume.attachments[0]!.instanceId = undefined;
    await expectRefused(all, /a resource that AWS manages.*Stop the ECS or Fargate task that uses it/, 5000);
    expect(all.volume.attachments).toHaveLength(1);
  });

  it('54 from an instance that EC2 does not list', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.ec2.instances.delete('i-a');
    await expectRefused(all, /attached to i-a .*lists no such instance, which does not prove .*fence confirm/);
    expect(all.volume.attachments).toEqual([all.first]);
  });

  it('57 from an owner that another version described: it may be more than we understand', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.impair('i-a');
    all.volume.tags[tagKeys.owner] = '2 i-a something new';
    await expectRefused(all, /another version .* wrote docker-volume-ebs:owner .*same version .* on all nodes/);
    all.powerOff('i-a');
    await within(60_000, all.mount('i-b'));
    expect(all.state()).toMatchObject({ attachedTo: ['i-b attached'], mountedOn: ['i-b'] });
  });
});

describe('a volume that takes no more tags', () => {
  const full = (all: Fleet) => {
    for (let n = 0; n < 40; n++) all.ec2.failNext('createTags', 'EC2_LIMIT');
  };

  it('58 is not taken from a suspect, which could not be told', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.impair('i-a');
    full(all);
    await expectRefused(all, /EC2_LIMIT/);
    expect(all.state()).toEqual(ownedBy('i-a', 1));
  });

  it('58 is taken on proof all the same', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.powerOff('i-a');
    full(all);
    await within(60_000, all.mount('i-b'));
    expect(all.state()).toMatchObject({ attachedTo: ['i-b attached'], mountedOn: ['i-b'] });
  });
});

describe('what goes wrong after the detach is told, and the data is left alone', () => {
  it('44 an attach that never ends: our own is undone after its time, and the next is under another name', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    all.ec2.neverPlugged.add(all.volume.id);
    expect(String(await failureWithin(400_000, all.mount('i-b')))).toMatch(/attaching/);
    await pass(30_000);
    expect(all.volume.attachments).toEqual([]);
    const [, undone] = all.destructive();
    expect(undone).toMatch(/^detach i-b /);
    all.ec2.neverPlugged.clear();
    await within(60_000, all.mount('i-b'));
    expect(all.state()).toMatchObject({ attachedTo: ['i-b attached'], mountedOn: ['i-b'] });
    expect(undone).not.toContain(all.volume.attachments[0]?.device);
  });

  it('48 a volume whose I/O EC2 has disabled: its reads fail, and it is neither formatted nor mounted', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    all.nodeOf('i-b').machine.host.failNext('readContent', 'HOST_FAILED');
    expect(await failureWithin(60_000, all.mount('i-b'))).toMatchObject({ code: 'HOST_FAILED' });
    const { host } = all.nodeOf('i-b').machine;
    expect([host.count('makeFilesystem'), host.mounted.size]).toEqual([0, 0]);
  });

  it('49 a KMS key that is disabled: the attach is refused with the words of EC2, the volume stays free', async () => {
    const all = await fleet();
    all.volume.encrypted = true;
    all.powerOff('i-a');
    all.ec2.failNext('attachVolume', 'EC2_REJECTED');
    expect(await failureWithin(60_000, all.mount('i-b'))).toMatchObject({ code: 'EC2_REJECTED' });
    expect(all.volume).toMatchObject({ state: 'available', attachments: [] });
    expect(all.nodeOf('i-b').held.size).toBe(0);
  });

  it('49 a KMS key that is disabled, found out once the attach was accepted: the key is named as the likely cause', async () => {
    const all = await fleet();
    Object.assign(all.volume, { encrypted: true, kmsKeyId: 'arn:aws:kms:eu-west-1:1:key/k' });
    all.powerOff('i-a');
    const attach = all.ec2.attachVolume.bind(all.ec2);
    vi.spyOn(all.ec2, 'attachVolume').mockImplementation(async (key) => {
      const answer = await attach(key);
      all.ec2.endAttachment(all.volume, all.volume.attachments[0]!);
      return answer;
    });
    const error = await failureWithin(120_000, all.mount('i-b'));
    expect(String(error)).toMatch(/gives it up .*KMS key of the volume\. See that the key arn:\S+\/k is enabled/);
    await pass(60_000);
    expect(all.volume).toMatchObject({ state: 'available', attachments: [] });
  });

  it('50 a filesystem that needs a person is not mounted nor made anew, and who repairs it keeps it', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    const { host } = all.nodeOf('i-b').machine;
    host.everMounted = true;
    host.failNext('checkFilesystem', 'FILESYSTEM_DAMAGED');
    expect(await failureWithin(60_000, all.mount('i-b'))).toMatchObject({ code: 'FILESYSTEM_DAMAGED' });
    expect([host.count('mount'), host.count('makeFilesystem')]).toEqual([0, 0]);
    expect(all.volume.attachments).toMatchObject([{ instanceId: 'i-b' }]);
    host.mountedElsewhere.add(all.volume.id);
    await pass(120_000);
    expect(all.volume.attachments).toMatchObject([{ instanceId: 'i-b', state: 'attached' }]);
  });
});
