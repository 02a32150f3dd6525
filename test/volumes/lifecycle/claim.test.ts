import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import type { CallOptions, Ec2 } from '../../../src/ebs/types.ts';
import { intentKey, intentTag, readFenceLog, readOwner } from '../../../src/fencing/records.ts';
import { adoptUnrecorded } from '../../../src/volumes/lifecycle/adopt.ts';
import { FakeAudit } from '../../support/fake-audit.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { fakeNode, verbs } from '../../support/fake-node.ts';
import { failure, pass, played, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** Long ago: that late writes are waited for costs a recent end alone. */
const stopAskedAt = '2020-01-01T00:00:00.000Z';
const gone = { state: 'terminated', stopAskedAt } as const;
const stopped = { state: 'stopped', stateReason: 'Client.UserInitiatedShutdown', stopAskedAt } as const;

/** The volume a, with a filesystem, mounted on i-1, and i-2 beside it. */
async function bench() {
  const ec2 = new FakeEc2();
  const audit = new FakeAudit();
  const node = await fakeNode(ec2);
  const other = await fakeNode(ec2, { instanceId: 'i-2', audit });
  const here = verbs(node);
  const there = verbs(other);
  await here.create('a');
  await here.mount('a', 'id-1');
  const volume = ec2.volumes.get('vol-1');
  if (volume === undefined) throw new Error('no volume');
  ec2.calls.length = 0;
  /** Another taker's announcement about the attachment that there is now. */
  const announce = (taker: string) => {
    const [{ device = '', attachTime = '', instanceId: victim = '' } = {}] = volume.attachments;
    const about = { fenceId: 'f-1', taker, victim, device, attachTime, launchTime: undefined };
    const value = intentTag({ ...about, policy: 'stonith', evidence: 'suspected' });
    volume.tags[intentKey(taker, 'f-1')] = value;
    return value;
  };
  const methods = () => ec2.calls.map(({ method }) => method);
  return { ec2, node, other, here, there, volume, audit, announce, methods };
}

describe('whose a volume is', () => {
  it('is recorded on it with the first mount, and known here without another look', async () => {
    const { volume, node } = await bench();
    const [attachment] = volume.attachments;
    expect(readOwner(volume.tags)).toEqual({
      instanceId: 'i-1',
      device: attachment?.device,
      attachTime: attachment?.attachTime,
      boot: 'boot-1',
      scheduler: undefined,
    });
    expect(volume.tags[tagKeys.epoch]).toBe('1');
    expect(node.held.get('a')?.volume.tags).toEqual(volume.tags);
  });

  it('keeps its epoch while it comes back to the same node, under a new attachment', async () => {
    const { here, volume } = await bench();
    await here.unmount('a', 'id-1');
    await pass(10_000);
    await here.mount('a', 'id-2');
    expect(volume.tags[tagKeys.epoch]).toBe('1');
    expect(readOwner(volume.tags)).toMatchObject({ device: volume.attachments[0]?.device });
  });

  it('changes with its epoch, and leaves no log where nobody was fenced', async () => {
    const { here, there, volume } = await bench();
    await here.unmount('a', 'id-1');
    await pass(10_000);
    await there.mount('a', 'id-2');
    expect(volume.tags[tagKeys.epoch]).toBe('2');
    expect([readOwner(volume.tags)?.instanceId, readFenceLog(volume.tags)]).toEqual(['i-2', []]);
  });

  it('comes in one call together with the takeover before it, which is in the audit to its end', async () => {
    const { ec2, node, there, volume, audit } = await bench();
    node.kill();
    ec2.setInstance('i-1', stopped);
    await there.mount('a', 'id-2');
    const tags = ec2.calls
      .filter(({ method }) => method === 'createTags')
      .map(({ args }) => Object.keys(args[1] as object));
    expect(tags).toEqual([[tagKeys.epoch, tagKeys.owner, tagKeys.fenceLog]]);
    expect(readFenceLog(volume.tags)).toMatchObject([{ victim: 'i-1', taker: 'i-2', evidence: 'stopped' }]);
    expect(audit.told().at(-1)).toBe('outcome attached to i-2');
  });

  it('34, 58: only informs: a mount goes on without', async () => {
    const { ec2, here, there, volume } = await bench();
    await here.unmount('a', 'id-1');
    await pass(10_000);
    volume.tags[tagKeys.epoch] = 'none of your business';
    ec2.failNext('createTags', 'EC2_DENIED');
    expect(await there.mount('a', 'id-2')).toBe('/ebs/volumes/a/data');
    expect(readOwner(volume.tags)?.instanceId).toBe('i-1');
  });

  it('32: is the quicker one’s, who took it over too; the other starts anew, and is refused', async () => {
    const { ec2, node, there, volume, audit } = await bench();
    node.kill();
    ec2.setInstance('i-1', stopped);
    ec2.addInstance('i-3');
    const { attachVolume } = ec2;
    ec2.attachVolume = (key) => {
      ec2.attachVolume = attachVolume;
      ec2.addAttachment(volume, 'i-3', '/dev/xvdbz');
      return ec2.attachVolume(key);
    };
    expect(String(await failure(there.mount('a', 'id-2')))).toContain('it is attached to i-3');
    expect(audit.told()).toContain('outcome lost');
    expect([audit.audit.counters.lostRaces, ec2.count('detachVolume')]).toEqual([1, 1]);
    expect(volume.attachments).toMatchObject([{ instanceId: 'i-3' }]);
  });

  it('is recorded after the mount where EC2 throttles that, as long as the volume is held here', async () => {
    const { ec2, here, there, volume } = await bench();
    await here.unmount('a', 'id-1');
    await pass(10_000);
    const asSeen: Ec2 = ec2;
    const createTags = ec2.createTags.bind(ec2);
    const asked: CallOptions[] = [];
    const turn = Promise.withResolvers<void>();
    asSeen.createTags = async (ids, tags, options = {}) => {
      asSeen.createTags = createTags;
      asked.push(options);
      await turn.promise;
      options.signal?.throwIfAborted();
      return createTags(ids, tags);
    };
    await played(there.mount('a', 'id-2'));
    expect([readOwner(volume.tags)?.instanceId, asked[0]?.stillValid?.()]).toEqual(['i-1', true]);
    turn.resolve();
    await pass(0);
    expect(readOwner(volume.tags)?.instanceId).toBe('i-2');
    await there.unmount('a', 'id-2');
    await pass(10_000);
    expect(asked[0]?.stillValid?.()).toBe(false);
  });

  it('is not waited for long once the disk is here', async () => {
    const { ec2, here, there } = await bench();
    await here.unmount('a', 'id-1');
    await pass(10_000);
    const asSeen: Ec2 = ec2;
    const { createTags } = asSeen;
    asSeen.createTags = (_ids, _tags, options) => {
      asSeen.createTags = createTags;
      const { promise, reject } = Promise.withResolvers<void>();
      options?.signal?.addEventListener('abort', () => reject(options.signal?.reason));
      return promise;
    };
    const begun = Date.now();
    await there.mount('a', 'id-2');
    expect(Date.now() - begun).toBeGreaterThan(5000);
    expect(Date.now() - begun).toBeLessThan(10_000);
  });
});

describe('the budget of a takeover, from the mount to the mounted directory', () => {
  it('terminated: six calls', async () => {
    const { ec2, node, there, volume, methods } = await bench();
    node.kill();
    ec2.setInstance('i-1', gone);
    const [attachment] = volume.attachments;
    if (attachment === undefined) throw new Error('not attached');
    // EC2 takes it off just after the look-up.
    vi.spyOn(ec2, 'findTagged').mockImplementationOnce(async (key) => {
      ec2.endAttachment(volume, attachment);
      return ec2.findTagged(key);
    });
    await there.mount('a', 'id-2');
    expect(methods()).toEqual([
      'findVolumes',
      'describeInstance',
      'findTagged',
      'describeVolume',
      'attachVolume',
      'createTags',
    ]);
  });

  it('stopped: at most twelve calls, and half a second above the second look and EC2’s own time', async () => {
    const { ec2, node, there, methods } = await bench();
    node.kill();
    ec2.setInstance('i-1', stopped);
    const begun = Date.now();
    await there.mount('a', 'id-2');
    expect(methods().length).toBeLessThanOrEqual(12);
    expect(Date.now() - begun).toBeLessThan(5000 + 2000 + 2000 + 500);
  });
});

describe('announcements of other takers', () => {
  it('about attachments that are over are cleared away by the next owner, by their values', async () => {
    const { ec2, node, there, volume, announce } = await bench();
    node.kill();
    const value = announce('i-9');
    ec2.setInstance('i-1', stopped);
    await there.mount('a', 'id-2');
    expect(ec2.calls.filter(({ method }) => method === 'deleteTags').map(({ args }) => args[1])).toEqual([
      { [intentKey('i-9', 'f-1')]: value },
    ]);
    expect(volume.tags).not.toHaveProperty([intentKey('i-9', 'f-1')]);
  });

  it('make its node give a volume back that nobody uses', async () => {
    const { node, here, volume, announce, methods } = await bench();
    await here.unmount('a', 'id-1');
    announce('i-2');
    await played(adoptUnrecorded(node));
    await pass(10_000);
    expect(methods()).toEqual(['listVolumes', 'createTags', 'detachVolume']);
    expect([volume.attachments, node.held.size]).toEqual([[], 0]);
  });

  it('leave a mount that is in use alone, but nothing is mounted under that attachment again', async () => {
    const { node, here, volume, announce, ec2 } = await bench();
    const [before] = volume.attachments;
    announce('i-2');
    await played(adoptUnrecorded(node));
    await pass(10_000);
    expect(volume.attachments).toEqual([before]);
    expect(await here.mount('a', 'id-2')).toBe('/ebs/volumes/a/data');
    expect(ec2.count('detachVolume')).toBe(0);
    await here.unmount('a', 'id-1');
    await here.unmount('a', 'id-2');
    expect(await here.mount('a', 'id-3')).toBe('/ebs/volumes/a/data');
    expect(volume.attachments).toMatchObject([{ instanceId: 'i-1', state: 'attached' }]);
    expect(volume.attachments[0]?.device).not.toBe(before?.device);
    expect(volume.tags).not.toHaveProperty([intentKey('i-2', 'f-1')]);
  });

  it('are not obeyed by a mount while a container still has the disk', async () => {
    const { node, here, announce, ec2 } = await bench();
    await here.unmount('a', 'id-1');
    announce('i-2');
    node.host.mountedElsewhere.add('vol-1');
    await played(adoptUnrecorded(node));
    expect(await failure(here.mount('a', 'id-2'))).toMatchObject({ code: 'IN_USE_HERE' });
    expect(ec2.count('detachVolume')).toBe(0);
  });

  it('of this node, and about earlier attachments, mean nothing here', async () => {
    const { node, here, volume, announce, ec2 } = await bench();
    announce('i-1');
    await here.unmount('a', 'id-1');
    await played(adoptUnrecorded(node));
    const value = announce('i-2');
    await pass(10_000);
    await here.mount('a', 'id-2');
    volume.tags[intentKey('i-2', 'f-1')] = value;
    ec2.calls.length = 0;
    await played(adoptUnrecorded(node));
    await here.unmount('a', 'id-2');
    await here.mount('a', 'id-3');
    expect(ec2.count('detachVolume')).toBe(0);
  });

  it('17: are looked for after the machine has slept, and only then', async () => {
    const { node, other, volume, announce, ec2, here } = await bench();
    other.kill();
    node.host.mountedElsewhere.add('vol-1');
    announce('i-2');
    await pass(60_000);
    expect(ec2.calls).toEqual([]);
    vi.setSystemTime(Date.now() + 3_600_000);
    await pass(16_000);
    expect(ec2.count('listVolumes')).toBe(1);
    node.host.mountedElsewhere.clear();
    await here.unmount('a', 'id-1');
    await pass(5000);
    expect(volume.attachments).toEqual([]);
  });
});
